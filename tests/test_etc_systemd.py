"""The units of systemd: what they start exists, and systemd understands them."""

import os
import re
import shlex
import shutil
import subprocess
from importlib.metadata import entry_points
from pathlib import Path

import click
import pytest

from tests.commands import BIN
from tests.report_samples import DOCS
from tests.site_directory import SiteDirectory

UNITS = sorted((DOCS.parent / "etc/systemd").glob("*.service"))
PREFIX = "/opt/imaging/bin/"
EXPOSURE = 30  # tenths, as systemd-analyze counts: 0 is nothing, 100 is all

ANALYZE = shutil.which("systemd-analyze")
needs_systemd = pytest.mark.skipif(ANALYZE is None, reason="there is no systemd-analyze")


def started(unit: Path) -> list[str]:
    """The command line that a unit starts."""
    (line,) = re.findall(r"^ExecStart=(.*)$", unit.read_text(), re.MULTILINE)
    return shlex.split(line)


def test_there_are_units() -> None:
    assert [unit.stem for unit in UNITS] == ["imaging-monitor", "imaging-nextboot"]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_the_command_and_its_options_exist(unit: Path) -> None:
    program, *arguments = started(unit)
    assert program.startswith(PREFIX)  # where the README installs
    name = program.removeprefix(PREFIX)
    assert (BIN / name).is_file()
    (entry,) = entry_points(group="console_scripts", name=name)
    command = entry.load()
    assert isinstance(command, click.Command)
    with command.make_context(name, arguments) as context:
        assert context.params["node_spec"] == ()


def unit_of(name: str) -> Path:
    (unit,) = (unit for unit in UNITS if unit.stem == name)
    return unit


def test_the_monitor_watches_all_and_is_not_started_again_in_vain(tmp_path: Path) -> None:
    """With the exit code by which the command refuses settings."""
    text = unit_of("imaging-monitor").read_text()
    assert "--all" in started(unit_of("imaging-monitor"))
    (vain,) = re.findall(r"^RestartPreventExitStatus=(.*)$", text, re.MULTILINE)
    site = SiteDirectory(tmp_path)
    site.add_settings("[monitor]\ncycle_s = never\n")
    assert str(site.run("imaging-monitor", "--all").returncode) == vain


def test_the_sweep_leaves_no_link_to_the_ramdisk(tmp_path: Path) -> None:
    """Be it of a node that nobody uses any more, or of one that was replaced."""
    site = SiteDirectory(tmp_path)
    site.add_settings("[inventory]\nall_nodes = 1-2\n")
    links = [
        site.links / f"01-{mac}"
        for mac in ("00-03-1d-0e-03-01", "00-03-1d-0e-03-03", "02-00-00-00-00-99")
    ]
    for link in links:
        link.symlink_to("pxefrisbee")
    program, *arguments = started(unit_of("imaging-nextboot"))
    done = site.run(program.removeprefix(PREFIX), *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert [link for link in links if os.path.lexists(link)] == []


@needs_systemd
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_systemd_understands_it(unit: Path, tmp_path: Path) -> None:
    assert ANALYZE is not None
    here = tmp_path / unit.name
    here.write_text(unit.read_text().replace(PREFIX, f"{BIN}/"))
    words = [ANALYZE, "verify", "--man=no", "--recursive-errors=no", str(here)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@needs_systemd
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_it_can_do_little(unit: Path) -> None:
    assert ANALYZE is not None
    words = [ANALYZE, "security", "--no-pager", "--offline=yes", f"--threshold={EXPOSURE}"]
    done = subprocess.run(
        [*words, str(unit)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="the unit is root's")
@pytest.mark.parametrize(
    "leases", ["backend = local\nfile = leases.sqlite", "backend = r2labapi\nurl = http://[::1]:9"]
)
def test_the_sweep_at_boot_needs_no_lease(tmp_path: Path, leases: str) -> None:
    site = SiteDirectory(tmp_path)
    site.add_settings(f"[leases]\nprivileged =\n{leases}\n")
    link = site.links / "01-00-03-1d-0e-03-01"
    link.symlink_to("pxefrisbee")
    (unit,) = (unit for unit in UNITS if unit.stem == "imaging-nextboot")
    program, *arguments = started(unit)
    name = program.removeprefix(PREFIX)
    by_user = site.run(name, *arguments, SUDO_USER="alice")
    assert by_user.returncode == 1
    assert os.path.lexists(link)
    done = site.run(name, *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert not os.path.lexists(link)
