"""imaging-testbed as its users run it."""

import json
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from conftest import running_testbed
from tests.commands import (
    BIN,
    Commands,
    children_of,
    is_running,
    processes_of,
    user_environment,
    wait_for,
)

pytestmark = pytest.mark.e2e

QUICK = ["-n2", "--disk-size=32", "--ramdisk-boot=0.1", "--os-boot=0.2"]


@pytest.fixture
def commands(tmp_path: Path) -> Commands:
    return Commands(tmp_path, tmp_path)


def listening_addresses(process: int) -> set[str]:
    """The addresses and ports at which a process listens, as the kernel's tables have them."""
    inodes = set()
    for entry in Path(f"/proc/{process}/fd").iterdir():
        if found := re.fullmatch(r"socket:\[(\d+)\]", os.readlink(entry)):
            inodes.add(found[1])
    addresses = set()
    for table in ("tcp", "tcp6", "udp", "udp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[9] in inodes and (fields[3] == "0A" or table.startswith("udp")):
                addresses.add(fields[1])
    return addresses


def test_up_status_and_down(commands: Commands) -> None:
    started = commands.run("imaging-testbed", "up", "bed", "--background", *QUICK)
    assert started.returncode == 0, started.stderr
    assert started.stdout == f"testbed ready: 2 nodes fit01-fit02 in {commands.directory}/bed\n"
    try:
        process = int((commands.directory / "bed" / "testbed.pid").read_text())
        status = commands.run("imaging-testbed", "status", "bed")
        assert status.returncode == 0
        assert [line.split()[0] for line in status.stdout.splitlines()] == ["fit01", "fit02"]
        # it listens on loopback and nowhere else: the last byte of the table's form is the first
        ports = listening_addresses(process)
        assert len(ports) >= 3
        assert all(port.split(":")[0].endswith("7F") for port in ports), ports
        # one testbed per directory
        second = commands.run("imaging-testbed", "up", "bed", *QUICK)
        assert second.returncode == 2
        assert "a testbed is running in" in second.stderr
    finally:
        down = commands.run("imaging-testbed", "down", "bed")
    assert down.returncode == 0, down.stderr
    assert not is_running(process)
    status = commands.run("imaging-testbed", "status", "bed")
    assert status.returncode == 1
    assert status.stdout == "no testbed is running in bed\n"
    again = commands.run("imaging-testbed", "down", "bed")
    assert again.returncode == 2
    assert "no testbed is running in bed" in again.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_and_all_that_ran_on_its_nodes(
    commands: Commands, number: signal.Signals
) -> None:
    process = commands.start("imaging-testbed", "up", "bed", *QUICK)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("testbed ready")
    bed = Commands(commands.directory / "bed", commands.directory)
    bed.boot_ramdisk("fit01")
    load = bed.start("imaging-load", "-n", "1")
    wait_for(lambda: processes_of("frisbee", bed.directory) != [])
    process.send_signal(number)
    process.communicate(timeout=10)
    assert process.returncode == 0
    load.terminate()
    load.communicate(timeout=10)
    wait_for(lambda: processes_of("imaging-frisbee", bed.directory) == [])


def test_a_second_start_keeps_disks_images_and_addresses(commands: Commands) -> None:
    def start() -> str:
        done = commands.run("imaging-testbed", "up", "bed", "--background", *QUICK)
        assert done.returncode == 0, done.stderr
        return (commands.directory / "bed" / "inventory.json").read_text()

    first = start()
    commands.run("imaging-testbed", "down", "bed")
    disk = commands.directory / "bed/nodes/fit01/disk.img"
    disk.write_bytes(b"content")
    image = commands.directory / "bed/images/mine.ndz"
    image.write_bytes(b"an image")
    assert start() == first
    assert disk.read_bytes() == b"content"
    assert image.read_bytes() == b"an image"
    assert commands.run("imaging-testbed", "down", "bed").returncode == 0


def test_cards_are_spoken_to_as_it_was_asked_for(commands: Commands) -> None:
    with running_testbed(
        commands.directory / "bed", commands.directory, *QUICK, "--cards=redfish"
    ) as bed:
        status = bed.run("imaging-status", "1-2")
        assert status.stdout == "fit01: on\nfit02: on\n"
        log = (bed.directory / "testbed.log").read_text()
    assert "fit01 cmc: GET /redfish/v1/Systems/fit01" in log
    assert "GET /status" not in log


def test_two_testbeds_do_not_meet(commands: Commands) -> None:
    addresses = []
    for name in ("one", "two"):
        done = commands.run("imaging-testbed", "up", name, "--background", *QUICK)
        assert done.returncode == 0, done.stderr
        rows = json.loads((commands.directory / name / "inventory.json").read_text())
        addresses += [row[kind]["ip"] for row in rows for kind in ("cmc", "control", "data")]
        addresses += [row[kind]["mac"] for row in rows for kind in ("cmc", "control", "data")]
    assert len(addresses) == len(set(addresses)) == 24
    for name in ("one", "two"):
        assert commands.run("imaging-testbed", "down", name).returncode == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["-n0"], "0 nodes"),
        (["-n1001"], "1001 nodes"),
        (["--disk-size=0"], "a disk of 0 bytes"),
        (["--shell=no-such-shell"], "the shell 'no-such-shell' is not found"),
        (["--telnetd=other"], "--telnetd"),
    ],
)
@pytest.mark.parametrize("background", [[], ["--background"]], ids=["front", "back"])
def test_what_cannot_be_made_is_refused(
    commands: Commands, options: list[str], words: str, background: list[str]
) -> None:
    done = commands.run("imaging-testbed", "up", "bed", *options, *background)
    assert done.returncode != 0
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    if not background:
        assert done.returncode == 2


