"""imaging-history, and what it is made of: transcripts and records of real runs."""

import json
import os
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from imaging.errors import Reason
from imaging.feedback.outcomes import ImageFacts, NodeOutcome, RunReport, Step
from imaging.feedback.records.history import open_history
from tests.commands import Commands, processes_of, wait_for
from tests.site_directory import SiteDirectory

TRANSFER = {Step.BOOT: 10.0, Step.TRANSFER: 20.0}


@pytest.fixture
def site(tmp_path: Path) -> SiteDirectory:
    """Three runs of the past."""
    made = SiteDirectory(tmp_path)
    made.add_settings("[history]\nfile = history.sqlite\n")
    transcripts = made.directory / "transcripts"
    transcripts.mkdir()
    (transcripts / "fit02.log").touch()
    fedora = ImageFacts("fedora", "/images/fedora.ndz", 1000, "0" * 64)
    debian = ImageFacts("debian", "/images/debian.ndz", 2000)
    fit02 = NodeOutcome("fit02", Reason.STALLED, Step.TRANSFER, "fit02: no\nmore", TRANSFER)
    with open_history(made.directory / "history.sqlite") as history:
        for number, (command, image, user, outcomes) in enumerate(
            [
                ("imaging-load", fedora, "alice", [fine("fit01"), fine("fit02")]),
                ("imaging-load", debian, "bob", [fit02]),
                ("imaging-save", fedora, "bob", [fine("fit01")]),
            ],
            start=1,
        ):
            history.record(
                RunReport(
                    f"20260101-00000{number}-00000a",
                    command,
                    tuple(outcomes),
                    elapsed=31.25,
                    started=1767225600.0 + 60 * number,
                    user=user,
                    image=image,
                    transcripts=str(transcripts),
                )
            )
    return made


def fine(node: str) -> NodeOutcome:
    return NodeOutcome(node, durations=TRANSFER)


def test_the_last_runs(site: SiteDirectory) -> None:
    done = site.run("imaging-history", TZ="UTC")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "RUN                     STARTED           COMMAND  IMAGE   OK  FAILED  ELAPSED  USER",
        "20260101-000003-00000a  2026-01-01 00:03  save     fedora  1   0       31.2 s   bob",
        "20260101-000002-00000a  2026-01-01 00:02  load     debian  0   1       31.2 s   bob",
        "20260101-000001-00000a  2026-01-01 00:01  load     fedora  2   0       31.2 s   alice",
    ]


@pytest.mark.parametrize(
    ("words", "numbers"),
    [
        (["-n", "1"], [3]),
        (["--image", "fedora"], [3, 1]),
        (["--image", "/images/debian.ndz"], [2]),
        (["--user", "bob"], [3, 2]),
        (["--failed"], [2]),
        (["--user", "bob", "--image", "fedora"], [3]),
    ],
    ids=str,
)
def test_filters(site: SiteDirectory, words: list[str], numbers: list[int]) -> None:
    rows = site.run("imaging-history", *words).stdout.splitlines()[1:]
    assert [int(row[14]) for row in rows] == numbers


def test_what_happened_on_a_node(site: SiteDirectory) -> None:
    done = site.run("imaging-history", "--node", "fit01", TZ="UTC")
    first, blank, header, *rows = done.stdout.splitlines()
    assert first == (
        "fit01: fedora (/images/fedora.ndz) since 2026-01-01 00:01 by alice, "
        "run 20260101-000001-00000a"
    )
    assert (blank, header.split()[-1]) == ("", "RESULT")
    assert [row.split()[0][14] for row in rows] == ["3", "1"]
    assert all(row.endswith("  ok") for row in rows)


def test_a_half_written_disk_is_told(site: SiteDirectory) -> None:
    done = site.run("imaging-history", "--node", "fit02", TZ="UTC")
    assert done.stdout.splitlines()[0] == (
        "fit02: unknown, the load of debian (/images/debian.ndz) failed while it wrote: "
        "2026-01-01 00:02 by bob, run 20260101-000002-00000a"
    )
    assert "FAILED at transfer (stalled)" in done.stdout
    nothing = site.run("imaging-history", "--node", "fit03")
    assert nothing.stdout == "fit03: no load onto it is recorded\n"


