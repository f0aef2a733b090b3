"""Having nodes for oneself, and removing what dead commands have left; real locks and links."""

import json
import os
from pathlib import Path

import pytest

from imaging.errors import NodeError, Reason
from imaging.feedback.events import Event, Noticed
from imaging.guard import NO_GUARD
from imaging.node.nextboot import NextbootDirectory
from imaging.operations.locking import own_node, sweep_links
from imaging.operations.steps import NodeStory
from imaging.site.inventory import Inventory, parse_inventory
from imaging.site.locks import LockDirectory
from imaging.site.schema import LocksSettings
from tests.messages.recorder import heard
from tests.site_directory import inventory_rows


@pytest.fixture
def inventory() -> Inventory:
    return parse_inventory(json.dumps(inventory_rows(3)).encode())


@pytest.fixture
def nextboot(tmp_path: Path) -> NextbootDirectory:
    """A directory with a link that somebody has left."""
    directory = NextbootDirectory(tmp_path / "pxelinux.cfg", "pxefrisbee")
    directory.directory.mkdir()
    (directory.directory / "pxefrisbee").touch()
    return directory


async def refusal(settings: LocksSettings) -> NodeError:
    events: list[Event] = []
    with pytest.raises(NodeError) as caught:
        async with own_node(NodeStory("fit01", events.append), "imaging-load", settings, NO_GUARD):
            pass
    return caught.value


async def test_a_node_of_another_command_is_busy(tmp_path: Path) -> None:
    with LockDirectory(tmp_path).take("fit01", "imaging-save"):
        error = await refusal(LocksSettings(directory=tmp_path))
    assert error.reason is Reason.BUSY
    assert error.message.startswith("fit01: is busy: ")
    assert "imaging-save" in error.message
    assert error.hint == "--wait-lock SECONDS waits for it"


async def test_a_lock_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fit01.lock")
    error = await refusal(LocksSettings(directory=tmp_path))
    assert error.reason is Reason.LOCK_FAILED
    place = tmp_path / "fit01.lock"
    assert error.message == f"fit01: cannot be locked: {place}: is no regular file"


def test_what_dead_commands_have_left_is_swept(
    tmp_path: Path, inventory: Inventory, nextboot: NextbootDirectory
) -> None:
    settings = LocksSettings(directory=tmp_path / "locks")
    told: list[str] = []

    def emit(event: Event) -> None:
        assert isinstance(event, Noticed)
        told.append(event.message)
        heard(event.message)

    LockDirectory(settings.directory).check()
    for node in inventory:
        nextboot.place(node.control.mac).symlink_to("pxefrisbee")
    os.mkfifo(settings.directory / "fit02.lock")
    with LockDirectory(settings.directory).take("fit03", "imaging-load"):
        sweep_links(nextboot, inventory, settings, emit)
    place = settings.directory / "fit02.lock"
    assert told == [
        "removed a stale nextboot link of fit01",
        f"the stale nextboot link of fit02 stays: {place}: is no regular file",
    ]
    left = [entry.mac for entry in nextboot.entries()]
    assert left == [node.control.mac for node in inventory][1:]
