"""Which links are stale, and what may happen while they are removed."""

import json
import os
from pathlib import Path

import pytest

from imaging.node.nextboot import NextbootDirectory
from imaging.operations.nextboot import (
    Action,
    NextbootLink,
    clean_links,
    list_links,
    longest_need_s,
)
from imaging.site.inventory import Inventory, parse_inventory
from imaging.site.locks import LockDirectory
from imaging.site.power_schema import PowerSettings
from imaging.site.schema import BootSettings, Settings
from tests.site_directory import inventory_rows

MAC = "02:00:00:00:00:0a"
LOCKS = LockDirectory(Path("nowhere"))  # no node of the inventory has any of these MACs


@pytest.fixture
def directory(tmp_path: Path) -> NextbootDirectory:
    (tmp_path / "pxefrisbee").write_text("DEFAULT ramdisk\n")
    return NextbootDirectory(tmp_path, "pxefrisbee")


def listed(directory: NextbootDirectory, now: float = 1e10) -> list[NextbootLink]:
    return list_links(directory, Inventory(()), LOCKS, now)


def test_the_longest_need_is_boot_and_six_orders() -> None:
    power = PowerSettings(
        attempts=2,
        request_timeout_s=3.0,
        retry_delay_s=1.0,
        settle_timeout_s=5.0,
        shutdown_timeout_s=30.0,
    )
    assert longest_need_s(Settings(power=power, boot=BootSettings(timeout_s=100.0))) == 183.0


def test_a_link_that_has_gone_since_it_was_listed_is_no_error(
    directory: NextbootDirectory,
) -> None:
    place = directory.place(MAC)
    place.symlink_to("pxefrisbee")
    links = listed(directory)
    place.unlink()
    [link] = clean_links(directory, links, LOCKS, stale_after_s=0, dry_run=False)
    assert (link.action, link.error) == (Action.GONE, None)


def test_a_link_that_was_replaced_since_it_was_listed_is_left_alone(
    directory: NextbootDirectory,
) -> None:
    place = directory.place(MAC)
    place.symlink_to("pxefrisbee")
    links = listed(directory)
    place.unlink()
    place.write_text("somebody's")
    [link] = clean_links(directory, links, LOCKS, stale_after_s=0, dry_run=False)
    assert link.action is Action.GONE
    assert place.read_text() == "somebody's"


def test_one_that_cannot_be_removed_does_not_stop_the_others(tmp_path: Path) -> None:
    # a link listed in one directory and removed in a place that is no directory at all
    (tmp_path / "a").mkdir()
    directory = NextbootDirectory(tmp_path / "a", "pxefrisbee")
    for mac in (MAC, "02:00:00:00:00:0b"):
        directory.place(mac).symlink_to("pxefrisbee")
    links = listed(directory)
    (tmp_path / "file").write_text("")
    broken = NextbootDirectory(tmp_path / "file", "pxefrisbee")
    done = clean_links(broken, links, LOCKS, stale_after_s=0, dry_run=False)
    assert [link.action for link in done] == [Action.FAILED, Action.FAILED]
    assert "cannot remove the nextboot link" in str(done[0].error)


def test_a_link_of_the_future_is_young(directory: NextbootDirectory) -> None:
    directory.place(MAC).symlink_to("pxefrisbee")
    [link] = listed(directory, now=1.0)
    assert link.age_s == 0
    [link] = clean_links(directory, [link], LOCKS, stale_after_s=1, dry_run=False)
    assert link.action is Action.LEFT


def test_a_link_that_serves_a_second_command_is_young_again(directory: NextbootDirectory) -> None:
    place = directory.place(MAC)
    place.symlink_to("pxefrisbee")
    os.utime(place, (1, 1), follow_symlinks=False)
    directory.create(MAC, "fit10")
    assert place.lstat().st_mtime > 1e9


def test_a_node_that_cannot_be_locked_is_told(directory: NextbootDirectory, tmp_path: Path) -> None:
    inventory = parse_inventory(json.dumps(inventory_rows(1)).encode())
    (node,) = inventory
    directory.place(node.control.mac).symlink_to("pxefrisbee")
    locks = LockDirectory(tmp_path / "locks")
    locks.check()
    links = list_links(directory, inventory, locks, 1e10)
    (tmp_path / "locks" / "fit01.lock").unlink()
    os.mkfifo(tmp_path / "locks" / "fit01.lock")
    [link] = clean_links(directory, links, locks, stale_after_s=0, dry_run=False)
    assert link.action is Action.FAILED
    assert "fit01: cannot be locked: " in str(link.error)
