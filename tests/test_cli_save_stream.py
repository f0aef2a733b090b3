"""What comes of a save when the stream of the image is not as it should be."""

import os
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.commands import Commands, wait_for
from tests.saves import IMAGEZIP, NETCAT, images_of, load_a_disk_worth_saving, names, sending

pytestmark = pytest.mark.e2e


@pytest.fixture
def images(testbed: Commands) -> Iterator[Path]:
    with images_of(testbed) as folder:
        yield folder


@pytest.fixture(scope="module", autouse=True)
def loaded(shared_testbed: Commands) -> None:
    load_a_disk_worth_saving(shared_testbed)


@pytest.mark.parametrize(
    ("kind", "reason", "words"),
    [
        ("fails at once", "imagezip-failed", "imagezip ended with status 3: some last words"),
        ("fails midway", "imagezip-failed", "imagezip ended with status 1: reading input file"),
        ("is missing", "imagezip-failed", "no-such-tool"),
        ("is cut within a chunk", "incomplete-image", "the stream ended after 451424 of"),
        ("loses a chunk", "incomplete-image", "9437184 of the 10485760 bytes arrived"),
        ("is damaged", "incomplete-image", "inflate failed"),
        ("is garbage", "incomplete-image", "Bad Magic Number"),
        ("says no size", "imagezip-failed", "did not say the image's size"),
        ("is empty", "incomplete-image", "the image is empty"),
    ],
)
def test_a_save_that_is_not_whole_leaves_nothing(
    testbed: Commands, images: Path, kind: str, reason: str, words: str
) -> None:
    sample = images / "sample.ndz"
    settings = {
        "fails at once": "imagezip = sh -c 'echo some last words >&2; exit 3'",
        "fails midway": sending(
            sample,
            through=" | head -c 3000000",
            end='; echo "reading input file: Input/output error" >&2; exit 1',
        ),
        "is missing": "imagezip = no-such-tool",
        "is cut within a chunk": sending(sample, through=" | head -c 1500000", size=1500000),
        "loses a chunk": sending(sample, through=" | head -c 9437184"),
        "is damaged": sending(
            sample,
            through=" | (dd bs=1 count=20000; head -c 16 /dev/urandom; dd bs=1 skip=16 "
            "count=100000; cat) 2>/dev/null",
        ),
        "is garbage": sending(sample, through=' | tr "\\000-\\377" "\\001-\\377\\000"'),
        "says no size": f"imagezip = sh -c 'cat \"{sample}\"'",
        "is empty": sending(sample, through=" | head -c 0", size=0),
    }
    before = names(images)
    with testbed.setting(IMAGEZIP, settings[kind]):
        done = testbed.run("imaging-save", "-o", "broken", "1")
    assert done.returncode == 1
    assert f"fit01: FAILED at transfer ({reason})" in done.stdout
    assert words in done.stdout
    assert names(images) == before
    assert testbed.links() == []
    wait_for(lambda: testbed.state("fit01") == "system")


def test_openbsds_netcat_works_too(testbed: Commands, images: Path) -> None:
    flavour = "netcat = nc --flavour=openbsd\nnetcat_flavour = openbsd\n"
    with testbed.setting(NETCAT, flavour):
        done = testbed.run("imaging-save", "-o", "openbsd", "1")
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("netcat", "words"),
    [
        # openbsd's without -N waits for the other side when its input has ended
        ("nc --flavour=openbsd", "imagezip has ended: is [ramdisk] netcat_flavour right?"),
        ("sh -c 'exec sleep 60'", "its netcat did not connect within 1 s"),
        ("sh -c 'exec nc \"$@\" < /dev/zero | sleep 60' -", ""),
    ],
)
def test_a_netcat_that_hangs_is_told_as_stalled(
    testbed: Commands, images: Path, netcat: str, words: str
) -> None:
    before = names(images)
    with (
        testbed.setting(NETCAT, f"netcat = {netcat}\n"),
        testbed.setting("connect_timeout_s = 5", "connect_timeout_s = 1"),
        testbed.setting("stall_timeout_s = 10", "stall_timeout_s = 1"),
    ):
        done, elapsed = testbed.timed("imaging-save", "-o", "stalled", "1")
    assert done.returncode == 1
    if words:
        assert "fit01: FAILED at transfer (stalled)" in done.stdout
    assert words in done.stdout
    assert elapsed < 10
    assert names(images) == before


def test_a_netcat_that_ends_early_is_told(testbed: Commands, images: Path) -> None:
    with testbed.setting(NETCAT, "netcat = sh -c 'echo cannot connect >&2; exit 1'\n"):
        done = testbed.run("imaging-save", "-o", "early", "1")
    assert done.returncode == 1
    assert "(netcat-failed): netcat ended with status 1" in done.stdout
    assert "cannot connect" in done.stdout


def test_a_stream_that_is_known_to_be_bad_is_told_at_once(testbed: Commands, images: Path) -> None:
    zeros = "sh -c 'head -c 1048576 /dev/zero; sleep 60'"
    with testbed.setting(IMAGEZIP, f"imagezip = {zeros}"):
        done, elapsed = testbed.timed("imaging-save", "-o", "bad", "1")
    assert "Bad Magic Number" in done.stdout
    assert elapsed < 5


def test_a_stranger_who_resets_his_connection_does_not_end_a_save(
    testbed: Commands, images: Path
) -> None:
    late = "sh -c 'sleep 1; exec nc \"$@\"' -"
    with testbed.setting(NETCAT, f"netcat = {late}\n"):
        process = testbed.start("imaging-save", "-o", "calm", "1")
        wait_for((images / ".calm.ndz.partial").exists)
        address = testbed.setting_value("address")
        deadline = time.monotonic() + 1.5
        while time.monotonic() < deadline and process.poll() is None:
            for port in listening_ports(process.pid):
                reset_connection(address, port)
            time.sleep(0.02)
        out, errors = process.communicate(timeout=20)
    assert process.returncode == 0, out + errors


def listening_ports(process: int) -> list[int]:
    """The TCP ports that a process listens on."""
    sockets = set()
    with suppress(OSError):
        for entry in os.listdir(f"/proc/{process}/fd"):
            with suppress(OSError):
                sockets.add(os.readlink(f"/proc/{process}/fd/{entry}"))
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return [
        int(row[1].split(":")[1], 16)
        for row in rows
        if row[3] == "0A" and f"socket:[{row[9]}]" in sockets
    ]


def reset_connection(address: str, port: int) -> None:
    with suppress(OSError), socket.create_connection((address, port), timeout=1) as stream:
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