@pytest.mark.parametrize("word", ["1", "001", "FIT1", "reboot01"])
def test_a_node_is_named_as_for_other_commands(site: SiteDirectory, word: str) -> None:
    told = site.run("imaging-history", "--node", word).stdout
    assert told == site.run("imaging-history", "--node", "fit01").stdout


def test_a_node_of_no_inventory_is_known_by_its_name(site: SiteDirectory) -> None:
    told = site.run("imaging-history", "--node", "fit01").stdout
    site.inventory.unlink()
    assert site.run("imaging-history", "--node", "fit01").stdout == told


def test_the_nodes_of_a_run(site: SiteDirectory) -> None:
    done = site.run("imaging-history", "--run", "20260101-000002-00000a", TZ="UTC")
    assert done.stdout.splitlines()[0].startswith("imaging-load debian by bob on ")
    assert done.stdout.splitlines()[0].endswith(", 2026-01-01 00:02, 31.2 s: 0 of 1 nodes done")
    transcript = site.directory / "transcripts" / "fit02.log"
    row = done.stdout.splitlines()[-1]
    assert row == f"fit02  30.0 s  {transcript}  FAILED at transfer (stalled): no\\nmore"
    gone = site.run("imaging-history", "--run", "20260101-000001-00000a").stdout.splitlines()
    assert gone[-2:] == [f"fit01  30.0 s  -{' ' * len(f'{transcript}')} ok", gone[-1]]


def test_json(site: SiteDirectory) -> None:
    runs: Any = site.run_json("imaging-history", "--json", "-n", "2")
    assert [run["run"][14] for run in runs] == ["3", "2"]
    assert runs[1] | {"host": ""} == {
        "run": "20260101-000002-00000a",
        "command": "imaging-load",
        "user": "bob",
        "host": "",
        "started": "2026-01-01T00:02:00Z",
        "ended": "2026-01-01T00:02:31Z",
        "elapsed": 31.25,
        "exit_code": 1,
        "image": {"name": "debian", "path": "/images/debian.ndz", "size": 2000, "sha256": None},
        "ok": [],
        "failed": ["fit02"],
        "transcripts": f"{site.directory}/transcripts",
    }
    node: Any = site.run_json("imaging-history", "--json", "--node", "fit02")
    assert (node["node"], node["image"]["name"]) == ("fit02", "debian")
    assert node["image"]["half_written"] is True
    assert [run["run"][14] for run in node["runs"]] == ["2", "1"]
    assert site.run_json("imaging-history", "--json", "--node", "fit03")["image"] is None
    (attempt,) = site.run_json("imaging-history", "--json", "--run", runs[1]["run"])["nodes"]
    assert attempt == {
        "node": "fit02",
        "attempt": 1,
        "final": True,
        "ok": False,
        "reason": "stalled",
        "step": "transfer",
        "message": "fit02: no\nmore",
        "size": 0,
        "durations": {"boot": 10.0, "transfer": 20.0},
        "transcript": f"{site.directory}/transcripts/fit02.log",
    }


def test_nothing_is_no_error(site: SiteDirectory) -> None:
    nobody = site.run("imaging-history", "--user", "nobody")
    assert (nobody.returncode, nobody.stdout) == (0, "")
    assert nobody.stderr == (
        f"imaging-history: no such run is recorded in {site.directory}/history.sqlite\n"
    )
    (site.directory / "history.sqlite").unlink()
    assert site.run("imaging-history").returncode == 0
    assert site.run_json("imaging-history", "--json") == []
    assert not (site.directory / "history.sqlite").exists()


def test_bad_input(site: SiteDirectory) -> None:
    unknown = site.run("imaging-history", "--run", "nosuch")
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert "no run 'nosuch' is recorded" in unknown.stderr
    assert site.run("imaging-history", "--run", "x", "--failed").returncode == 2
    assert site.run("imaging-history", "-n", "0").returncode == 2
    (site.directory / "history.sqlite").write_bytes(b"no database" * 1000)
    corrupt = site.run("imaging-history")
    assert (corrupt.returncode, corrupt.stdout) == (1, "")
    assert corrupt.stderr.startswith("imaging-history: the history ")
    assert len(corrupt.stderr.splitlines()) == 1


