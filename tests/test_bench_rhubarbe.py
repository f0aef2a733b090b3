"""rhubarbe beside ours: its settings, the host on which it runs, and the table."""

import socket
import subprocess
from pathlib import Path

import pytest

from tests.bench.networks import lonely_host, why_no_hosts
from tests.bench.parts import Wish, rhubarbe
from tests.bench.rhubarbe import VARIABLE, find_rhubarbe, names_of, settle
from tests.bench.statistics import Sample, Usage
from tests.bench.testbeds import running_testbed
from tests.bench.turns import Turns


def sample(wall_s: float, cpu_s: float) -> Sample:
    return Sample(wall_s, {"command": Usage(cpu_s, 50_000_000)})


def test_it_is_found_where_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = tmp_path / "rhubarbe"
    command.write_text("#!/bin/sh\n")
    monkeypatch.setenv(VARIABLE, str(command))
    assert find_rhubarbe() is None  # nobody can run it
    command.chmod(0o755)
    assert find_rhubarbe() == str(command)
    monkeypatch.delenv(VARIABLE)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_rhubarbe() == str(command)


def test_where_it_is_missing_the_table_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "/nowhere/rhubarbe")
    said: list[str] = []
    result = rhubarbe.run(Wish(tmp_path, 1, 256, said.append))
    assert "rhubarbe is not installed" in said[0]
    assert "rhubarbe is not installed" in result.tables[0].notes[0]
    assert result.ratios == {}


def test_rows_and_ratios_of_the_same_run() -> None:
    turns = Turns[Sample](
        {
            "load, ours": [sample(0.5, 1.0), sample(1.0, 2.0)],
            "load, rhubarbe, tuned": [sample(2.0, 3.0), sample(3.0, 6.0)],
        },
        {"load, rhubarbe, as shipped": "it did not end"},
    )
    rows = rhubarbe.table_rows("load", 37, turns)
    assert rows == [
        ["load, 37", "ours", "0.750", "1.00", "1.50", "50.0"],
        ["load, 37", "rhubarbe, tuned", "2.50", "3.50", "4.50", "50.0"],
        ["load, 37", "rhubarbe, as shipped", "failed", "", "", ""],
    ]
    assert rhubarbe.ratios_of("load", 37, turns) == {
        "load, 37 nodes, rhubarbe, tuned: overhead over ours": 3.5,
        "load, 37 nodes, rhubarbe, tuned: CPU over ours": 3.0,
    }


@pytest.mark.e2e
def test_nodes_with_real_ports_and_names_on_a_host_of_its_own(tmp_path: Path) -> None:
    if why := why_no_hosts():
        pytest.skip(why)
    with (
        lonely_host() as host,
        running_testbed(tmp_path / "bed", 2, prefix=host.prefix, real_ports=True) as bed,
    ):
        host.learn(names_of(bed))
        bed.run("imaging-status", "-q", "-a")
        address = names_of(bed)["reboot02"]
        words = [*host.prefix, "getent", "hosts", "reboot02"]
        told = subprocess.run(words, capture_output=True, text=True, check=True)
        assert told.stdout.split() == [address, "reboot02"]
        with pytest.raises(OSError, match="refused"):  # it is not there for this host
            socket.create_connection((address, 80), timeout=1)
        home = settle("rhubarbe", bed, "tuned").home
        assert "idle_after_reset = 0" in (home / "rhubarbe.conf").read_text()
        assert f"hostname: reboot02, ip: {address}" in (home / "inventory.yaml").read_text()
    assert not Path("/etc/netns", host.prefix[-1]).exists()
