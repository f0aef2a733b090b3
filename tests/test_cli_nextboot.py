"""imaging-nextboot, as its users run it."""

import os
import re
import time
from pathlib import Path

import pytest

from imaging.site.locks import LockDirectory
from tests.site_directory import SiteDirectory

YOUNG_STRANGER = "02-00-00-00-00-98"
STRANGER = "02-00-00-00-00-99"  # a MAC that is not in the inventory
DAY_S = 86400.0
UNKNOWN = "left (its MAC is in no inventory; --any-age)"


@pytest.fixture
def site(tmp_path: Path) -> SiteDirectory:
    return SiteDirectory(tmp_path)


def make_link(site: SiteDirectory, which: int | str, age_s: float = 0.0) -> Path:
    """A nextboot link of a node, or of a MAC, made so long ago."""
    mac = which if isinstance(which, str) else f"00-03-1d-0e-03-{which:02x}"
    place = site.links / f"01-{mac}"
    place.symlink_to("pxefrisbee")
    made = time.time() - age_s
    os.utime(place, (made, made), follow_symlinks=False)
    return place


def said(site: SiteDirectory, *words: str, status: int = 0) -> list[str]:
    done = site.run("imaging-nextboot", *words)
    assert (done.returncode, done.stderr) == (status, "")
    return done.stdout.splitlines()


def test_the_list(site: SiteDirectory) -> None:
    make_link(site, STRANGER, 3 * DAY_S)
    make_link(site, 2, 125)
    make_link(site, 1)
    (site.links / "01-00-03-1d-0e-03-03").write_text("somebody's")
    (site.links / "01-02-00-00-00-00-77").write_text("the config of another machine")
    (site.links / "01-02-00-00-00-00-78").symlink_to("default")
    (site.links / "C0A80301").symlink_to("pxefrisbee")
    before = sorted(site.links.iterdir())
    header, *lines = said(site)
    assert header.split() == ["NODE", "AGE", "OWNER", "TARGET", "NEEDED", "BY"]
    assert [line.split()[0] for line in lines] == ["fit01", "fit02", "fit03", "02:00:00:00:00:99"]
    owner = site.links.owner()
    assert lines[1].split() == ["fit02", "2", "min", owner, "pxefrisbee", "-"]
    assert lines[2].removesuffix("-").rstrip().endswith("foreign: a regular file")
    assert lines[3].split()[1:3] == ["3", "days"]
    assert sorted(site.links.iterdir()) == before


def test_no_links(site: SiteDirectory) -> None:
    assert said(site) == ["no nextboot links"]
    assert said(site, "--clean") == ["no nextboot links"]
    assert site.run_json("imaging-nextboot", "--json") == []


def test_json(site: SiteDirectory) -> None:
    make_link(site, 1, 3600)
    make_link(site, STRANGER)
    (site.links / "01-00-03-1d-0e-03-02").mkdir()
    first, second, third = site.run_json("imaging-nextboot", "--json")
    owner = site.links.owner()
    assert 3600 <= first.pop("age_s") < 3700
    assert first == {
        "node": "fit01",
        "mac": "00:03:1d:0e:03:01",
        "kind": "ours",
        "target": "pxefrisbee",
        "owner": owner,
        "needed_by": None,
        "action": None,
    }
    assert (second["node"], second["kind"], second["target"]) == ("fit02", "foreign", None)
    assert (third["node"], third["mac"]) == (None, STRANGER.replace("-", ":"))
    cleaned = site.run_json("imaging-nextboot", "--json", "--clean")
    assert [row["action"] for row in cleaned] == ["removed", "left", "left"]


def test_a_selection_of_nodes(site: SiteDirectory) -> None:
    for which in (1, 2, STRANGER):
        make_link(site, which, DAY_S)
    assert [line.split()[0] for line in said(site, "2-3")[1:]] == ["fit02"]
    assert [line.split()[0] for line in said(site, "-a")[1:]] == ["fit01", "fit02"]
    assert said(site, "3") == ["no nextboot links"]
    assert said(site, "--clean", "2") == [f"fit02: link of {site.links.owner()}, 24 h old: removed"]
    assert len(said(site)) == 3


