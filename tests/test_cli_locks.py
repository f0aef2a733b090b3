"""Commands that meet on one node, and commands that are killed."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.commands import Commands, processes_of, wait_for

pytestmark = pytest.mark.e2e

STUCK = "client = sh -c 'exec sleep 60'"


@contextmanager
def busy(testbed: Commands, *nodes: str) -> Iterator[int]:
    """A load that stays in its transfer; its process."""
    with testbed.setting("client = frisbee", STUCK):
        load = testbed.start("imaging-load", "-i", "sample", *nodes)
        wait_for(lambda: all(testbed.state(f"fit0{n}") == "ramdisk" for n in nodes))
        wait_for(lambda: testbed.links() == [])
    try:
        yield load.pid
    finally:
        load.kill()
        load.communicate()
        wait_for(lambda: processes_of("imaging-frisbeed", testbed.directory) == [])


def test_a_second_load_is_told_who_has_the_node_and_touches_nothing(testbed: Commands) -> None:
    with busy(testbed, "1", "2") as process:
        before = testbed.card_requests()
        done, elapsed = testbed.timed("imaging-load", "-i", "sample", "1-2")
        assert done.returncode == 1
        assert "fit01: FAILED at lock (busy): is busy: imaging-load of " in done.stdout
        assert f"process {process}, since 20" in done.stdout
        assert elapsed < 3
        assert testbed.card_requests() == before
        save = testbed.run("imaging-save", "-o", "busy", "1")
        assert "fit01: FAILED at lock (busy)" in save.stdout
        off = testbed.run("imaging-off", "1")
        assert "fit01: KO (busy: is busy: imaging-load of " in off.stdout
        assert testbed.card_requests() == before
        assert testbed.run("imaging-status", "1").stdout == "fit01: on\n"
        forced = testbed.run("imaging-off", "--force", "1")
        assert (forced.returncode, forced.stdout) == (0, "fit01: off\n")
    testbed.order("fit01", "on")


def test_loads_of_other_nodes_run_side_by_side(testbed: Commands) -> None:
    first = testbed.start("imaging-load", "-i", "sample", "1-2")
    second = testbed.start("imaging-load", "-i", "sample", "3-4")
    outs = [process.communicate(timeout=30)[0] for process in (first, second)]
    assert (first.returncode, second.returncode) == (0, 0), outs


def test_a_busy_node_can_be_waited_for(testbed: Commands) -> None:
    first = testbed.start("imaging-load", "-i", "sample", "-b", "60", "1")
    wait_for(lambda: len(testbed.links()) > 0)
    second = testbed.run("imaging-load", "--wait-lock", "20", "-v", "-i", "sample", "1")
    out, _ = first.communicate(timeout=20)
    assert (first.returncode, second.returncode) == (0, 0), out + second.stdout
    assert "fit01: busy: imaging-load of " in second.stderr


def test_a_load_that_was_killed_leaves_nothing(testbed: Commands) -> None:
    with testbed.unreachable("fit02", "control"):
        load = testbed.start("imaging-load", "-i", "sample", "1-2")
        wait_for(lambda: len(testbed.links()) > 0)
        wait_for(lambda: processes_of("imaging-frisbeed", testbed.directory) != [])
        load.kill()
        killed = time.monotonic()
        wait_for(lambda: testbed.links() == [], limit_s=0.5)
        wait_for(lambda: processes_of("imaging-frisbeed", testbed.directory) == [], limit_s=0.5)
        load.communicate()
    assert time.monotonic() - killed < 1
    assert processes_of("guard.py", "imaging") == [] or load.returncode == -signal.SIGKILL
    again = testbed.run("imaging-load", "-i", "sample", "1-2")
    assert again.returncode == 0, again.stdout


def test_a_killed_load_in_its_transfer_ends_the_server(testbed: Commands) -> None:
    with busy(testbed, "1") as process:
        os.kill(process, signal.SIGKILL)
        wait_for(lambda: processes_of("imaging-frisbeed", testbed.directory) == [], limit_s=0.5)


def test_a_save_that_was_killed_leaves_no_partial_image(testbed: Commands) -> None:
    images = testbed.directory / "images"
    testbed.run("imaging-load", "-q", "-i", "sample", "1")
    stuck = "imagezip = sh -c 'head -c 3000000 /dev/zero | tr \"\\000\" i; exec sleep 60'"
    with testbed.setting("imagezip = imagezip -z1", stuck):
        save = testbed.start("imaging-save", "-o", "killed", "1")
        partial = images / ".killed.ndz.partial"
        wait_for(partial.exists)
        save.kill()
        wait_for(lambda: not partial.exists(), limit_s=0.5)
        save.communicate()
    assert [entry.name for entry in images.iterdir() if "killed" in entry.name] == []
    assert testbed.links() == []
    testbed.order("fit01", "reset")


def test_stale_links_are_swept_and_told(testbed: Commands) -> None:
    """What the power cut of the server has left: a link whose node nobody works on."""
    place = testbed.link_place("fit04")
    place.symlink_to("pxefrisbee")
    foreign = testbed.link_place("fit05")
    foreign.symlink_to("default")
    try:
        done = testbed.run("imaging-load", "-i", "sample", "1")
        assert done.returncode == 0
        assert "removed a stale nextboot link of fit04" in done.stderr
        assert not os.path.lexists(place)
        assert os.readlink(foreign) == "default"
    finally:
        foreign.unlink()


def test_the_link_of_a_living_command_is_not_swept(testbed: Commands) -> None:
    with testbed.unreachable("fit04", "control"):
        load = testbed.start("imaging-load", "-i", "sample", "4")
        wait_for(lambda: len(testbed.links()) == 1)
    done = testbed.run("imaging-load", "-i", "sample", "1")
    assert done.returncode == 0
    assert testbed.link_place("fit04").is_symlink()
    kept = testbed.run("imaging-nextboot", "--clean")
    assert "needs it" in kept.stdout
    load.terminate()
    load.communicate(timeout=10)
    assert testbed.links() == []


def test_a_lock_directory_that_cannot_be_made_is_told_at_once(testbed: Commands) -> None:
    before = testbed.requests()
    with testbed.setting("directory = locks", "directory = no/such/place"):
        done = testbed.run("imaging-load", "-i", "sample", "1")
    assert done.returncode == 2
    assert "cannot make the lock directory" in done.stderr
    assert Path(testbed.directory / "no").exists() is False
    assert testbed.requests() == before
