"""What the commands refuse before any node is touched: their own checks, one after the other.

Each case is what somebody types, in the directory of a site without nodes that answer.
"""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from imaging.cli.session import reporting
from imaging.cli.testbed_fault import _refuse_not_simulated
from imaging.cli.umbrella import command
from imaging.errors import ConfigurationError, Reason
from imaging.feedback.outcomes import ImageFacts, NodeOutcome, RunReport, Step
from imaging.feedback.records.history import open_history
from imaging.site.user import login_name
from imaging.testbed.faults import NOT_SIMULATED, Fault
from tests import ndz_samples
from tests.site_directory import SiteDirectory

SETTINGS = """\
[history]
file = history.sqlite
[log]
file = imaging.log
[transcripts]
directory = transcripts
[multicast]
address = 127.0.0.1
"""

Change = Callable[[SiteDirectory], object]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SiteDirectory:
    """A site with an image; it is the current directory and the home."""
    found = SiteDirectory(tmp_path)
    found.add_settings(SETTINGS)
    write_image(tmp_path / "images/fedora.ndz")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("IMAGING_CONF", "NODES", "ALL_NODES", "SUDO_USER", "SUDO_UID"):
        monkeypatch.delenv(name, raising=False)
    return found


def write_image(path: Path) -> None:
    path.write_bytes(ndz_samples.V3.read())


def told(*words: str) -> tuple[int, str]:
    """The exit code of a command, and all that it prints."""
    done = CliRunner().invoke(command, words)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("load --retry-last 1", "--retry-last says which nodes, so give none"),
        ("load -i fedora --wait -n 1", "--wait and -n exclude each other: nothing would boot"),
        ("load 1", "no image given (use -i NAME, or set [images] default in the settings)"),
        ("load -i fedora --min-ok x 1", "'x' is no number of nodes (30) and no percentage (90%)"),
        ("load -i fedora --min-ok 0 1", "must be at least one node: none is always reached"),
        ("load -i fedora --min-ok 9 1", "at least 9 nodes cannot be fine: there are 1"),
        ("load -i fedora --json --events - 1", "exclude each other: both are for stdout"),
        ("load -i fedora --report report.txt 1", "--report wants a name that ends in .json or .xm"),
        ("load -i fedora -q -v 1", "-q and -v exclude each other"),
        ("load -i fedora -q -c 1", "-q and -c exclude each other"),
        ("load -i fedora --ok a --ko a 1", "two of the files to write are the same one"),
        ("load --retry-last", "knows of no imaging-load of"),
        ("save -o new 1-2", "only one node can be saved, not 2 (fit01 fit02)"),
        ("save -o fedora 1", "is there already (--force replaces it)"),
        ("wait -u alice -n 1", "-u is for ssh, and -n waits for telnet"),
        ("wait -s -v 1", "-s and -v exclude each other"),
        ("wait -s -c 1", "-s and -c exclude each other"),
        ("status -q -c 1", "-q and -c exclude each other"),
        ("nodes --on --off 1", "--on and --off exclude each other"),
        ("nextboot --dry-run", "--any-age and --dry-run go with --clean"),
        ("leases --json book now +1h", "options go after book"),
        ("leases check --until 2001-01-01 1", "--until: 2001-01-01 00:00"),
        ("leases", "this site has no leases: everybody may act"),
        ("monitor --json 1", "--json goes with --once"),
        ("monitor --once --events x 1", "it goes neither with --events nor servers"),
        ("monitor -c --once 1", "-c goes neither with --once nor with -q"),
        ("ramdisk", "give a command, build or check, or --serve"),
        ("testbed fault", "give either NODE_SPEC KIND=FAULT, or --clear, --list or --kinds"),
        ("testbed fault --list 1", "--list and --kinds take no nodes"),
        ("testbed fault cmc=hang", "which nodes have cmc=hang?"),
        ("testbed fault 1 leases=hang", "leases=hang is of the whole testbed: give no nodes"),
        ("testbed fault -C images 1 cmc=hang", "images is no testbed's directory (see -C, and"),
    ],
)
def test_what_is_typed_wrongly(site: SiteDirectory, line: str, words: str) -> None:
    code, said = told(*line.split())
    assert words in said
    assert code == (0 if line == "leases" else 2)


