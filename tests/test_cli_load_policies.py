"""What imaging-load does about failures: retries, quorum, half-written disks."""

import re
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaging.cli.options import read_quorum
from imaging.errors import ConfigurationError
from tests import ndz_samples
from tests.commands import Commands, processes_of, sha256, wait_for

CLIENT = "client = frisbee"


def failing_client(directory: Path, times: int) -> str:
    """A client that fails so many times on each node after it has joined, and then works."""
    script = directory / "flaky-client"
    script.write_text(
        "#!/bin/sh\n"
        'count=$(cat "$NODE_DIRECTORY/failures" 2>/dev/null || echo 0)\n'
        f'if [ "$count" -lt {times} ]; then\n'
        '    echo $((count + 1)) > "$NODE_DIRECTORY/failures"\n'
        "    echo 'Joined the team after 0 sec. ID is 1. File is 2 chunks (9 bytes)' >&2\n"
        "    echo 'write error: Input/output error' >&2\n"
        "    exit 1\n"
        "fi\n"
        'rm -f "$NODE_DIRECTORY/failures"\n'
        'exec frisbee "$@"\n'
    )
    script.chmod(0o755)
    return f"client = {script}"


@pytest.mark.e2e
def test_a_node_that_fails_is_tried_again_from_the_start(testbed: Commands) -> None:
    with testbed.setting(CLIENT, failing_client(testbed.directory, times=1)):
        done = testbed.run("imaging-load", "--retries", "2", "-v", "-i", "sample", "1-2")
    assert done.returncode == 0, done.stdout
    assert "2 of 2 nodes done" in done.stdout
    assert done.stderr.count("fit01: nextboot done") == 2
    assert re.search(
        r"fit01: attempt failed at transfer \(frisbee-failed\), starting again", done.stderr
    )
    assert sha256(testbed.disk("fit01")) == testbed.expected_disk()


@pytest.mark.e2e
def test_retries_end(testbed: Commands) -> None:
    with testbed.setting(CLIENT, failing_client(testbed.directory, times=9)):
        done = testbed.run("imaging-load", "--retries", "1", "-i", "sample", "1")
    (testbed.directory / "nodes/fit01/failures").unlink()
    assert done.returncode == 1
    assert "fit01: FAILED at transfer (frisbee-failed)" in done.stdout
    assert "write error: Input/output error" in done.stdout
    assert done.stderr.count("attempt failed") == 1


@pytest.mark.e2e
def test_what_cannot_change_is_not_tried_again(testbed: Commands) -> None:
    before = testbed.card_requests()
    with testbed.setting("disk = /dev/sda", "disk = /dev/sdb"):
        done = testbed.run("imaging-load", "--retries", "5", "-i", "sample", "1")
    assert done.returncode == 1
    assert "(no-disk)" in done.stdout
    assert testbed.card_requests() - before == 2  # status and reset


@pytest.mark.e2e
def test_retries_are_within_the_timeout(testbed: Commands) -> None:
    with testbed.unreachable("fit02", "cmc"), testbed.setting("attempts = 2", "attempts = 1"):
        started = time.monotonic()
        done = testbed.run("imaging-load", "--retries", "99", "-t", "2", "-i", "sample", "2")
    assert time.monotonic() - started < 3
    assert done.returncode == 1
    assert testbed.links() == []


@pytest.mark.e2e
def test_a_quorum_that_is_reached_is_enough(testbed: Commands) -> None:
    with testbed.unreachable("fit02", "cmc"):
        done = testbed.run("imaging-load", "--min-ok", "60%", "-i", "sample", "1-3")
        failed = testbed.run("imaging-load", "--min-ok", "3", "-i", "sample", "1-3")
    assert done.returncode == 0
    assert "fit02: FAILED at power (no-cmc)" in done.stdout
    assert done.stdout.endswith(": enough, as at least 2 were asked for\n")
    assert failed.returncode == 1
    assert failed.stdout.endswith(": too few, as at least 3 were asked for\n")


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("quorum", "words"),
    [
        ("4", "at least 4 nodes cannot be fine: there are 3"),
        ("x", "no number"),
        ("101%", "no number"),
        ("0", "must be at least one node"),
        ("0%", "must be at least one node"),
    ],
)
def test_a_quorum_that_makes_no_sense_is_refused(
    testbed: Commands, quorum: str, words: str
) -> None:
    before = testbed.requests()
    done = testbed.run("imaging-load", "--min-ok", quorum, "-i", "sample", "1-3")
    assert done.returncode == 2
    assert words in done.stderr
    assert testbed.requests() == before


@pytest.mark.e2e
@pytest.mark.parametrize("policy", ["off", "leave"])
def test_a_node_with_a_half_written_disk_is_never_booted_from_it(
    testbed: Commands, policy: str
) -> None:
    with testbed.setting(CLIENT, failing_client(testbed.directory, times=1)):
        done = testbed.run("imaging-load", "--on-failure", policy, "-i", "sample", "1")
    (testbed.directory / "nodes/fit01/failures").unlink()
    assert done.returncode == 1
    state = "off" if policy == "off" else "ramdisk"
    wait_for(lambda: testbed.state("fit01") == state)
    assert ("was switched off" in done.stderr) == (policy == "off")
    testbed.order("fit01", "on")


