"""The ramdisk's own scripts use what the ramdisk has, and nothing else."""

import os
import re
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path

import pytest

SCRIPTS = ("rcS", "ssh.prepare", "ssh.start", "telnet.start", "udhcpc.script")
OF_THE_SHELL = frozenset(
    ("break", "case", "cd", "continue", "do", "done", "echo", "else", "esac", "exec", "exit",
     "export", "fi", "for", "if", "in", "local", "printf", "read", "return", "shift", "then",
     "wait", "while")
)  # fmt: skip
BESIDE_BUSYBOX = frozenset({"dropbear", "dropbearkey", "inetutils-inetd"})
# what begins a command: a line, what joins two, and what runs its arguments
COMMAND = re.compile(
    r"(?:^|[|&;(]|\bdo\b|\bthen\b|\bexec\b|\bxargs\b|-exec)[ \t]*([a-z][a-z0-9-]*)\b(?!=|\(\)|\))",
    re.MULTILINE,
)


def source(name: str) -> str:
    return (files("imaging.ramdisk") / "files" / name).read_text()


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_command_is_in_the_ramdisk(name: str) -> None:
    busybox = shutil.which("busybox")
    if busybox is None:
        pytest.skip("busybox is not installed")
    listed = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True)
    text = re.sub(r"(?m)^\s*(?:#.*|[a-z |]+\))$", "", source(name))
    text = re.sub(r"'[^']*'|\$\(\(.*?\)\)", "''", text)  # patterns and sums
    own = set(re.findall(r"(?m)^([a-z]+)\(\)", text))
    used = set(COMMAND.findall(text)) - OF_THE_SHELL - BESIDE_BUSYBOX - own
    assert used <= set(listed.stdout.split()), used - set(listed.stdout.split())


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_shell_can_read_them(name: str) -> None:
    subprocess.run(["sh", "-n"], input=source(name).encode(), check=True, timeout=10)


def test_nothing_that_hangs_keeps_the_console_from_being_started() -> None:
    """Loops count their rounds; what is waited for is the making of a key, and nothing else."""
    text = source("rcS")
    assert not re.search(r"(?m)^\s*(while|until)\b", text)
    assert re.findall(r"\bwait\b.*", re.sub("(?m)^ *#.*", "", text)) == ["wait $preparing"]


def test_disks_get_their_names_in_the_order_of_their_places(tmp_path: Path) -> None:
    """Whichever answers first, sda is the same one at each boot: an image must not meet another."""
    if shutil.which("busybox") is None:
        pytest.skip("busybox is not installed")
    expected = ["0:0:0:0", "2:0:0:9", "2:0:0:10", "2:0:1:0", "10:0:0:0"]
    for name in ("host2", "target2:0:1", *reversed(expected)):
        (tmp_path / "devices" / name).mkdir(parents=True)
    (tmp_path / "drivers/sd").mkdir(parents=True)
    (tmp_path / "drivers/sd/bind").symlink_to("/dev/stdout")
    found = re.search(r"(?ms)^disks\(\) \{$.*?^\}$", source("rcS"))
    assert found is not None
    script = f"scsi={tmp_path}\n{found[0]}\ndisks\n"
    done = subprocess.run(
        ["busybox", "sh", "-c", script], capture_output=True, text=True, check=True, timeout=10
    )
    assert done.stdout.split() == expected
    assert (tmp_path / "drivers_autoprobe").read_text() == "1\n"


def test_no_disk_is_named_before_all_are_known() -> None:
    text = source("rcS")
    places = [
        text.index(what)
        for what in (
            "echo 0 > $scsi/drivers_autoprobe\n",
            "    for round in",
            "    [ -e $scsi ] && disks",
            "    touch /run/drivers",
            "\ndrivers &\n",
        )
    ]
    assert places == sorted(places)


NAMESPACE = ("unshare", "--net")
RENEWAL = """\
ip link set lo up
ip link add node0 type bridge
ip link set node0 up
export interface=node0 ip=10.9.9.2 mask=24 router=10.9.9.1
udhcpc bound
ip monitor address route &
sleep 0.3
echo renewed; udhcpc renew; ip -4 -o addr show dev node0; ip route
echo moved; ip=10.9.9.3; udhcpc renew; ip -4 -o addr show dev node0; ip route
sleep 0.3
kill $!
"""


def can_have_a_network() -> bool:
    tools = all(map(shutil.which, ("busybox", "ip", "unshare")))
    if not tools or os.geteuid() != 0:
        return False
    probe = [*NAMESPACE, "ip", "link", "add", "x", "type", "bridge"]
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not can_have_a_network(), reason="it needs a network of its own, and root")
def test_a_lease_that_is_renewed_leaves_the_address_alone(tmp_path: Path) -> None:
    """The script uses busybox's ip, and another one looks on."""
    applets = tmp_path / "applets"
    applets.mkdir()
    subprocess.run(["busybox", "--install", "-s", applets], check=True)
    (tmp_path / "udhcpc.script").write_text(source("udhcpc.script"))
    run = f'udhcpc() {{ PATH={applets} {applets}/sh {tmp_path}/udhcpc.script "$@"; }}\n'
    command = [*NAMESPACE, "sh", "-e", "-c", run + RENEWAL]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20)
    renewed, _, moved = done.stdout.partition("renewed\n")[2].partition("moved\n")
    assert "Deleted" not in renewed
    assert "inet 10.9.9.2/24" in renewed
    assert "default via 10.9.9.1 dev node0" in renewed
    assert "Deleted" in moved
    assert "inet 10.9.9.3/24" in moved
    assert moved.rstrip().endswith("10.9.9.0/24 dev node0 proto kernel scope link src 10.9.9.3")