@pytest.mark.parametrize("text", ["x" * 3000, "\udcff"])
def test_a_comment_that_cannot_be(site: SiteDirectory, text: str) -> None:
    code, said = told("save", "-o", "new", "--comment", text, "1")
    assert (code, "--comment: the text " in said) == (2, True)


def hide(site: SiteDirectory) -> None:
    """Have private images, and a shared one that would be taken first."""
    (site.directory / "private").mkdir()
    site.add_settings("[images]\nprivate = private\n")
    write_image(site.directory / "images/new.ndz")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda site: (site.directory / "images/new.ndz").mkdir(), "is no regular file"),
        (lambda site: (site.directory / "images/new.ndz").symlink_to("fedora.ndz"), "is an alias"),
        (lambda site: (site.directory / "images").rename("gone"), "images does not exist"),
        (
            hide,
            "would be taken for new first",
        ),
        (
            lambda site: site.conf.write_text("[multicast]\naddress = 192.0.2.1\n"),
            "192.0.2.1 is no address of this host",
        ),
    ],
)
def test_a_place_where_no_image_can_be_made(
    site: SiteDirectory, change: Change, words: str
) -> None:
    change(site)
    code, said = told("save", "-o", "new", "1")
    assert (code, words in said) == (2, True), said


def remember(site: SiteDirectory, *, failed: bool = True, size: int | None = None) -> None:
    """Record a load of the first node."""
    image = site.directory / "images/fedora.ndz"
    reason = (Reason.STALLED, Step.TRANSFER, "fit01: it stalled") if failed else ()
    report = RunReport(
        "20260101-000001-00000a",
        "imaging-load",
        (NodeOutcome("fit01", *reason),),
        elapsed=60.0,
        started=time.time(),
        user=login_name(),
        image=ImageFacts("fedora", str(image), size or image.stat().st_size),
    )
    with open_history(site.directory / "history.sqlite") as history:
        history.record(report)


def move_away(site: SiteDirectory) -> None:
    """Have the first node in the history only."""
    remember(site)
    site.inventory.write_text(site.inventory.read_text().replace('"fit01"', '"other01"'))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda site: remember(site, failed=False), "nothing to try again: all went fine in"),
        (lambda site: remember(site, size=7), "is not the image of the last run any more"),
        (move_away, "the inventory has no fit01 any more"),
        (
            lambda site: (site.directory / "history.sqlite").write_text("no database, but text"),
            "the last run is not known: the history",
        ),
    ],
)
def test_a_run_that_cannot_be_tried_again(site: SiteDirectory, change: Change, words: str) -> None:
    change(site)
    code, said = told("load", "--retry-last", "--dry-run")
    assert (code, words in said) == (2, True), said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["book", "now", "+1h", "--for", "\udcff"], "--for: the login is not UTF-8 text"),
        (["extend", "99", "+1h"], "there is no lease 99 now or to come"),
    ],
)
def test_leases_that_cannot_be(site: SiteDirectory, words: list[str], said: str) -> None:
    site.add_settings("[leases]\nbackend = local\nfile = leases.sqlite\n")
    code, output = told("leases", *words)
    assert said in output
    assert code in (1, 2)


def test_what_simulated_nodes_cannot_do() -> None:
    kind, words = next(iter(NOT_SIMULATED.items()))
    with pytest.raises(ConfigurationError, match=f"simulated nodes know no {kind}="):
        _refuse_not_simulated({kind: (Fault(next(iter(words))),)})


def test_an_interrupt_is_told_in_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted() -> int:
        raise KeyboardInterrupt

    assert reporting("imaging-list", interrupted) == 1
    assert capsys.readouterr().err == "imaging-list: interrupted\n"