@pytest.mark.e2e
def test_a_node_whose_disk_was_not_touched_is_not_switched_off(testbed: Commands) -> None:
    with testbed.setting(CLIENT, "client = no-such-client"):
        done = testbed.run("imaging-load", "--on-failure", "off", "-i", "sample", "1")
    assert done.returncode == 1
    assert testbed.state("fit01") == "ramdisk"


@pytest.mark.e2e
def test_what_the_timeout_finds_half_written_is_switched_off_too(testbed: Commands) -> None:
    joined = "Joined the team after 0 sec. ID is 1. File is 9 chunks (9 bytes)"
    with testbed.setting(CLIENT, f"client = sh -c 'echo \"{joined}\"; printf .; exec sleep 60'"):
        started = time.monotonic()
        done = testbed.run("imaging-load", "--on-failure", "off", "-t", "2", "-i", "sample", "1")
    assert time.monotonic() - started < 3
    assert "(timeout)" in done.stdout
    wait_for(lambda: testbed.state("fit01") == "off")
    assert processes_of("imaging-frisbeed", testbed.directory) == []
    testbed.order("fit01", "on")


@pytest.mark.e2e
def test_the_nodes_that_failed_last_are_loaded_again(testbed: Commands) -> None:
    with testbed.unreachable("fit02", "cmc"):
        first = testbed.run("imaging-load", "-i", "sample", "1-3")
    assert first.returncode == 1
    again = testbed.run("imaging-load", "--retry-last")
    assert again.returncode == 0, again.stderr
    assert re.search("on 1 node: fit02, which failed in run [0-9]{8}-[0-9]{6}-", again.stderr)
    assert "imaging-load: 1 of 1 nodes done" in again.stdout
    assert sha256(testbed.disk("fit02")) == testbed.expected_disk()
    before = testbed.requests()
    third = testbed.run("imaging-load", "--retry-last")
    assert third.returncode == 2
    assert "nothing to try again: all went fine in " in third.stderr
    both = testbed.run("imaging-load", "--retry-last", "1")
    assert both.returncode == 2
    assert testbed.requests() == before


@pytest.mark.e2e
def test_without_a_history_there_is_nothing_to_try_again(testbed: Commands) -> None:
    with testbed.setting("[history]\nfile = ", "[history]\nfile = other-"):
        done = testbed.run("imaging-load", "--retry-last")
    assert done.returncode == 2
    assert "other-" in done.stderr


@pytest.mark.e2e
def test_what_may_be_half_written_is_said_in_the_end(testbed: Commands) -> None:
    with testbed.setting(CLIENT, failing_client(testbed.directory, times=1)):
        done = testbed.run("imaging-load", "-i", "sample", "1-2")
    for name in ("fit01", "fit02"):
        (testbed.directory / "nodes" / name / "failures").unlink()
    assert done.returncode == 1
    assert "fit01 fit02: their disks may be half-written; load again (--retry-last)" in done.stdout


@pytest.mark.e2e
def test_what_an_earlier_attempt_has_half_written_is_remembered(testbed: Commands) -> None:
    """The second attempt does not even reach the disk: it is half-written all the same."""
    joined = "Joined the team after 0 sec. ID is 1. File is 9 chunks (9 bytes)"
    breaks = f"sh -c 'echo \"{joined}\"; rm -f ../../tftpboot/pxelinux.cfg/pxefrisbee; exit 9'"
    config = testbed.directory / "tftpboot/pxelinux.cfg/pxefrisbee"
    text = config.read_text()
    try:
        with (
            testbed.setting(CLIENT, f"client = {breaks}"),
            testbed.setting("timeout_s = 30", "timeout_s = 1"),
        ):
            done = testbed.run(
                "imaging-load", "--retries", "1", "--on-failure", "off", "-i", "sample", "1"
            )
    finally:
        config.write_text(text)
    assert "fit01: FAILED at boot" in done.stdout
    assert "fit01: its disk may be half-written" in done.stdout
    wait_for(lambda: testbed.state("fit01") == "off")
    testbed.order("fit01", "on")


@pytest.mark.e2e
def test_another_image_at_the_same_place_is_not_the_one_of_the_last_run(
    testbed: Commands,
) -> None:
    images = testbed.directory / "images"
    mine = images / "mine.ndz"
    mine.write_bytes((images / "sample.ndz").read_bytes())
    try:
        with testbed.unreachable("fit02", "cmc"):
            testbed.run("imaging-load", "-i", "mine", "1-2")
        dry = testbed.run("imaging-load", "--retry-last", "--dry-run")
        assert "would load mine (10 MiB) on 1 node: fit02" in dry.stdout
        mine.write_bytes(ndz_samples.RAW.read())
        other = testbed.run("imaging-load", "--retry-last")
    finally:
        mine.unlink()
    assert other.returncode == 2
    assert "is not the image of the last run any more" in other.stderr


@given(st.integers(1, 1000), st.integers(1, 100))
def test_a_percentage_is_rounded_up(total: int, percent: int) -> None:
    quorum = read_quorum(None, None, f"{percent}%")  # type: ignore[arg-type]
    assert quorum is not None
    needed = quorum(total)
    assert needed * 100 >= total * percent
    assert (needed - 1) * 100 < total * percent


def test_more_than_all_cannot_be_fine() -> None:
    quorum = read_quorum(None, None, "4")  # type: ignore[arg-type]
    assert quorum is not None
    assert quorum(4) == 4
    with pytest.raises(ConfigurationError):
        quorum(3)
