"""imaging-leases, and what leases mean to the other commands, as their users run them."""

import json
import os
import re
import shutil
import sqlite3
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import trio

from conftest import running_testbed
from imaging.leases.backend import Actor
from imaging.leases.lease import moment_text
from imaging.leases.local import LocalLeases
from imaging.operations.authorization import FRESH_S
from imaging.site.locks import LockDirectory
from imaging.site.user import login_name
from tests.commands import Commands, sha256, wait_for
from tests.report_samples import validated, validated_lines
from tests.site_directory import SiteDirectory
from tests.terminals import terminal

ME = login_name({})  # that of the commands, which know nothing of a sudo
SOMEBODY = "somebody-else"
MINUTE, HOUR = 60, 3600
LOCAL = "[leases]\nbackend = local\nprivileged =\nfile = leases.sqlite\n"


@pytest.fixture
def site(tmp_path: Path) -> SiteDirectory:
    found = SiteDirectory(tmp_path)
    found.add_settings(LOCAL)
    return found


def minute(offset_s: float = 0) -> float:
    return time.time() // MINUTE * MINUTE + offset_s


def book(directory: Path, holder: str, start_s: float, end_s: float, *nodes: str) -> str:
    """Somebody's lease, in seconds from now; without nodes, of the whole testbed."""

    async def booking() -> str:
        leases = LocalLeases(directory / "leases.sqlite")
        actor = Actor("root", privileged=True)
        span = (minute(start_s), minute(end_s))
        return (await leases.book(actor, holder, *span, nodes or None)).lease_id

    return trio.run(booking)


def said(site: SiteDirectory, *words: str, status: int = 0, **variables: str) -> str:
    done = site.run("imaging-leases", *words, **variables)
    assert (done.returncode, done.stderr) == (status, "")
    return done.stdout


def refused(site: SiteDirectory, *words: str, status: int, **variables: str) -> str:
    done = site.run("imaging-leases", *words, **variables)
    assert (done.returncode, done.stdout) == (status, "")
    return done.stderr


def test_from_booking_to_cancelling(site: SiteDirectory) -> None:
    assert said(site) == "no leases from today on\n"
    told = said(site, "book", "now", "+2h")
    assert told.startswith(f"lease 1: {ME}, ")
    assert told.endswith(", the whole testbed\n")
    header, line = said(site, "list").splitlines()
    assert header.split() == ["LEASE", "HOLDER", "FROM", "UNTIL", "STATE", "NODES"]
    assert line.split()[:2] == ["1", ME]
    assert line.endswith("  now    the whole testbed")
    assert time.strftime("%Z") in line
    assert said(site, "check").startswith("yes: the lease of")
    longer = json.loads(said(site, "extend", "1", "+1h", "--json"))
    start, end = (time.strptime(longer[key], "%Y-%m-%dT%H:%M:%SZ") for key in ("from", "until"))
    assert 3 * HOUR <= time.mktime(end) - time.mktime(start) <= 3 * HOUR + MINUTE
    assert said(site, "cancel", "1").startswith("lease 1 ")
    said(site, "cancel", json.loads(said(site, "book", "now", "+1h", "--json"))["id"])
    assert said(site, "check", status=1).startswith(f"no: {ME} has no lease on fit01-fit03 now")


def test_some_nodes(site: SiteDirectory) -> None:
    told = json.loads(said(site, "book", "now", "+1h", "1-2", "--json"))
    assert (told["nodes"], told["state"], told["holder"]) == (["fit01", "fit02"], "now", ME)
    assert said(site, "book", "now", "+1h", "3").endswith(", fit03\n")
    assert "holds fit01 fit02 from" in refused(site, "book", "now", "+1h", "2-3", status=1)
    said(site, "check", "1-2")
    said(site, "cancel", "2")
    assert "has no lease on fit03 now" in said(site, "check", status=1)
    said(site, "check", NODES="fit01")
    assert "'fit9' is not a node" in refused(site, "book", "now", "+1h", "fit9", status=2)


