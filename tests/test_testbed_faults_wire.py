"""Each fault of card, firmware, telnet, ssh and power, as it is met on the node's wires."""

import os
import socket
import time
from collections.abc import Callable, Iterator

import pytest

from imaging.testbed.sample_image import boot_sector
from tests.commands import Commands, processes_of, wait_for
from tests.wires import (
    ask,
    card,
    connection,
    control,
    hear,
    hear_until,
    is_refused,
    shell,
    type_command,
)

pytestmark = pytest.mark.e2e

NODE = "fit01"  # its telnetd is busybox's
SYSTEM_DISK = boot_sector(98304)


@pytest.fixture
def link(testbed: Commands) -> Iterator[None]:
    testbed.link_place(NODE).symlink_to("pxefrisbee")
    yield
    testbed.link_place(NODE).unlink()


def restart(testbed: Commands) -> None:
    testbed.order(NODE, "off")
    wait_for(lambda: testbed.state(NODE) == "off")
    testbed.order(NODE, "on")


def boot_system(testbed: Commands) -> None:
    with testbed.disk(NODE).open("r+b") as disk:
        disk.write(SYSTEM_DISK)
    restart(testbed)
    wait_for(lambda: testbed.state(NODE) == "system")


# --- the power card


def test_a_card_refuses(testbed: Commands) -> None:
    testbed.set_fault(NODE, cmc="refuse*1")
    assert is_refused(card(testbed, NODE), 8080)
    assert testbed.fault(NODE, "cmc") == ""
    assert testbed.order(NODE, "status") in ("on", "off")


def test_a_card_hangs(testbed: Commands) -> None:
    testbed.set_fault(NODE, cmc="hang*1")
    assert ask(testbed, NODE, "status", 0.3) == (b"", False)


def test_a_card_is_late(testbed: Commands) -> None:
    testbed.set_fault(NODE, cmc="late:0.4")
    started = time.monotonic()
    assert testbed.order(NODE, "status") in ("on", "off")
    assert time.monotonic() - started >= 0.4


def test_a_card_talks_garbage(testbed: Commands) -> None:
    testbed.set_fault(NODE, cmc="garbage")
    heard, closed = ask(testbed, NODE, "status")
    assert closed
    assert len(heard) == 4096
    assert b"HTTP" not in heard


def test_a_card_has_an_internal_error_and_does_nothing(testbed: Commands) -> None:
    testbed.order(NODE, "on")
    testbed.set_fault(NODE, cmc="http-500*1")
    heard, _ = ask(testbed, NODE, "off")
    assert heard.startswith(b"HTTP/1.1 500 ")
    assert testbed.order(NODE, "status") == "on"


def test_a_card_drips(testbed: Commands) -> None:
    testbed.set_fault(NODE, cmc="slow-drip")
    heard, closed = ask(testbed, NODE, "status", 0.8)
    assert not closed
    assert heard in (b"H", b"HT")


def test_a_card_does_not_know(testbed: Commands) -> None:
    testbed.set_fault(NODE, cmc="wrong-status")
    assert testbed.order(NODE, "status") == "maybe"


def test_a_card_says_ok_and_does_nothing(testbed: Commands) -> None:
    testbed.boot_ramdisk(NODE)
    testbed.set_fault(NODE, cmc="ignore-reset*2+ignore-off*1+ignore-on*1")
    for verb in ("reset", "reset", "off"):
        assert testbed.order(NODE, verb) == "ok"
        assert testbed.state(NODE) == "ramdisk"
    assert testbed.fault(NODE, "cmc") == "ignore-on*1"
    assert testbed.order(NODE, "off") == "ok"
    assert testbed.order(NODE, "on") == "ok"
    assert testbed.order(NODE, "status") == "off"
    assert testbed.fault(NODE, "cmc") == ""


# --- the firmware


@pytest.mark.usefixtures("link")
def test_the_firmware_never_boots(testbed: Commands) -> None:
    testbed.set_fault(NODE, boot="never*1")
    restart(testbed)
    time.sleep(0.5)
    assert testbed.state(NODE) == "firmware"
    testbed.order(NODE, "reset")
    wait_for(lambda: testbed.state(NODE) == "ramdisk")