def test_it_needs_no_inventory_and_imports_nothing_heavy(site: SiteDirectory) -> None:
    site.inventory.unlink()
    assert site.heavy_imports("imaging-history") == []
    assert site.run("imaging", "history").returncode == 0
    assert "sqlite3" not in site.run("imaging-nodes", "-h", PYTHONPROFILEIMPORTTIME="1").stderr


def newest(testbed: Commands) -> Path:
    """The transcripts of the last run."""
    runs = [entry for entry in (testbed.directory / "transcripts").iterdir() if entry.is_dir()]
    return max(runs, key=lambda entry: entry.stat().st_mtime_ns)


@pytest.mark.e2e
def test_the_transcripts_of_a_load(testbed: Commands) -> None:
    done = testbed.run("imaging-load", "--wait", "-i", "sample", "1-2")
    assert done.returncode == 0, done.stderr
    run = newest(testbed)
    assert sorted(file.name for file in run.iterdir()) == [
        "fit01.log",
        "fit02.log",
        "run.log",
        "server.log",
    ]
    text = (run / "fit01.log").read_text()
    for words in (
        r"> telnet .*cat /proc/uptime",
        r"< telnet bytes 50331648$",
        r"> telnet .*frisbee .*/dev/sda",
        r"< telnet .*Wrote \d+ bytes",
        r"> ssh true$",
        r"< ssh \[status 0\]$",
        r"- transfer done in .* bytes written$",
        r"- ok$",
    ):
        assert re.search(rf"^[-\d]+ [:,\d]+ {words}", text, re.MULTILINE), words
    assert text.isprintable() or set(filter(lambda c: not c.isprintable(), text)) == {"\n"}
    assert "Using Multicast" in (run / "server.log").read_text()
    log = (testbed.directory / "imaging.log").read_text().splitlines()
    ours = [line.split(" ", 2)[2] for line in log if run.name in line]
    kept = [line.split(" ", 2)[2] for line in (run / "run.log").read_text().splitlines()]
    assert [line for line in kept if " DEBUG " not in line] == ours


@pytest.mark.e2e
def test_a_save_has_transcripts_and_knows_its_parent(testbed: Commands) -> None:
    assert testbed.run("imaging-load", "-i", "sample", "3").returncode == 0
    done = testbed.run("imaging-save", "-o", "of-sample", "3")
    image = testbed.directory / "images" / "of-sample.ndz"
    try:
        assert done.returncode == 0, done.stderr
        told = json.loads(image.with_suffix(".json").read_text())
        assert told["parent"] == "sample"
    finally:
        image.unlink()
        image.with_suffix(".json").unlink()
    text = (newest(testbed) / "fit03.log").read_text()
    assert re.search(r"> telnet .*imagezip -z1", text)
    rows = testbed.run("imaging-history", "-n", "2").stdout.splitlines()[1:]
    assert [row.split()[3:7] for row in rows] == [
        ["save", "of-sample", "1", "0"],
        ["load", "sample", "1", "0"],
    ]
    on_node = testbed.run("imaging-history", "--node", "fit03").stdout
    assert on_node.startswith(f"fit03: sample ({testbed.directory}/images/sample.ndz) since ")


@pytest.mark.e2e
def test_a_failure_names_its_transcript(testbed: Commands) -> None:
    with testbed.setting("client = frisbee", "client = sh -c 'echo some last words; exit 3'"):
        done = testbed.run("imaging-load", "-i", "sample", "1")
    transcript = newest(testbed) / "fit01.log"
    assert done.stdout.splitlines()[0].endswith(f"; transcript: {transcript}")
    assert "< telnet some last words" in transcript.read_text()
    told = testbed.run("imaging-history", "--run", newest(testbed).name).stdout
    assert f"  {transcript}  FAILED at transfer (frisbee-failed): " in told
    on_node = testbed.run("imaging-history", "--node", "fit01").stdout
    assert on_node.startswith("fit01: unknown, the load of sample")
    with testbed.unreachable("fit02", "cmc"):
        dead = testbed.run("imaging-load", "-i", "sample", "2")
    transcript = Path(dead.stdout.splitlines()[0].rpartition("; transcript: ")[2])
    assert transcript.is_file(), "also of a node with which there was no dialogue"


