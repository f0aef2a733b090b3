"""imaging-leases, as its users run it, where the site keeps the leases itself."""

import json
import os
import re
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from imaging.leases.lease import moment_text
from tests.booked_leases import HOUR, ME, MINUTE, SOMEBODY, book
from tests.site_directory import SiteDirectory

LOCAL = "[leases]\nbackend = local\nprivileged =\nfile = leases.sqlite\n"


@pytest.fixture
def site(tmp_path: Path) -> SiteDirectory:
    found = SiteDirectory(tmp_path)
    found.add_settings(LOCAL)
    return found


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
        ("backend = somewhere", "must be one of local, none, r2labapi"),
        ("url = ftp://host", "is not of the form https://HOST"),
        ("url = https://alice:HUNTER2@host", "must have neither login nor query"),
        ("url = https://", "is not of the form"),
        ("url = https://host:99999", "is not of the form"),
        (f"url = http://{'a' * 70}.org", "is not of the form"),
        ("url = http://a..b", "is not of the form"),
        ("token = HUNTER2 and more", "holds blanks"),
        ("resource = ../../auth", "must be letters, digits and"),
        ("timeout_s = 0", "must be a number above 0"),
        ("when_unreachable = maybe", "must be one of allow, refuse"),
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
