"""Simulated nodes: a shell that only seems to be one, and one client for all."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaging.node.markers import MarkedCommand
from imaging.node.ramdisk import client_script, inspection_script
from imaging.testbed.simulation import MarkedLine, parse_line
from tests.commands import Commands, processes_of, sha256, wait_for
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
        soak.check_growth()
