"""Each fault of disk, client, imagezip and server, as it is met at a node's console."""

import os
import socket
import time

import pytest

from imaging.frisbee.dialect import ClientDialect, Progress, Wrote
from imaging.testbed.sample_image import write_disk
from tests.commands import Commands, processes_of, sha256, wait_for
from tests.wires import connection, control, hear, image_server, shell, type_command

pytestmark = pytest.mark.e2e

NODE = "fit01"
CHUNK = 1 << 20


def blank(testbed: Commands) -> None:
    disk = testbed.disk(NODE)
    size = disk.stat().st_size
    os.truncate(disk, 0)
    os.truncate(disk, size)


def receive(testbed: Commands, **kinds: str) -> tuple[int, bytes]:
    """Run the client on the node, with these faults."""
    blank(testbed)
    testbed.boot_ramdisk(NODE)
    for kind, what in kinds.items():
        testbed.set_fault(NODE, **{kind: what})
    with image_server(testbed) as (options, _):
        return shell(testbed, NODE, f"frisbee {options}")


# --- the disk


def test_there_is_no_disk(testbed: Commands) -> None:
    testbed.boot_ramdisk(NODE)
    testbed.set_fault(NODE, disk="missing")
    status, said = shell(testbed, NODE, "blockdev --getsize64 /dev/sda")
    assert status == 1
    assert b"cannot open /dev/sda" in said
    assert shell(testbed, NODE, "frisbee -m 239.1.1.1 -p 1 /dev/sda")[0] == 1
    assert shell(testbed, NODE, "imagezip /dev/sda -")[0] == 1
    testbed.clear_faults()
    assert shell(testbed, NODE, "blockdev --getsize64 /dev/sda")[0] == 0


def test_the_disk_is_small(testbed: Commands) -> None:
    status, said = receive(testbed, disk="small:8388608")
    assert status == 1
    assert b"Short write!" in said or b"No space left on device" in said
    _, said = shell(testbed, NODE, "blockdev --getsize64 /dev/sda")
    assert b"8388608" in said


def test_the_disk_breaks_when_half_is_written(testbed: Commands) -> None:
    status, said = receive(testbed, disk="error")
    assert status == 1
    assert b"Joined the team" in said
    assert b"Input/output error" in said
    assert sha256(testbed.disk(NODE)) != testbed.expected_disk()


def test_the_disk_breaks_when_half_is_read(testbed: Commands) -> None:
    testbed.boot_ramdisk(NODE)
    write_disk(testbed.disk(NODE), 8 * CHUNK, 7)
    testbed.set_fault(NODE, disk="error")
    status, said = shell(testbed, NODE, "imagezip -r /dev/sda - > /dev/null")
    os.truncate(testbed.disk(NODE), testbed.disk("fit02").stat().st_size)
    assert status == 1
    assert b"reading input file: Input/output error" in said


# --- the client


def test_there_is_no_client(testbed: Commands) -> None:
    testbed.boot_ramdisk(NODE)
    testbed.set_fault(NODE, client="missing*1")
    status, said = shell(testbed, NODE, "frisbee -m 239.1.1.1 -p 1 /dev/sda")
    assert (status, b"not found" in said) == (127, True)


def test_the_client_fails_midway(testbed: Commands) -> None:
    status, said = receive(testbed, client="fail:7*1")
    assert status == 7
    assert b"Joined the team" in said
    assert b"Network is down" in said
    assert testbed.fault(NODE, "client") == ""
    assert sha256(testbed.disk(NODE)) != testbed.expected_disk()


def test_the_client_stalls_midway(testbed: Commands) -> None:
    testbed.boot_ramdisk(NODE)
    testbed.set_fault(NODE, client="stall*1")
    with (
        image_server(testbed) as (options, _),
        connection(control(testbed, NODE), 2323) as console,
    ):
        type_command(console, f"frisbee {options}")
        wait_for(lambda: testbed.fault(NODE, "client") == "")
        said, _ = hear(console, 1.5)
        assert b"Joined the team" in said
        assert hear(console, 0.4) == (b"", False)
    # the end of the connection ends it, stopped or not
    wait_for(lambda: processes_of("imaging.testbed.faulty", testbed.directory) == [])
    wait_for(lambda: processes_of("imaging-frisbee -", testbed.directory) == [])


def test_the_client_speaks_the_old_dialect(testbed: Commands) -> None:
    status, said = receive(testbed, client="old-dialect")
    assert status == 0
    assert b"Progress: 100%" in said
    assert b"..." not in said.partition(b"Joined")[2]
    events = ClientDialect().feed(said.decode("utf-8", "replace"))
    assert len([event for event in events if isinstance(event, Progress)]) > 3
    assert any(isinstance(event, Wrote) for event in events)
    assert sha256(testbed.disk(NODE)) == testbed.expected_disk(like="fit02")


def test_the_client_prints_garbage_and_works(testbed: Commands) -> None:
    status, said = receive(testbed, client="garbage")
    assert status == 0
    assert len(set(said)) == 256
    assert sha256(testbed.disk(NODE)) == testbed.expected_disk(like="fit02")


def test_the_client_prints_garbage_and_fails(testbed: Commands) -> None:
    testbed.boot_ramdisk(NODE)
    testbed.set_fault(NODE, client="garbage-fail:9")
    status, said = shell(testbed, NODE, "frisbee -m 239.1.1.1 -p 1 /dev/sda")
    assert status == 9
    assert len(set(said)) == 256


