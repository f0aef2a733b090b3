"""What root does not do for who called sudo, as the commands refuse it."""

import os
from pathlib import Path

import pytest

from tests.site_directory import SiteDirectory

STRICT = "[leases]\nbackend = local\nfile = leases.sqlite\nprivileged = admin\n"

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root is anybody under sudo")


@pytest.fixture
def site(tmp_path: Path) -> SiteDirectory:
    found = SiteDirectory(tmp_path)
    found.add_settings(STRICT)
    return found


COMMANDS = [
    ("imaging-load", "-i", "sample", "--ok", "FILE", "1"),
    ("imaging-save", "-o", "sample", "--ko", "FILE", "1"),
    ("imaging-reset", "--report", "FILE", "1"),
    ("imaging-wait", "--events", "FILE", "1"),
    ("imaging-monitor", "--events", "FILE", "1"),
]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_root_writes_no_file_that_its_caller_names(
    site: SiteDirectory, words: tuple[str, ...]
) -> None:
    file = site.directory / "precious.json"
    file.write_text("precious")
    given = [str(file) if word == "FILE" else word for word in words]
    done = site.run(*given, SUDO_USER="alice")
    assert (done.returncode, done.stdout) == (2, "")
    assert f"{words[words.index('FILE') - 1]}: root writes no files for alice" in done.stderr
    assert file.read_text() == "precious"


@pytest.mark.parametrize("login", ["admin", ""], ids=["privileged", "root"])
def test_for_the_privileged_and_for_itself_it_does(site: SiteDirectory, login: str) -> None:
    place = str(site.directory / "missing" / "report.json")
    done = site.run("imaging-reset", "--report", place, "1", SUDO_USER=login)
    assert "writes no files" not in done.stderr
    assert "missing" in done.stderr  # it is looked for


def test_standard_output_is_no_file(site: SiteDirectory) -> None:
    done = site.run("imaging-reset", "--events", "-", "1", SUDO_USER="alice")
    assert "alice has no lease" in done.stderr