def test_times(site: SiteDirectory) -> None:
    day = time.strftime("%Y-%m-%d", time.localtime(time.time() + 86400))
    told = said(site, "book", f"{day}T14:00", "16:30", TZ="Europe/Paris")
    zone = moment_zone(f"{day}T14:00", "Europe/Paris")
    assert f"{day} 14:00 {zone} until {day} 16:30 {zone}" in told
    for words, error in (
        (("2020-01-01T10:00", "+2h"), "is past"),
        ((f"{day}T18:00", "17:00"), "cannot end at"),
        ((f"{day}T18:00", "17"), "'17' is not a time"),
        (("tomorrow", "+2h"), "14:00, 2026-03-01T14:00, +2h30m or now"),
    ):
        assert error in refused(site, "book", *words, status=2)
    assert "is not a time" in refused(site, "extend", "1", "later", status=2)
    assert "already" in refused(site, "extend", "1", f"{day}T10:00", status=1)


def moment_zone(text: str, zone: str) -> str:
    """The name that a zone has then."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = zone
    time.tzset()
    try:
        return moment_text(time.mktime(time.strptime(text, "%Y-%m-%dT%H:%M"))).split()[-1]
    finally:
        os.environ.pop("TZ") if before is None else os.environ.update(TZ=before)
        time.tzset()


def test_what_is_over_is_told_when_asked_for(site: SiteDirectory) -> None:
    book(site.directory, SOMEBODY, -40 * HOUR, -30 * HOUR, "fit03")
    book(site.directory, SOMEBODY, HOUR, 2 * HOUR)
    (one,) = json.loads(said(site, "--json"))
    assert (one["id"], one["state"], one["nodes"]) == ("2", "coming", None)
    past, coming = json.loads(said(site, "list", "--all", "--json"))
    assert (past["state"], past["nodes"], coming) == ("over", ["fit03"], one)
    assert len(said(site, "--all").splitlines()) == 3


def test_others_leases_are_not_ones_own(site: SiteDirectory) -> None:
    book(site.directory, SOMEBODY, -HOUR, HOUR)
    for words in (("cancel", "1"), ("extend", "1", "+1h")):
        assert f"lease 1 is {SOMEBODY}'s" in refused(site, *words, status=1)
    assert "cannot book for" in refused(site, "book", "+5h", "+1h", "--for", SOMEBODY, status=1)
    site.conf.write_text(LOCAL.replace("privileged =", f"privileged = {ME}"))
    said(site, "book", "+5h", "+1h", "--for", SOMEBODY)
    said(site, "cancel", "2")
    said(site, "cancel", "1")


@pytest.mark.parametrize("words", [("extend", "9", "+1h"), ("cancel", "9"), ("cancel", "x; --")])
def test_a_lease_that_is_not_there(site: SiteDirectory, words: tuple[str, ...]) -> None:
    done = site.run("imaging-leases", *words)
    assert done.returncode in (1, 2)
    assert "there is no lease" in done.stderr


def test_a_holder_that_is_no_text(site: SiteDirectory) -> None:
    words = refused(site, "book", "now", "+1h", "--for", "x\udcff", status=2)
    assert words == "imaging-leases: --for: the login is not UTF-8 text\n"


def test_check(site: SiteDirectory) -> None:
    book(site.directory, ME, -HOUR, HOUR)
    assert said(site, "check", "--until", "+30m").startswith("yes: ")
    assert "and is needed until" not in said(site, "check", "--until", "+30m")
    assert said(site, "check", "--until", "+3h", status=1).startswith("no: the lease of")
    told = json.loads(said(site, "check", "--until", "+3h", "--json", status=1))
    assert told["until"].endswith("Z")
    assert told | {"until": "", "message": ""} == {
        "may_act": False,
        "answer": "ends-early",
        "login": ME,
        "until": "",
        "message": "",
    }


def test_check_of_what_is_past(site: SiteDirectory) -> None:
    book(site.directory, ME, -3 * HOUR, HOUR)
    error = refused(site, "check", "--until", "2020-01-01T00:00Z", status=2)
    assert re.fullmatch("imaging-leases: --until: .* is past\n", error)


def test_a_change_that_takes_too_long_may_be_done_all_the_same(site: SiteDirectory) -> None:
    book(site.directory, ME, -HOUR, HOUR)
    site.add_settings("timeout_s = 0.3\n")
    with closing(sqlite3.connect(site.directory / "leases.sqlite")) as other:
        other.execute("BEGIN EXCLUSIVE")
        words = refused(site, "extend", "1", "+1h", status=1)
        assert "do not answer within 0.3 s" in words
        assert "may be done" not in refused(site, status=1)
        words = refused(site, "cancel", "1", status=1)
        assert "it may be done all the same: imaging-leases tells" in words


def test_leases_that_are_not_known(site: SiteDirectory) -> None:
    (site.directory / "leases.sqlite").write_text("no database " * 100)
    for words in ((), ("list", "--json"), ("book", "now", "+1h"), ("cancel", "1")):
        error = refused(site, *words, status=1)
        assert error.startswith("imaging-leases: the leases in ")
        assert "not a database" in error
    assert said(site, "check", status=1).startswith("no: the leases in ")
    site.add_settings("when_unreachable = allow\n")
    assert said(site, "check").startswith("yes: the leases in ")


def test_a_site_without_leases(tmp_path: Path) -> None:
    site = SiteDirectory(tmp_path)
    for words in ((), ("list",), ("--all",)):
        done = site.run("imaging-leases", *words)
        assert (done.returncode, done.stdout) == (0, "")
        assert done.stderr == "imaging-leases: this site has no leases: everybody may act\n"
    assert json.loads(site.run("imaging-leases", "--json").stdout) == []
    assert said(site, "check") == "yes: this site has no leases: everybody may\n"
    assert "[leases] backend is none" in refused(site, "book", "now", "+1h", status=2)
    assert "[leases] backend is none" in refused(site, "cancel", "1", status=2)


def test_options_of_the_list_are_not_those_of_the_others(site: SiteDirectory) -> None:
    assert "options go after book" in refused(site, "--json", "book", "now", "+1h", status=2)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root is anybody under sudo")
def test_under_sudo_it_is_the_caller_who_acts(site: SiteDirectory) -> None:
    assert "lease 1: alice, " in said(site, "book", "now", "+1h", SUDO_USER="alice")
    said(site, "check", SUDO_USER="alice")
    assert "bob has no lease" in said(site, "check", SUDO_USER="bob", status=1)
    assert "is alice's, not bob's" in refused(site, "cancel", "1", SUDO_USER="bob", status=1)
    site.conf.write_text(LOCAL.replace("privileged =", "privileged = root"))
    assert said(site, "check", SUDO_USER="bob") == "yes: root needs no lease\n"


def test_a_hostile_holder_is_shown_harmless(site: SiteDirectory) -> None:
    book(site.directory, "\x1b[2J\nevil\u202e", -HOUR, HOUR)
    shown = said(site)
    assert len(shown.splitlines()) == 2
    assert "\\x1b[2J\\nevil\\u202e" in shown
    assert "\\x1b[2J" in said(site, "check", status=1)
    (one,) = json.loads(said(site, "--json"))
    assert one["holder"] == "\x1b[2J\nevil\u202e"


def test_the_token_is_a_secret_everywhere(site: SiteDirectory) -> None:
    site.conf.write_text(
        "[leases]\nbackend = r2labapi\nprivileged =\nurl = http://127.0.0.1:1\n"
        "token = HUNTER2\nattempts = 1\n"
    )
    for words in (
        ("imaging-config", "leases"),
        ("imaging-config", "--json"),
        ("imaging-config", "--check"),
        ("imaging-leases", "book", "now", "+1h"),
        ("imaging-leases",),
        ("imaging-off", "1"),
    ):
        done = site.run(*words)
        assert "HUNTER2" not in done.stdout + done.stderr
    assert "********" in site.run("imaging-config", "leases.token").stdout
    log = (site.directory / "imaging.log").read_text()
    assert "HUNTER2" not in log


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("backend = somewhere", "invalid enum value"),
        ("url = ftp://host", "is not of the form https://HOST"),
        ("url = https://alice:HUNTER2@host", "must have neither login nor query"),
        ("url = https://", "is not of the form"),
        ("url = https://host:99999", "is not of the form"),
        (f"url = http://{'a' * 70}.org", "is not of the form"),
        ("url = http://a..b", "is not of the form"),
        ("token = HUNTER2 and more", "holds blanks"),
        ("resource = ../../auth", "matching regex"),
        ("timeout_s = 0", "must be a number above 0"),
        ("when_unreachable = maybe", "invalid enum value"),
    ],
)
def test_settings_that_cannot_be(tmp_path: Path, line: str, words: str) -> None:
    site = SiteDirectory(tmp_path)
    site.add_settings(f"[leases]\n{line}\n")
    error = refused(site, status=2)
    assert words in error
    assert "imaging.conf:2" in error
    assert "HUNTER2" not in error


def test_a_host_name_that_cannot_be(tmp_path: Path) -> None:
    site = SiteDirectory(tmp_path)
    site.add_settings("[leases]\nbackend = r2labapi\nurl = http://xn--/\n")
    assert "[leases] url: " in refused(site, status=2)


# --- the other commands


@pytest.fixture
def leased(testbed: Commands) -> Iterator[Commands]:
    """The shared testbed as a site with leases in a file."""
    with testbed.setting("backend = none", "backend = local"):
        yield testbed
    (testbed.directory / "leases.sqlite").unlink(missing_ok=True)


CHANGES = [
    ("imaging-load", "-i", "sample", "1-2"),
    ("imaging-load", "-i", "sample", "-n", "1-2"),
    ("imaging-save", "-o", "leased", "1"),
    ("imaging-on", "1-2"),
    ("imaging-off", "1-2"),
    ("imaging-reset", "1-2"),
    ("imaging-off", "--force", "1-2"),
]


@pytest.mark.e2e
@pytest.mark.parametrize("words", CHANGES, ids=" ".join)
def test_without_a_lease_no_node_is_touched(leased: Commands, words: tuple[str, ...]) -> None:
    book(leased.directory, SOMEBODY, -HOUR, HOUR)
    before, transcripts = leased.requests(), list(leased.directory.glob("transcripts/*"))
    done = leased.run(*words)
    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"{words[0]}: {ME} has no lease on fit01")
    assert f"{SOMEBODY} holds the whole testbed until" in line
    assert line.endswith("; no node was touched")
    assert leased.requests() == before
    assert leased.links() == []
    assert list(leased.directory.glob("transcripts/*")) == transcripts


@pytest.mark.e2e
def test_a_refusal_has_a_report_for_scripts(leased: Commands, tmp_path: Path) -> None:
    report, failed, events = (tmp_path / name for name in ("report.json", "ko", "events"))
    done = leased.run(
        *("imaging-load", "-i", "sample", "1-2", "--json", "--report", report),
        *("--ko", failed, "--events", events),
    )
    assert done.returncode == 1
    told = validated(done.stdout, "report")
    assert validated(report.read_text(), "report") == told
    reasons = [(node["reason"], node["step"], node["durations"]) for node in told["nodes"]]
    assert reasons == [("no-lease", None, {})] * 2
    assert failed.read_text() == "fit01\nfit02\n"
    lines = validated_lines(events.read_text())
    assert [line["event"] for line in lines] == [
        "run-started",
        "node-finished",
        "node-finished",
        "run-finished",
    ]
    power = leased.run("imaging-off", "--json", "1")
    assert [row["reason"] for row in json.loads(power.stdout)] == ["no-lease"]
    run = leased.run("imaging-history", "--run", told["run_id"])
    assert run.returncode == 2, "what did not happen is not recorded"


@pytest.mark.e2e
@pytest.mark.parametrize("words", [CHANGES[0], ("imaging-off", "1-2")], ids=" ".join)
def test_a_terminal_shows_no_progress_of_what_was_refused(
    leased: Commands, words: tuple[str, ...]
) -> None:
    with terminal(160, 10) as shown:
        shown.start(*words, cwd=leased.directory, environment=leased.environment)
        assert shown.end() == 1
        (line,) = [line for line in shown.screen.readable() if line.strip()]
        assert "no node was touched" in line
        shown.assert_restored()


@pytest.mark.e2e
def test_a_lease_on_some_of_the_nodes_is_none(leased: Commands) -> None:
    book(leased.directory, ME, -HOUR, HOUR, "fit01")
    done = leased.run("imaging-off", "1-2")
    assert done.returncode == 1
    assert f"{ME} has no lease on fit02 now: nobody else has one" in done.stderr
    assert leased.run("imaging-status", "1").stdout == "fit01: on\n"


@pytest.mark.e2e
def test_with_a_lease_everything_works(leased: Commands) -> None:
    book(leased.directory, ME, -HOUR, 5 * HOUR, "fit01", "fit02")
    for words in (
        ("imaging-load", "-i", "sample", "1-2"),
        ("imaging-save", "-o", "mine", "1"),
        ("imaging-off", "2"),
        ("imaging-on", "2"),
        ("imaging-reset", "2"),
    ):
        done = leased.run(*words)
        assert done.returncode == 0, done.stderr
        assert "lease" not in done.stderr
    for suffix in (".ndz", ".json"):
        (leased.directory / "images" / f"mine{suffix}").unlink()


@pytest.mark.e2e
def test_a_lease_that_ends_early(leased: Commands) -> None:
    book(leased.directory, ME, -HOUR, 3 * MINUTE)
    done = leased.run("imaging-reset", "1", "-t", "900")
    assert done.returncode == 0
    assert f"the lease of {ME} ends at" in done.stderr
    assert "and is needed until" in done.stderr
    before = leased.requests()
    strict = leased.run("imaging-reset", "1", "-t", "900", "--strict-lease", "--json")
    assert strict.returncode == 1
    assert [row["reason"] for row in json.loads(strict.stdout)] == ["lease-too-short"]
    assert leased.requests() == before
    assert leased.run("imaging-reset", "1", "-t", "60", "--strict-lease").returncode == 0


@pytest.mark.e2e
def test_a_run_is_expected_to_take_as_long_as_usual(leased: Commands) -> None:
    book(leased.directory, ME, -HOUR, 4 * MINUTE)
    fresh = leased.directory / "images" / "fresh.ndz"
    shutil.copy(leased.directory / "images" / "sample.ndz", fresh)
    words = ("imaging-load", "-i", "fresh", "-t", "900", "1")
    unknown = leased.run(*words, "--strict-lease")
    assert unknown.returncode == 1, "an image that nobody has had: the timeout counts"
    assert "and is needed until" in unknown.stderr
    assert leased.run(*words).returncode == 0
    known = leased.run(*words, "--strict-lease")
    fresh.unlink()
    assert known.returncode == 0, known.stderr


@pytest.mark.e2e
def test_leases_that_are_not_known_are_refused_or_allowed(leased: Commands) -> None:
    (leased.directory / "leases.sqlite").write_text("no database " * 100)
    done = leased.run("imaging-reset", "1", "--json")
    assert done.returncode == 1
    (row,) = json.loads(done.stdout)
    assert row["reason"] == "leases-unreachable"
    assert str(leased.directory / "leases.sqlite") in row["message"]
    with leased.setting("backend = local", "backend = local\nwhen_unreachable = allow"):
        allowed = leased.run("imaging-reset", "1")
    assert allowed.returncode == 0
    assert "not a database" in allowed.stderr


@pytest.mark.e2e
@pytest.mark.parametrize("words", [("imaging-status",), ("imaging-info",), ("imaging-wait", "-n")])
def test_who_only_reads_is_only_told(leased: Commands, words: tuple[str, ...]) -> None:
    book(leased.directory, SOMEBODY, -HOUR, HOUR)
    leased.boot_ramdisk("fit01")
    done = leased.run(*words, "1")
    leased.order("fit01", "reset")
    assert done.returncode == 0
    assert f"{SOMEBODY} holds the whole testbed until" in done.stderr
    book(leased.directory, ME, 2 * HOUR, 3 * HOUR)


@pytest.mark.e2e
def test_a_dry_run_tells_both(leased: Commands) -> None:
    done = leased.run("imaging-load", "-i", "sample", "--dry-run", "1")
    assert done.returncode == 1
    assert "would load sample" in done.stdout
    assert f"{ME} has no lease on fit01 now" in done.stderr
    book(leased.directory, ME, -HOUR, 5 * HOUR)
    assert leased.run("imaging-load", "-i", "sample", "--dry-run", "1").returncode == 0


@pytest.mark.e2e
def test_links_are_cleaned_by_who_may(leased: Commands) -> None:
    place = leased.link_place("fit02")
    place.symlink_to("pxefrisbee")
    book(leased.directory, SOMEBODY, -HOUR, HOUR, "fit02")
    # root itself may: tests/test_etc_systemd.py
    login, variables = ("alice", {"SUDO_USER": "alice"}) if os.geteuid() == 0 else (ME, {})
    done = leased.run("imaging-nextboot", "--clean", **variables)
    assert done.returncode == 1
    assert f"{login} has no lease on fit02 now: {SOMEBODY} holds fit02" in done.stderr
    assert place.is_symlink()
    assert leased.run("imaging-nextboot", "--clean", "1").returncode == 0
    assert leased.run("imaging-nextboot", "--clean", "--dry-run").returncode == 0
    assert leased.run("imaging-nextboot").returncode == 0
    with leased.setting("privileged =", f"privileged = {ME}"):
        assert leased.run("imaging-nextboot", "--clean").returncode == 0
    assert not place.is_symlink()


def cancel_lease(directory: Path) -> None:
    async def cancelling() -> None:
        leases = LocalLeases(directory / "leases.sqlite")
        await leases.cancel(Actor("root", privileged=True), "1", time.time())

    trio.run(cancelling)


def start_and_lose_the_lease(
    leased: Commands, events: Path, moment: str, *words: str
) -> dict[str, Any]:
    """Have a load of a node lose its lease at a moment, when the event is told; gives its end."""
    book(leased.directory, ME, -HOUR, HOUR)
    done = leased.start(
        *("imaging-load", "-i", "sample", "1", "--json", "-t", "60", "--events", str(events)),
        *words,
    )
    wait_for(lambda: events.exists() and moment in events.read_text())
    cancel_lease(leased.directory)
    book(leased.directory, SOMEBODY, MINUTE, HOUR)
    output, errors = done.communicate(timeout=60)
    assert done.returncode == 1, errors
    assert leased.links() == []
    node: dict[str, Any]
    (node,) = json.loads(output)["nodes"]
    assert node["reason"] == "no-lease"
    assert "left as it is" in node["message"]
    return node


@pytest.mark.e2e
def test_no_disk_is_written_when_the_lease_has_gone_meanwhile(
    leased: Commands, tmp_path: Path
) -> None:
    leased.set_fault("fit01", boot="slow:4")
    before = sha256(leased.disk("fit01"))
    node = start_and_lose_the_lease(leased, tmp_path / "events", '"step":"boot"')
    assert node["step"] == "check"
    assert leased.state("fit01") == "ramdisk"
    assert sha256(leased.disk("fit01")) == before
    leased.order("fit01", "reset")


@pytest.mark.e2e
def test_a_node_that_was_busy_until_the_lease_had_gone_is_not_touched(
    leased: Commands, tmp_path: Path
) -> None:
    before, events = leased.card_requests(), tmp_path / "events"
    lock = LockDirectory(leased.directory / "locks").take("fit01", "a test")

    def free_later() -> None:
        wait_for(lambda: SOMEBODY in str(holders_of(leased.directory)))
        time.sleep(FRESH_S + 0.5)
        lock.close()

    freeing = threading.Thread(target=free_later)
    freeing.start()
    words = ("--wait-lock", "30")
    node = start_and_lose_the_lease(leased, events, '"step":"lock"', *words)
    freeing.join()
    assert node["step"] == "lock"
    assert leased.card_requests() == before


def holders_of(directory: Path) -> list[str]:
    leases = LocalLeases(directory / "leases.sqlite")
    return [lease.holder for lease in trio.run(leases.between, 0, time.time() + HOUR)]


@pytest.mark.e2e
def test_no_node_is_reset_when_the_lease_has_gone_meanwhile(
    leased: Commands, tmp_path: Path
) -> None:
    # so slowly that what was known before the transfer is not believed after it any more
    slowly = ("-b", "20")
    node = start_and_lose_the_lease(leased, tmp_path / "events", '"event":"progressed"', *slowly)
    assert node["step"] == "restart"
    assert leased.state("fit01") == "ramdisk"
    assert sha256(leased.disk("fit01")) == leased.expected_disk()
    leased.order("fit01", "reset")


@pytest.mark.e2e
def test_a_node_is_not_sent_back_when_the_lease_has_ended(leased: Commands) -> None:
    async def book_some_seconds() -> None:
        span = (minute(), int(time.time()) + 4)
        await LocalLeases(leased.directory / "leases.sqlite").book(Actor(ME), ME, *span, None)

    trio.run(book_some_seconds)
    leased.set_fault("fit01", imagezip="silent")
    with leased.setting("stall_timeout_s = 10", "stall_timeout_s = 5"):
        done = leased.run("imaging-save", "-o", "mine", "1")
    assert done.returncode == 1
    assert "it was left in the ramdisk: the lease is over" in done.stderr
    assert leased.state("fit01") == "ramdisk"
    leased.order("fit01", "reset")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    """A testbed with a lease service, in which everybody needs a lease."""
    options = ["-n2", "--disk-size=48", "--ramdisk-boot=0.2", "--os-boot=0.3", "--leases"]
    home = tmp_path_factory.mktemp("home")
    with running_testbed(tmp_path_factory.mktemp("served"), home, *options) as commands:
        yield commands


def listed(commands: Commands) -> list[dict[str, Any]]:
    done = commands.run("imaging-leases", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


@pytest.mark.e2e
def test_the_service_of_a_testbed_from_booking_to_cancelling(served: Commands) -> None:
    conf = served.directory / "imaging.conf"
    assert stat.S_IMODE(conf.stat().st_mode) == 0o600
    assert served.run("imaging-leases", "check").returncode == 1
    assert served.run("imaging-load", "-i", "sample", "1").returncode == 1
    assert served.run("imaging-leases", "book", "now", "+2h").returncode == 0
    done = served.run("imaging-load", "-i", "sample", "1")
    assert done.returncode == 0, done.stderr
    refusal = served.run("imaging-leases", "book", "now", "+1h", "1")
    assert refusal.returncode == 2
    assert "of the whole testbed, not of nodes" in refusal.stderr
    (lease,) = listed(served)
    assert lease["holder"] == ME
    assert served.run("imaging-leases", "cancel", lease["id"]).returncode == 0
    assert served.run("imaging-leases", "book", "+2h", "+1h", "--for", "bob").returncode == 0
    assert [one["holder"] for one in listed(served)] == [ME, "bob"]
    assert served.run("imaging-leases", "cancel", listed(served)[-1]["id"]).returncode == 0


@pytest.mark.e2e
def test_a_token_by_login(served: Commands) -> None:
    token = served.setting_value("token")
    with served.setting(f"token = {token}", "token ="):
        done = served.run("imaging-leases", "book", "+2h", "+1h")
        assert done.returncode == 2
        assert "set [leases] token, or $R2LABAPI_EMAIL and $R2LABAPI_PASSWORD" in done.stderr
        served.environment.update(R2LABAPI_EMAIL=f"{ME}@testbed", R2LABAPI_PASSWORD="testbed")
        try:
            assert served.run("imaging-leases", "book", "+2h", "+1h").returncode == 0
            assert served.run("imaging-leases", "cancel", listed(served)[-1]["id"]).returncode == 0
            served.environment.update(R2LABAPI_PASSWORD="HUNTER2")
            wrong = served.run("imaging-leases", "book", "+2h", "+1h")
        finally:
            del served.environment["R2LABAPI_EMAIL"], served.environment["R2LABAPI_PASSWORD"]
    assert wrong.returncode == 1
    assert "Invalid credentials" in wrong.stderr
    assert "HUNTER2" not in wrong.stderr


@pytest.mark.e2e
def test_on_a_terminal_the_password_is_asked_for_and_not_shown(served: Commands) -> None:
    token = served.setting_value("token")
    with served.setting(f"token = {token}", "token ="), terminal(100, 24) as shown:
        shown.start(
            *("imaging-leases", "book", "+2h", "+1h"),
            cwd=served.directory,
            environment=served.environment,
        )
        shown.see("Email for http://")
        shown.press(f"{ME}@testbed\n")
        shown.see("Password:")
        shown.press("testbed\n")
        shown.see("the whole testbed")
        assert shown.end() == 0
        (asked,) = [line for line in shown.screen.readable() if line.startswith("Password")]
        assert asked.strip() == "Password:"
    assert served.run("imaging-leases", "cancel", listed(served)[-1]["id"]).returncode == 0


@pytest.mark.e2e
def test_the_check_has_its_time_and_the_rest_of_the_run_too(served: Commands) -> None:
    fault = served.run("imaging-testbed", "fault", "leases=hang")
    assert fault.returncode == 0, fault.stderr
    try:
        done, took = served.timed("imaging-off", "1")
        assert done.returncode == 1
        assert "does not answer: no answer within 1 s" in done.stderr
        assert took < 8
        done, took = served.timed("imaging-off", "1", "-t", "1.5")
        assert done.returncode == 1
        assert "not done within 1.5 s, before any node was touched" in done.stderr
        assert took < 3.5
        done, took = served.timed("imaging-status", "1")
        assert (done.returncode, done.stdout) == (0, "fit01: on\n")
        assert took < 4, "who only reads does not wait for it"
    finally:
        served.clear_faults()


@pytest.mark.e2e
def test_faults_of_the_service_are_set_without_nodes(served: Commands) -> None:
    wrong = served.run("imaging-testbed", "fault", "1", "leases=down")
    assert wrong.returncode == 2
    assert "leases=down is of the whole testbed: give no nodes" in wrong.stderr
    assert served.run("imaging-testbed", "fault", "leases=slow:0.1").returncode == 0
    assert served.run("imaging-testbed", "fault", "--list").stdout == "testbed leases=slow:0.1\n"
    assert served.run("imaging-leases").returncode == 0
    assert served.run("imaging-testbed", "fault", "--clear").returncode == 0
    assert served.run("imaging-testbed", "fault", "--list").stdout == ""