@pytest.mark.usefixtures("link")
def test_the_firmware_boots_the_disk_in_spite_of_the_link(testbed: Commands) -> None:
    testbed.set_fault(NODE, boot="old-system*1")
    boot_system(testbed)
    testbed.order(NODE, "reset")
    wait_for(lambda: testbed.state(NODE) == "ramdisk")


@pytest.mark.usefixtures("link")
def test_the_firmware_takes_its_time(testbed: Commands) -> None:
    testbed.set_fault(NODE, boot="slow:0.6")
    started = time.monotonic()
    restart(testbed)
    wait_for(lambda: testbed.state(NODE) == "ramdisk")
    assert time.monotonic() - started > 0.8


@pytest.mark.usefixtures("link")
def test_the_ramdisk_is_an_old_one(testbed: Commands) -> None:
    testbed.set_fault(NODE, boot="old-ramdisk*1")
    restart(testbed)
    wait_for(lambda: testbed.state(NODE) == "ramdisk")
    _, said = shell(testbed, NODE, "cat /proc/uptime")
    assert b"8640" in said
    testbed.order(NODE, "reset")
    wait_for(lambda: testbed.state(NODE) != "ramdisk")
    wait_for(lambda: testbed.state(NODE) == "ramdisk")
    _, said = shell(testbed, NODE, "cat /proc/uptime")
    assert b"8640" not in said


# --- telnet


Connect = Callable[[str], socket.socket]


@pytest.fixture
def at_console(testbed: Commands) -> Iterator[Connect]:
    """Set a fault of telnet, and connect to the ramdisk."""
    streams = []

    def connect(what: str) -> socket.socket:
        testbed.boot_ramdisk(NODE)
        testbed.set_fault(NODE, telnet=what)
        streams.append(socket.create_connection((control(testbed, NODE), 2323), timeout=5))
        return streams[-1]

    yield connect
    for stream in streams:
        stream.close()


def test_telnet_is_silent(at_console: Connect) -> None:
    stream = at_console("silent*1")
    stream.sendall(b"echo $((6 * 7))\r\n")
    assert hear(stream, 0.4) == (b"", False)


def test_telnet_never_ends_its_questions(at_console: Connect) -> None:
    stream = at_console("no-negotiation*1")
    greeting, _ = hear(stream, 0.2)
    assert greeting.startswith(b"\xff")
    # every answer, and then nothing
    stream.sendall(b"".join(b"\xff\xfc" + bytes([option]) for option in greeting[2::3]))
    stream.sendall(b"echo $((6 * 7))\r\n")
    assert hear(stream, 0.3) == (b"", False)


def test_telnet_asks_for_a_login_and_lets_nobody_in(at_console: Connect) -> None:
    stream = at_console("login*1")
    heard = hear_until(stream, b"login: ")
    assert heard.endswith(b"fit01 login: ")
    for _ in range(2):
        stream.sendall(b"root\r\n")
        assert hear_until(stream, b"Password: ")
        stream.sendall(b"secret\r\n")
        assert b"Login incorrect" in hear_until(stream, b"login: ")


def test_telnet_drops_after_so_many_bytes(at_console: Connect) -> None:
    stream = at_console("drop-after:500*1")
    stream.sendall(b"yes\r\n")
    heard, closed = hear(stream, 5)
    assert closed
    assert 500 <= len(heard) <= 600  # the greeting is not counted


def test_telnet_floods(at_console: Connect) -> None:
    stream = at_console("flood*1")
    heard, closed = hear(stream, 0.3)
    assert not closed
    assert len(heard) > 100_000


def test_telnet_talks_garbage(at_console: Connect) -> None:
    stream = at_console("garbage*1")
    heard, closed = hear(stream, 0.3)
    assert not closed
    assert len(heard) > 4096
    assert len(set(heard)) == 256


# --- ssh


def test_ssh_refuses(testbed: Commands) -> None:
    boot_system(testbed)
    testbed.set_fault(NODE, ssh="refuse*1")
    assert is_refused(control(testbed, NODE), 2222)
    with connection(control(testbed, NODE), 2222) as stream:
        assert hear_until(stream, b"\r\n").startswith(b"SSH-2.0")


def test_ssh_hangs(testbed: Commands) -> None:
    boot_system(testbed)
    testbed.set_fault(NODE, ssh="hang")
    with connection(control(testbed, NODE), 2222) as stream:
        assert hear(stream, 0.4) == (b"", False)


