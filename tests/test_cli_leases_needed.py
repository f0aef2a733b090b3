"""What leases mean to the commands that change nodes."""

import json
import os
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

from imaging.leases.backend import Actor
from imaging.leases.local import LocalLeases
from imaging.operations.authorization import FRESH_S
from imaging.site.locks import LockDirectory
from tests.booked_leases import HOUR, ME, MINUTE, SOMEBODY, book, minute
from tests.commands import Commands, sha256, wait_for
from tests.report_samples import validated, validated_lines
from tests.terminals import terminal


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
