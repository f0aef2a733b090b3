"""Simulated nodes: a shell that only seems to be one, and one client for all."""

import json
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaging.node.markers import MarkedCommand
from imaging.node.ramdisk import client_script, inspection_script
from imaging.testbed.layout import (
    RAMDISK,
    VIRTUAL_PORTS,
    Layout,
    network_of,
    server_address,
)
from imaging.testbed.simulation import MarkedLine, parse_line
from tests.commands import BIN, Commands, processes_of, sha256, wait_for
from tests.soak import Soak, simulated_testbed

NODES = 24


@pytest.mark.parametrize(
    "script",
    [
        ":",
        inspection_script("/dev/sda"),
        client_script(["frisbee"], address="127.1.2.3", group="239.1.2.3", port=7, disk="/dev/sda"),
    ],
)
def test_the_lines_of_the_product_are_understood(script: str) -> None:
    typed = MarkedCommand(script, "0123456789abcdef").typed.decode()
    line = parse_line(typed)
    assert line == MarkedLine("@@0123456789abcdef:begin@@", script, "@@0123456789abcdef:end")


@given(st.text())
def test_any_line_is_understood_or_not(line: str) -> None:
    found = parse_line(line)
    assert found is None or found.script in line


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    with simulated_testbed(tmp_path_factory.mktemp("simulated") / "bed", NODES) as testbed:
        yield testbed


@pytest.mark.e2e
def test_all_nodes_get_the_real_image_by_one_client(simulated: Commands) -> None:
    done = simulated.run("imaging-load", "-q", "-i", "sample", "--wait", "1-12")
    assert done.returncode == 0, done.stderr
    expected = simulated.expected_disk(like="fit13")
    for number in range(1, 13):
        assert sha256(simulated.disk(f"fit{number:02}")) == expected
    assert sha256(simulated.disk("fit13")) != expected
    assert processes_of("imaging-frisbee", simulated.directory) == []
    assert not [*simulated.directory.glob(".shared-*")]


@pytest.mark.e2e
def test_a_client_that_nobody_listens_to_any_more_is_ended(simulated: Commands) -> None:
    with simulated.setting("bandwidth_mibps = 400", "bandwidth_mibps = 1"):
        done = simulated.run("imaging-load", "-q", "-i", "sample", "-t", "4", "1-2")
    assert done.returncode == 1
    assert processes_of("imaging-frisbeed", simulated.directory) == []
    simulated.order("fit01", "off")
    simulated.order("fit02", "off")
    wait_for(lambda: processes_of("imaging-frisbee", simulated.directory) == [], limit_s=2)
    assert not [*simulated.directory.glob(".shared-*")]


@pytest.mark.e2e
def test_what_a_simulated_ramdisk_lacks_is_told(simulated: Commands) -> None:
    report = simulated.directory / "report.json"
    done = simulated.run("imaging-save", "-q", "-o", "saved", "--report", report, "3")
    assert done.returncode == 1
    (node,) = json.loads(report.read_text())["nodes"]
    assert node["reason"] == "imagezip-failed"
    assert "not found" in node["message"]
    assert not [*(simulated.directory / "images").glob("*saved*")]


@pytest.mark.e2e
def test_a_short_soak(tmp_path: Path) -> None:
    """The long one: ``python -m tests.soak``."""
    with (
        simulated_testbed(tmp_path / "bed", NODES, patience_s=6) as testbed,
        closing(Soak(testbed, seed=3)) as soak,
    ):
        soak.run(0)
        for _ in range(5):
            soak.run()
        assert soak.check_growth()


@pytest.mark.e2e
def test_a_fault_that_would_do_nothing_is_refused(simulated: Commands) -> None:
    for fault in ("client=garbage", "telnet=drop-after:20", "imagezip=slow", "disk=error"):
        done = simulated.run("imaging-testbed", "fault", "fit01", fault)
        assert done.returncode == 2
        assert f"simulated nodes know no {fault.partition(':')[0]}" in done.stderr
    assert simulated.run("imaging-testbed", "fault", "--list").stdout == ""


@pytest.mark.e2e
def test_a_client_that_is_none_ends_nobody_else(simulated: Commands) -> None:
    for client in ("frisbee -S", "frisbee x", "sh -c 'frisbee'"):
        with simulated.setting("client = frisbee", f"client = {client}"):
            done = simulated.run("imaging-load", "-q", "-i", "sample", "4")
        assert done.returncode == 1
        assert "(frisbee-failed)" in done.stderr
    assert simulated.run("imaging-status", "4").stdout == "fit04: on\n"


@pytest.mark.e2e
def test_a_killed_load_leaves_no_client(simulated: Commands) -> None:
    with (
        simulated.setting("bandwidth_mibps = 400", "bandwidth_mibps = 1"),
        simulated.start("imaging-load", "-q", "-i", "sample", "1-2") as process,
    ):
        wait_for(lambda: [*simulated.directory.glob(".shared-*")] != [])
        process.kill()
    wait_for(lambda: [*simulated.directory.glob(".shared-*")] == [], limit_s=2)
    wait_for(lambda: processes_of("imaging-frisbee", simulated.directory) == [], limit_s=1)


@pytest.mark.e2e
def test_with_processes_each_node_has_a_disk_of_its_own_again(tmp_path: Path) -> None:
    with simulated_testbed(tmp_path / "bed", 2) as testbed:
        assert testbed.run("imaging-load", "-q", "-i", "sample", "-a").returncode == 0
        expected = sha256(testbed.disk("fit01"))
        assert testbed.disk("fit01").stat().st_ino == testbed.disk("fit02").stat().st_ino
    up = ["up", str(testbed.directory), "-n2", "--background"]
    assert testbed.run("imaging-testbed", *up).returncode == 0
    try:
        disks = [testbed.disk("fit01"), testbed.disk("fit02")]
        assert [disk.stat().st_nlink for disk in disks] == [1, 1]
        assert [*map(sha256, disks)] == [expected, expected]
    finally:
        testbed.run("imaging-testbed", "down", testbed.directory)


@pytest.mark.e2e
def test_other_tools_type_their_own_lines(simulated: Commands) -> None:
    layout = Layout(simulated.directory)
    node = layout.inventory().nodes[4]
    link = layout.pxelinux / f"01-{node.control.mac.replace(':', '-')}"
    link.symlink_to(RAMDISK)
    simulated.order(node.name, "reset")
    wait_for(lambda: (layout.node(node.name) / "state").read_text().strip() == "ramdisk")
    link.unlink()
    own = server_address(network_of(layout.inventory()))
    channel = "-m 239.77.9.9 -p 23456"
    image = layout.images / "sample.ndz"
    server = subprocess.Popen([BIN / "imaging-frisbeed", "-i", own, *channel.split(), image])
    client = f"frisbee -i {node.control.ip} {channel} /dev/sda"
    # a whole session in one go, as rhubarbe types it
    lines = f"nothing\necho FIRST=$?\nif false; then :; else {client}; fi\necho SECOND=$?\nexit\n"
    try:
        with socket.create_connection((node.control.ip, VIRTUAL_PORTS.console), 5) as console:
            console.sendall(lines.encode())
            said = b"".join(iter(lambda: console.recv(65536), b""))
    finally:
        server.kill()
        server.wait()
    assert b"FIRST=127\r\n" in said
    assert b"SECOND=0\r\n" in said
    assert sha256(simulated.disk(node.name)) == simulated.expected_disk(like="fit13")