def test_ssh_talks_garbage(testbed: Commands) -> None:
    boot_system(testbed)
    testbed.set_fault(NODE, ssh="garbage")
    with connection(control(testbed, NODE), 2222) as stream:
        heard, _ = hear(stream, 0.2)
    assert len(heard) >= 4096
    assert b"SSH" not in heard


def login(testbed: Commands) -> str:
    """The outcome of one attempt to log in, in a process of its own."""
    client = (
        "import asyncio, sys, asyncssh\n"
        "async def main(host, key):\n"
        "    async with asyncssh.connect(host, 2222, username='root', known_hosts=None,\n"
        "            client_keys=[key], config=None) as connection:\n"
        "        print((await connection.run('hostname')).stdout)\n"
        "try: asyncio.run(main(*sys.argv[1:]))\n"
        "except (OSError, asyncssh.Error) as error: print(type(error).__name__)\n"
    )
    key = testbed.directory / "ssh" / "id_ed25519"
    words = ["-W", "ignore", "-c", client, control(testbed, NODE), str(key)]
    return testbed.run("python", *words).stdout.strip()


@pytest.mark.parametrize(
    ("what", "outcomes"),
    [
        ("wrong-key*1", ["PermissionDenied"]),
        ("closes*1", ["ConnectionLost", "ChannelOpenError"]),
    ],
)
def test_ssh_lets_nobody_stay(testbed: Commands, what: str, outcomes: list[str]) -> None:
    boot_system(testbed)
    testbed.set_fault(NODE, ssh=what)
    assert login(testbed) in outcomes
    assert login(testbed) == NODE


# --- power, and the connection, in the middle of imagezip's work


def start_save(testbed: Commands, listener: socket.socket, console: socket.socket) -> socket.socket:
    """Have the node send its disk, as imaging-save does; returns the stream."""
    disk, size = testbed.disk(NODE), testbed.disk(NODE).stat().st_size
    disk.write_bytes(SYSTEM_DISK)  # its image is one chunk, whatever other tests have left
    os.truncate(disk, size)
    host, port = listener.getsockname()
    type_command(console, f"imagezip -z1 -r /dev/sda - | nc {host} {port}")
    listener.settimeout(10)
    stream, _ = listener.accept()
    return stream


def test_the_power_goes_and_nobody_is_told(testbed: Commands) -> None:
    testbed.boot_ramdisk(NODE)
    testbed.set_fault(NODE, power="cut*1")
    address = control(testbed, NODE)
    with (
        connection(address, 2323) as console,
        socket.create_server((f"127.{address.split('.')[1]}.254.254", 0)) as listener,
        start_save(testbed, listener, console) as stream,
    ):
        wait_for(lambda: testbed.state(NODE) == "off")
        heard, closed = hear(stream, 0.5)
        assert 0 < len(heard) < 1 << 20
        assert not closed
        hear(console, 0.1)
        # nothing that is sent is acknowledged, and no new connection is made or refused
        console.sendall(b"echo $((6 * 7))\r\n")
        assert hear(console, 0.4) == (b"", False)
        with pytest.raises(TimeoutError):
            socket.create_connection((address, 2323), timeout=0.5)
        assert testbed.order(NODE, "status") == "off"
        testbed.order(NODE, "reset")
        testbed.order(NODE, "off")
        assert hear(console, 0.2) == (b"", False)
        testbed.order(NODE, "on")
        wait_for(lambda: testbed.state(NODE) == "system")
        # the stream's end stays behind what was never acknowledged, so that nobody hears of it
        assert hear(console, 5)[1]
    # what ran on it has ended, frozen or not
    assert processes_of("imaging.testbed.netcat", testbed.directory) == []


def test_telnet_drops_midway(testbed: Commands) -> None:
    testbed.boot_ramdisk(NODE)
    testbed.set_fault(NODE, telnet="drop*1")
    address = control(testbed, NODE)
    with (
        connection(address, 2323) as console,
        socket.create_server((f"127.{address.split('.')[1]}.254.254", 0)) as listener,
        start_save(testbed, listener, console) as stream,
    ):
        assert hear(console, 10)[1]
        assert hear(stream, 10)[1]
    assert testbed.state(NODE) == "ramdisk"
    assert shell(testbed, NODE, "true")[0] == 0