def test_clean_removes_what_nobody_needs_and_leaves_the_rest(site: SiteDirectory) -> None:
    free, needed = make_link(site, 1), make_link(site, 2, DAY_S)
    foreign = site.links / "01-00-03-1d-0e-03-03"
    foreign.symlink_to("elsewhere")
    # 180 s to boot, 35 s to shut down and to settle, and 6 orders of 3 tries of 5.5 s each
    stranger, young = make_link(site, STRANGER, 315), make_link(site, YOUNG_STRANGER, 305)
    owner = site.links.owner()
    locks = LockDirectory(site.directory / "locks")
    locks.check()
    with locks.take("fit02", "imaging-load"):
        listed = said(site)
        assert "fit02" in listed[2]
        assert f"imaging-load of {owner}, process {os.getpid()}, since " in listed[2]
        would = said(site, "--clean", "--dry-run")
        assert would[0] == f"fit01: link of {owner}, 0 s old: would be removed"
        done = said(site, "--clean")
    assert done[0] == f"fit01: link of {owner}, 0 s old: removed"
    assert re.fullmatch(r"fit02: .* 24 h old: left: imaging-load of .* needs it", done[1])
    assert done[2:] == [
        "fit03: foreign: a link to elsewhere: left alone",
        f"02:00:00:00:00:98: link of {owner}, 5 min old: {UNKNOWN}",
        f"02:00:00:00:00:99: link of {owner}, 5 min old: removed",
    ]
    assert not os.path.lexists(free)
    assert not os.path.lexists(stranger)
    assert os.path.lexists(young)
    assert said(site, "--clean")[0] == f"fit02: link of {owner}, 24 h old: removed"
    assert not os.path.lexists(needed)
    assert said(site, "--clean", "--any-age")[-1].endswith(": removed")
    assert not os.path.lexists(young)
    assert os.readlink(foreign) == "elsewhere"


def test_the_settings_say_how_long_a_command_may_need_a_link(site: SiteDirectory) -> None:
    site.add_settings("[boot]\ntimeout_s = 2000\n")
    make_link(site, STRANGER, 2000)
    assert said(site, "--clean")[0].endswith(UNKNOWN)


def test_the_owner_is_that_of_the_link(site: SiteDirectory) -> None:
    place = make_link(site, 1)
    try:
        os.chown(place, 54321, -1, follow_symlinks=False)
    except PermissionError:
        pytest.skip("only root may give a link away")
    assert said(site)[1].split()[-3:] == ["54321", "pxefrisbee", "-"]


def test_links_are_listed_when_they_lead_nowhere(site: SiteDirectory) -> None:
    make_link(site, 1, DAY_S)
    (site.links / "pxefrisbee").unlink()
    assert len(said(site)) == 2
    assert said(site, "--clean")[0].endswith(": removed")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may remove everything")
@pytest.mark.parametrize("form", [[], ["--json"]])
def test_a_link_that_cannot_be_removed(site: SiteDirectory, form: list[str]) -> None:
    make_link(site, 1, DAY_S)
    make_link(site, 2)
    site.links.chmod(0o500)
    done = site.run("imaging-nextboot", "--clean", *form)
    site.links.chmod(0o700)
    assert done.returncode == 1
    assert "imaging-nextboot: fit01: cannot remove the nextboot link" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "fit02" in done.stdout


@pytest.mark.parametrize(
    ("words", "words_said"),
    [
        (["--any-age"], "go with --clean"),
        (["--dry-run"], "go with --clean"),
        (["9"], "'9' is not a node"),
        (["~1"], "use -a"),
    ],
    ids=str,
)
def test_wrong_usage(site: SiteDirectory, words: list[str], words_said: str) -> None:
    done = site.run("imaging-nextboot", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert words_said in done.stderr


def test_a_missing_directory(site: SiteDirectory) -> None:
    site.links.rename(site.directory / "away")
    done = site.run("imaging-nextboot")
    assert (done.returncode, done.stdout) == (2, "")
    assert "does not exist" in done.stderr
    assert "[nextboot] directory" in done.stderr


def test_what_is_no_directory(site: SiteDirectory) -> None:
    site.links.rename(site.directory / "away")
    site.links.write_text("")
    done = site.run("imaging-nextboot")
    assert (done.returncode, done.stdout) == (2, "")
    assert "cannot be read: Not a directory" in done.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everywhere")
@pytest.mark.parametrize("mode", [0o300, 0o600])
def test_a_directory_that_may_not_be_read(site: SiteDirectory, mode: int) -> None:
    make_link(site, 1)
    site.links.chmod(mode)
    done = site.run("imaging-nextboot")
    site.links.chmod(0o700)
    assert (done.returncode, done.stdout) == (2, "")
    assert "cannot be read: Permission denied" in done.stderr


def test_wrong_settings_and_a_wrong_inventory(site: SiteDirectory) -> None:
    site.inventory.write_text("nonsense")
    done = site.run("imaging-nextboot")
    assert done.returncode == 2
    assert "is not JSON" in done.stderr
    site.add_settings("[boot]\npol_s = 3\n")
    done = site.run("imaging-nextboot")
    assert done.returncode == 2
    assert "imaging.conf:2" in done.stderr


@pytest.mark.parametrize("words", [[], ["--json"], ["--clean"]], ids=str)
def test_it_starts_without_heavy_libraries(site: SiteDirectory, words: list[str]) -> None:
    make_link(site, 1)
    assert site.heavy_imports("imaging-nextboot", *words) == []
