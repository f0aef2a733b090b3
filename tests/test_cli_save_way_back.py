"""The way back of a saved node: whatever ends the save, it boots from its disk again."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands import Commands, wait_for

pytestmark = pytest.mark.e2e

SAVE = ("imaging-save", "-o", "back", "1")
RESTARTED = "it was reset, to boot from its disk again"


@pytest.fixture(autouse=True)
def loaded(testbed: Commands) -> Iterator[Path]:
    """Node 1 runs its system; the image that a test has made is gone afterwards."""
    done = testbed.run("imaging-load", "-q", "--wait", "-i", "sample", "1")
    assert done.returncode == 0, done.stderr
    folder = testbed.directory / "images"
    yield folder
    for entry in folder.glob("*back*"):
        entry.unlink()
    testbed.order("fit01", "on")


def orders(testbed: Commands) -> list[str]:
    """What node 1's card was asked, so far."""
    log = (testbed.directory / "testbed.log").read_text()
    return [line.rpartition("/")[2] for line in log.splitlines() if "fit01 cmc: GET" in line]


def test_a_signal_in_the_last_reset_does_not_leave_it(testbed: Commands, loaded: Path) -> None:
    process = testbed.start(*SAVE)
    wait_for(lambda: testbed.state("fit01") == "ramdisk" and testbed.links() == [])
    testbed.set_fault("fit01", cmc="hang*1")
    wait_for(lambda: testbed.fault("fit01", "cmc") == "")
    assert (loaded / "back.ndz").exists()  # it hangs in the last step
    assert testbed.state("fit01") == "ramdisk"
    process.send_signal(signal.SIGTERM)
    stopped = time.monotonic()
    out, _ = process.communicate(timeout=10)
    assert time.monotonic() - stopped < 1.5
    assert process.returncode == 1
    assert RESTARTED in out
    wait_for(lambda: testbed.state("fit01") == "system")


@pytest.mark.parametrize("command", [SAVE, ("imaging-load", "-i", "sample", "1")], ids=str)
def test_a_signal_between_off_and_on_does_not_leave_it_off(
    testbed: Commands, command: tuple[str, ...]
) -> None:
    testbed.set_fault("fit01", cmc="ignore-reset*1")
    with testbed.setting("reset_grace_s = 5", "reset_grace_s = 1"):
        process = testbed.start(*command, "-v")
        wait_for(lambda: testbed.fault("fit01", "cmc") == "", limit_s=20)
        testbed.set_fault("fit01", cmc="late:5*1")  # off is obeyed, and never answered in time
        wait_for(lambda: testbed.state("fit01") == "off")
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=10)
    assert process.returncode == 1
    wait_for(lambda: testbed.state("fit01") == "system")
    assert testbed.links() == []
    transcript = max((testbed.directory / "transcripts").iterdir()) / "fit01.log"
    assert "it was switched on again" in transcript.read_text(), out


def test_a_node_that_was_never_told_to_boot_is_left_alone(testbed: Commands) -> None:
    powered = testbed.directory / "nodes/fit01/powered"
    before, asked = powered.read_text(), len(orders(testbed))
    for fault in ("wrong-status", "refuse"):
        testbed.set_fault("fit01", cmc=fault)
        done = testbed.run(*SAVE)
        assert done.returncode == 1
        assert "ramdisk" not in done.stdout
    testbed.clear_faults()
    assert powered.read_text() == before
    assert set(orders(testbed)[asked:]) == {"status"}