@pytest.mark.e2e
def test_a_killed_run_leaves_what_was_said(testbed: Commands) -> None:
    with testbed.setting("client = frisbee", "client = sh -c 'echo -n begun; exec sleep 60'"):
        process = testbed.start("imaging-load", "-i", "sample", "1")
        found = testbed.directory / "transcripts"
        wait_for(lambda: any("begun" in f.read_text() for f in newest_logs(found)), 20)
        process.kill()
        process.wait()
    for name in testbed.links():
        testbed.link_place("fit01").with_name(name).unlink()
    for server in processes_of("imaging-frisbeed", testbed.directory):
        os.kill(server, 9)


def newest_logs(directory: Path) -> Iterator[Path]:
    """The transcripts of nodes of the last run."""
    runs = [entry for entry in directory.iterdir() if entry.is_dir()]
    if runs:
        yield from max(runs, key=lambda entry: entry.stat().st_mtime_ns).glob("fit*.log")


@pytest.mark.e2e
def test_old_transcripts_are_removed(testbed: Commands) -> None:
    old = testbed.directory / "transcripts" / "20200101-000000-abcdef"
    mine = testbed.directory / "transcripts" / "mine"
    for directory in (old, mine):
        directory.mkdir(parents=True)
        (directory / "fit01.log").touch()
    assert testbed.run("imaging-load", "-q", "-i", "sample", "1").returncode == 0
    assert not old.exists()
    assert (mine / "fit01.log").exists()
    (mine / "fit01.log").unlink()
    mine.rmdir()


@pytest.mark.e2e
def test_what_cannot_be_kept_fails_no_run(testbed: Commands) -> None:
    corrupt = testbed.directory / "corrupt"
    corrupt.write_bytes(b"no database" * 1000)
    with (
        testbed.setting("directory = transcripts", "directory = testbed.log/transcripts"),
        testbed.setting("file = history.sqlite", "file = corrupt"),
    ):
        done = testbed.run("imaging-load", "-i", "sample", "1-2")
        failed = testbed.run("imaging-load", "-t", "0.5", "-i", "sample", "1")
    assert done.returncode == 0
    told = [line.split(" ", 1)[1] for line in done.stderr.splitlines()]
    place = f"{testbed.directory}/testbed.log"
    assert told.count(f"no transcripts: cannot make {place}: File exists") == 1
    assert done.stderr.count("this run is not recorded: the history ") == 1
    assert "2 of 2 nodes done" in done.stdout
    assert failed.returncode == 1
    assert "; transcript: " not in failed.stdout
    assert corrupt.read_bytes() == b"no database" * 1000


@pytest.mark.e2e
def test_a_locked_history_costs_two_seconds_and_nothing_else(testbed: Commands) -> None:
    assert testbed.run("imaging-load", "-i", "sample", "1").returncode == 0
    holder = sqlite3.connect(testbed.directory / "history.sqlite", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    try:
        done, elapsed = testbed.timed("imaging-load", "-i", "sample", "1")
    finally:
        holder.close()
    assert done.returncode == 0
    assert "this run is not recorded: " in done.stderr
    assert "database is locked" in done.stderr
    assert elapsed < 10


@pytest.mark.e2e
def test_a_step_that_takes_far_longer_than_usual_is_told(testbed: Commands) -> None:
    with testbed.unreachable("fit02", "control"):
        done = testbed.run("imaging-load", "-t", "8", "-i", "sample", "1-2")
    assert done.returncode == 1
    told = re.findall(r"fit02: boot takes 3 times as long as usual \(\d\.\d s\)", done.stderr)
    assert len(told) == 1


@pytest.mark.e2e
def test_commands_without_a_dialogue_leave_nothing(testbed: Commands) -> None:
    assert testbed.run("imaging-load", "-i", "sample", "1").returncode == 0
    before = sorted(os.listdir(testbed.directory / "transcripts"))
    rows = testbed.run("imaging-history", "--json").stdout
    assert testbed.run("imaging-status", "1").returncode == 0
    assert testbed.run("imaging-load", "--dry-run", "-i", "sample", "1").returncode == 0
    assert sorted(os.listdir(testbed.directory / "transcripts")) == before
    assert testbed.run("imaging-history", "--json").stdout == rows
