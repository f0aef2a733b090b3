"""A virtual node as it is seen from its wires: firmware, ramdisk, disk, power."""

import os
import socket
import struct
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from imaging.testbed.sample_image import boot_sector
from tests.commands import Commands, processes_of, wait_for

pytestmark = pytest.mark.e2e

NODE = "fit01"


def is_open(address: str, port: int) -> bool:
    try:
        with socket.create_connection((address, port), timeout=1):
            return True
    except OSError:
        return False


def console_answers(testbed: Commands) -> bool:
    return is_open(testbed.interface(NODE, "control")["ip"], 2323)


def ssh_answers(testbed: Commands) -> bool:
    return is_open(testbed.interface(NODE, "control")["ip"], 2222)


def blank(testbed: Commands) -> None:
    disk = testbed.disk(NODE)
    size = disk.stat().st_size
    os.truncate(disk, 0)
    os.truncate(disk, size)


def reboot(testbed: Commands, state: str) -> None:
    testbed.order(NODE, "off")
    wait_for(lambda: testbed.state(NODE) == "off")
    testbed.order(NODE, "on")
    wait_for(lambda: testbed.state(NODE) == state)


@pytest.fixture
def place(testbed: Commands) -> Iterator[None]:
    yield
    testbed.link_place(NODE).unlink(missing_ok=True)


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize(
    ("target", "state"),
    [
        ("pxefrisbee", "ramdisk"),
        ("./pxefrisbee", "ramdisk"),
        ("../pxelinux.cfg/pxefrisbee", "ramdisk"),
        ("no-such-config", "dead"),
        ("default", "dead"),
    ],
)
def test_the_firmware_obeys_the_link(testbed: Commands, target: str, state: str) -> None:
    blank(testbed)
    testbed.link_place(NODE).symlink_to(target)
    reboot(testbed, state)
    assert console_answers(testbed) == (state == "ramdisk")


@pytest.mark.parametrize(
    ("sector", "state"),
    [
        (bytes(512), "dead"),
        (bytes(510) + b"\x55\xaa", "dead"),
        (boot_sector(98304)[:510] + b"\0\0", "dead"),
        (boot_sector(98304), "system"),
    ],
    ids=["blank", "signature-only", "partition-only", "both"],
)
def test_ssh_comes_up_only_from_a_disk_that_can_boot(
    testbed: Commands, sector: bytes, state: str
) -> None:
    blank(testbed)
    with testbed.disk(NODE).open("r+b") as disk:
        disk.write(sector)
    reboot(testbed, state)
    assert ssh_answers(testbed) == (state == "system")
    assert not console_answers(testbed)


def test_a_reset_kills_what_ran_and_closes_its_ports(testbed: Commands) -> None:
    blank(testbed)
    testbed.boot_ramdisk(NODE)
    address, sleeping = testbed.interface(NODE, "control")["ip"], "sleep 98.765"
    with socket.create_connection((address, 2323), timeout=5) as stream:
        stream.sendall(b"setsid sleep 98.765 & sleep 98.765\r\n")
        wait_for(lambda: len(processes_of(sleeping)) == 2)
        assert testbed.order(NODE, "reset") == "ok"
        stream.settimeout(5)
        while stream.recv(4096):
            pass
    wait_for(lambda: testbed.state(NODE) == "dead")
    assert not console_answers(testbed)
    assert processes_of(sleeping) == []


def test_without_power_nothing_answers(testbed: Commands) -> None:
    testbed.boot_ramdisk(NODE)
    assert testbed.order(NODE, "status") == "on"
    assert testbed.order(NODE, "off") == "ok"
    assert testbed.order(NODE, "status") == "off"
    wait_for(lambda: testbed.state(NODE) == "off")
    assert not console_answers(testbed)
    # a reset gives no power
    assert testbed.order(NODE, "reset") == "ok"
    assert testbed.order(NODE, "status") == "off"
    assert testbed.order(NODE, "on") == "ok"
    assert testbed.order(NODE, "status") == "on"


def test_on_does_not_restart_a_node_that_is_on(testbed: Commands) -> None:
    testbed.boot_ramdisk(NODE)
    testbed.order(NODE, "on")
    time.sleep(0.1)
    assert testbed.state(NODE) == "ramdisk"