def test_faults_are_set_told_and_cleared(testbed: Commands) -> None:
    def fault(*words: str) -> str:
        done = testbed.run("imaging-testbed", "fault", *words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    fault("fit03", "cmc=hang")
    fault("4-5", "cmc=ignore-reset*2+late:0.5", "telnet=silent")
    fault("fit04", "telnet=login")
    assert fault("--list").splitlines() == [
        "fit03 cmc=hang",
        "fit04 cmc=ignore-reset*2+late:0.5 telnet=login",
        "fit05 cmc=ignore-reset*2+late:0.5 telnet=silent",
    ]
    # as in the file, which may be written by hand
    faults = json.loads((testbed.directory / "faults.json").read_text())
    assert faults["fit03"] == {"cmc": "hang"}
    fault("--clear", "reboot04")
    assert "fit04" not in fault("-C", str(testbed.directory), "--list")
    fault("--clear")
    assert fault("--list") == ""
    assert "cmc=late:SECONDS" in fault("--kinds")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["fit99", "cmc=hang"], "'fit99' is not a node"),
        (["fit01", "cmc=explode"], "cmc cannot be 'explode'"),
        (["fit01", "toaster=hang"], "no kind of fault is 'toaster'"),
        (["fit01", "=hang"], "no kind of fault is ''"),
        (["cmc=hang"], "which nodes have cmc=hang?"),
        (["fit01"], "give either"),
        ([], "give either"),
        (["--list", "--clear"], "give either"),
        (["--list", "fit01"], "take no nodes"),
        (["-C", "images", "--list"], "images is no testbed's directory"),
    ],
)
def test_faults_that_cannot_be_are_refused(
    testbed: Commands, words: list[str], message: str
) -> None:
    done = testbed.run("imaging-testbed", "fault", *words)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert testbed.run("imaging-testbed", "fault", "--list").stdout == ""


def test_a_malformed_file_of_faults_is_told_and_cleared(testbed: Commands) -> None:
    file = testbed.directory / "faults.json"
    file.write_text('{"fit01": {"cmc": "explode"}}')
    assert testbed.order("fit01", "status") in ("on", "off")
    wait_for(lambda: "ignored: faults: fit01" in (testbed.directory / "testbed.log").read_text())
    listed = testbed.run("imaging-testbed", "fault", "--list")
    assert listed.returncode == 2
    assert "cmc cannot be 'explode'" in listed.stderr
    assert testbed.run("imaging-testbed", "fault", "--clear").returncode == 0
    assert file.read_text() == "{}\n"


def test_the_demo_tells_the_whole_story(tmp_path: Path) -> None:
    """The demo on two nodes; make demo takes eight."""
    done = subprocess.run(
        [BIN / "imaging-testbed", "demo", "-n", "2"],
        cwd=tmp_path,
        env={**user_environment(tmp_path), "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    story = done.stdout.splitlines()[-5:]
    assert story[-1] == "2 of 2 disks are identical to the image's content (sha256)"
    assert not list(tmp_path.glob("imaging-demo-*"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_is_ended_before_the_testbed_is_ready_leaves_none(
    commands: Commands, number: signal.Signals
) -> None:
    bed = commands.directory / "bed"
    bed.mkdir()
    os.mkfifo(bed / "imaging.conf")  # it waits for somebody who reads it
    command = subprocess.Popen(
        [BIN / "imaging-testbed", "up", "bed", "--background", *QUICK],
        cwd=commands.directory,
        env=user_environment(commands.directory),
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for((bed / "inventory.json").exists)
    (testbed,) = children_of(command.pid)
    command.send_signal(number)
    _, told = command.communicate(timeout=10)
    assert command.returncode == 1
    assert told == f"imaging-testbed: interrupted by {number.name}\n"
    assert not is_running(testbed)


def test_a_directory_that_others_may_write_is_refused(commands: Commands) -> None:
    bed = commands.directory / "bed"
    bed.mkdir()
    bed.chmod(0o777)
    for options in ([], ["--background"]):
        done = commands.run("imaging-testbed", "up", "bed", *QUICK, *options)
        assert done.returncode == 2
        assert "others may write it" in done.stderr
    assert list(bed.iterdir()) == []


def test_a_demo_that_is_ended_leaves_nothing(tmp_path: Path) -> None:
    demo = subprocess.Popen(
        [BIN / "imaging-testbed", "demo", "-n", "2"],
        cwd=tmp_path,
        env={**user_environment(tmp_path), "TMPDIR": str(tmp_path)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_for(lambda: processes_of("imaging-frisbeed", tmp_path) != [], limit_s=60)
    demo.terminate()
    assert demo.wait(timeout=20) == 1
    wait_for(lambda: processes_of("", tmp_path) == [])
    assert list(tmp_path.iterdir()) == []