def test_the_client_is_killed_midway(testbed: Commands) -> None:
    status, said = receive(testbed, client="killed")
    assert status == 137
    assert b"Joined the team" in said
    assert b"Left the team" not in said


def test_the_power_goes_midway_in_the_client_s_work(testbed: Commands) -> None:
    blank(testbed)
    testbed.boot_ramdisk(NODE)
    testbed.set_fault(NODE, power="cut*1")
    with (
        image_server(testbed) as (options, _),
        connection(control(testbed, NODE), 2323) as console,
    ):
        type_command(console, f"frisbee {options}")
        wait_for(lambda: testbed.state(NODE) == "off")
        said, closed = hear(console, 0.3)
        assert b"Joined the team" in said
        assert not closed
    assert sha256(testbed.disk(NODE)) != testbed.expected_disk(like="fit02")


# --- imagezip


@pytest.fixture(scope="module")
def proper(shared_testbed: Commands) -> bytes:
    """What imagezip says of the disk of the tests below, and what they restore it from."""
    disk = shared_testbed.directory / "content.img"
    write_disk(disk, 8 * CHUNK, 7)
    done = shared_testbed.run("imaging-imagezip", "-z1", disk, "content.ndz")
    assert done.returncode == 0, done.stderr
    return (shared_testbed.directory / "content.ndz").read_bytes()


def save(testbed: Commands, what: str) -> tuple[int, bytes, bytes]:
    """Run imagezip on the node: its status, its words, and its image."""
    testbed.boot_ramdisk(NODE)
    size = testbed.disk("fit02").stat().st_size
    testbed.disk(NODE).write_bytes((testbed.directory / "content.img").read_bytes())
    os.truncate(testbed.disk(NODE), size)
    testbed.set_fault(NODE, imagezip=what)
    status, said = shell(testbed, NODE, "imagezip -z1 /dev/sda - > out.ndz")
    image = testbed.disk(NODE).with_name("out.ndz")
    try:
        return status, said, image.read_bytes()
    finally:
        image.unlink()


def test_imagezip_fails_midway(testbed: Commands, proper: bytes) -> None:
    status, said, image = save(testbed, "fail:3*1")
    assert status == 3
    assert b"Input/output error" in said
    assert 0 < len(image) < len(proper)
    assert proper.startswith(image)


def test_imagezip_is_slow(testbed: Commands, proper: bytes) -> None:
    started = time.monotonic()
    assert save(testbed, "slow:1*1")[::2] == (0, proper)
    assert time.monotonic() - started >= 1


def test_imagezip_cuts_its_last_chunk(testbed: Commands, proper: bytes) -> None:
    status, said, image = save(testbed, "truncated*1")
    assert status == 0
    assert f"Image size: {len(proper)} bytes".encode() in said
    assert image == proper[: -CHUNK // 2]


def test_imagezip_flips_bytes(testbed: Commands, proper: bytes) -> None:
    status, _, image = save(testbed, "corrupted*1")
    assert status == 0
    assert len(image) == len(proper)
    assert sum(map(int.__ne__, image, proper)) == 16
    (testbed.directory / "corrupted.ndz").write_bytes(image)
    assert testbed.run("imaging-imageunzip", "corrupted.ndz", "/dev/null").returncode == 1


def test_imagezip_sends_nothing(testbed: Commands, proper: bytes) -> None:
    testbed.boot_ramdisk(NODE)
    testbed.set_fault(NODE, imagezip="silent*1")
    address = control(testbed, NODE)
    host = f"127.{address.split('.')[1]}.254.254"
    with socket.create_server((host, 0)) as listener, connection(address, 2323) as console:
        type_command(console, f"imagezip /dev/sda - | nc {host} {listener.getsockname()[1]}")
        listener.settimeout(10)
        stream, _ = listener.accept()
        with stream:
            assert hear(stream, 0.5) == (b"", False)


# --- the servers that fail


@pytest.mark.parametrize(
    ("server", "status", "words"),
    [
        ("frisbeed-refuses-port", 98, "Could not bind to port 19999!"),
        ("frisbeed-dies", 1, "could not allocate memory"),
    ],
)
def test_a_server_ends(testbed: Commands, server: str, status: int, words: str) -> None:
    testbed.boot_ramdisk(NODE)
    with (
        image_server(testbed, f"faults/{server}") as (options, process),
        connection(control(testbed, NODE), 2323) as console,
    ):
        type_command(console, f"frisbee {options}")
        _, errors = process.communicate(timeout=20)
        assert process.returncode == status
        if status == 1:
            assert words in errors
            assert b"Joined the team" in hear(console, 0.3)[0]


def test_a_server_never_gets_ready(testbed: Commands) -> None:
    process = testbed.start("faults/frisbeed-silent", "-m", "239.1.1.1", "-p", "1", "x")
    time.sleep(0.4)
    assert process.poll() is None
    process.kill()
    assert process.communicate() == ("", "")


@pytest.mark.parametrize("server", ["frisbeed-ignores", "frisbeed-hangs"])
def test_a_server_stays_and_serves_no_more(testbed: Commands, server: str) -> None:
    testbed.boot_ramdisk(NODE)
    with (
        image_server(testbed, f"faults/{server}") as (options, process),
        connection(control(testbed, NODE), 2323) as console,
    ):
        type_command(console, f"frisbee {options}")
        said, _ = hear(console, 2)
        assert (b"Joined the team" in said) == (server == "frisbeed-hangs")
        assert b"ended:" not in said.partition(b"Using")[2]
        assert hear(console, 0.4) == (b"", False)
        assert process.poll() is None