def uptime(testbed: Commands) -> float:
    address = testbed.interface(NODE, "control")["ip"]
    with socket.create_connection((address, 2323), timeout=5) as stream:
        stream.sendall(b"printf '<%s>' \"$(cat /proc/uptime)\"; exit\r\n")
        heard = b""
        while data := stream.recv(4096):
            heard += data
    return float(heard.rpartition(b"<")[2].split()[0])


def test_the_uptime_is_the_node_s_own(testbed: Commands) -> None:
    testbed.boot_ramdisk(NODE)
    first = uptime(testbed)
    time.sleep(0.5)
    assert 0.4 <= uptime(testbed) - first <= 3
    testbed.boot_ramdisk(NODE)
    assert uptime(testbed) < first + 0.4


def test_the_card_answers_as_a_card(testbed: Commands) -> None:
    assert "node fit01" in testbed.order(NODE, "info")
    with pytest.raises(urllib.error.HTTPError, match="404"):
        testbed.order(NODE, "explode")


@pytest.mark.parametrize("data", [b"", b"\0\xff\n\n", b"GET /off\r\n" * 3, b"x" * 100_000])
def test_a_card_survives_rubbish(testbed: Commands, data: bytes) -> None:
    address = testbed.interface(NODE, "cmc")["ip"]
    with socket.create_connection((address, 8080), timeout=5) as stream:
        stream.sendall(data)
    assert testbed.order(NODE, "status") in ("on", "off")


def test_the_owner_of_the_key_gets_a_few_commands_by_ssh(testbed: Commands) -> None:
    ssh = subprocess.run(["sh", "-c", "command -v ssh"], capture_output=True, check=False)
    if ssh.returncode:
        pytest.skip("there is no ssh client on this machine")
    blank(testbed)
    with testbed.disk(NODE).open("r+b") as disk:
        disk.write(boot_sector(98304))
    reboot(testbed, "system")
    words = [
        "ssh", "-p", "2222", "-i", str(testbed.directory / "ssh" / "id_ed25519"),
        "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
        "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-F", "none",
        f"root@{testbed.interface(NODE, 'control')['ip']}",
    ]  # fmt: skip
    told = subprocess.run([*words, "hostname"], capture_output=True, text=True, check=False)
    assert told.stdout == "fit01\n", told.stderr
    told = subprocess.run([*words, "id; ls"], capture_output=True, text=True, check=False)
    assert told.returncode == 127
    testbed.order(NODE, "off")
    wait_for(lambda: not ssh_answers(testbed))


def reset_connection(address: str, port: int, data: bytes = b"") -> None:
    """Connect, send, and reset the connection instead of closing it."""
    with socket.create_connection((address, port), timeout=5) as stream:
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        stream.sendall(data)


def test_connections_that_are_reset_harm_nobody(testbed: Commands) -> None:
    testbed.boot_ramdisk(NODE)
    control, card = (testbed.interface(NODE, kind)["ip"] for kind in ("control", "cmc"))
    for _ in range(30):
        reset_connection(card, 8080)
        reset_connection(card, 8080, b"GET /status HTTP/1.1\r\nHost: x\r\n\r\n")
        reset_connection(control, 2323)
        reset_connection(control, 2323, b"yes x | head -c 300000\n")
    with socket.create_connection((control, 2323), timeout=5) as noisy:
        noisy.sendall(b"yes x | head -c 3000000\n")
        wait_for(lambda: len(noisy.recv(65536)) > 1000)
        noisy.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert testbed.order(NODE, "status") == "on"
    assert testbed.state(NODE) == "ramdisk"


@pytest.mark.parametrize("method", ["HEAD", "POST"])
def test_a_card_takes_get_only_and_survives_the_rest(testbed: Commands, method: str) -> None:
    address = testbed.interface(NODE, "cmc")["ip"]
    request = urllib.request.Request(f"http://{address}:8080/off", method=method)
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=5)
    assert caught.value.code == 405
    caught.value.close()
    assert testbed.order(NODE, "status") == "on"
