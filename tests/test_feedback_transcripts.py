"""Transcripts: a directory per run, a file per node."""

import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from imaging.errors import Reason
from imaging.feedback.events import (
    Event,
    NodeFinished,
    NodeRetried,
    Noticed,
    Progressed,
    RunStarted,
    Said,
    StepDone,
)
from imaging.feedback.outcomes import NodeOutcome, Step
from imaging.feedback.records import transcripts as module
from imaging.feedback.records.transcripts import (
    Transcripts,
    open_transcripts,
    prune,
    superseded,
    transcript_path,
)
from imaging.feedback.wording import time_text
from imaging.site.schema import TranscriptsSettings
from tests.messages import recorder

RUN = "20260102-030405-0a1b2c"
SETTINGS = TranscriptsSettings()
FAILED = NodeOutcome("fit02", Reason.NO_TELNET, Step.BOOT, "fit02: nothing answered")
AGAIN = "attempt failed (no-telnet), starting again: fit02: nothing answered"
START = RunStarted(0.0, RUN, "imaging-load", ("fit01", "fit02"), "load it on 2 nodes")


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Transcripts]:
    transcripts = open_transcripts(tmp_path / "state" / "transcripts", RUN, SETTINGS)
    yield transcripts
    transcripts.close(3.0)


def fed(transcripts: Transcripts, *events: Event) -> dict[str, list[str]]:
    for event in events:
        transcripts.take(event)
    transcripts.close(3.0)
    return {file.name: file.read_text().splitlines() for file in transcripts.directory.iterdir()}


def heard(node: str | None, data: bytes, way: str = "<") -> Said:
    return Said(0.0, node, "telnet" if node else "server", way, data)


def test_a_file_per_node_one_for_the_server_and_one_for_the_run(opened: Transcripts) -> None:
    files = fed(
        opened,
        START,
        heard(None, b"Using Multicast\n"),
        heard("fit01", b"uname\n", ">"),
        heard("fit02", b"# "),
        heard("fit01", b"Linux\r\n"),
        Progressed(0.0, "fit01", 0.5),
        StepDone(0.0, "fit01", Step.BOOT, 1.5, "a\nb"),
        NodeRetried(0.0, FAILED),
        NodeFinished(0.0, FAILED),
    )
    now = time_text(0.0)
    assert files == {
        "server.log": [f"{now} < server Using Multicast"],
        "fit01.log": [
            f"{now} > telnet uname",
            f"{now} < telnet Linux",
            f"{now} - boot done in 1.500 s: a / b",
        ],
        "fit02.log": [
            f"{now} < telnet # ",
            f"{now} - {AGAIN}",
            f"{now} - FAILED at boot (no-telnet)",
        ],
        "run.log": [
            f"{now} {RUN} INFO - load it on 2 nodes",
            f"{now} {RUN} INFO fit01 boot done in 1.500 s: a / b",
            f"{now} {RUN} WARNING fit02 {AGAIN}",
            f"{now} {RUN} ERROR fit02 FAILED at boot (no-telnet)",
        ],
    }


def test_nobody_else_may_read_them(opened: Transcripts) -> None:
    fed(opened, heard("fit01", b"secret\n"))
    for path in (opened.directory.parent, opened.directory):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert stat.S_IMODE((opened.directory / "fit01.log").stat().st_mode) == 0o600


def test_a_crash_loses_next_to_nothing(opened: Transcripts) -> None:
    opened.take(heard("fit01", b"the last words, without an end of line"))
    file = opened.directory / "fit01.log"
    deadline = time.monotonic() + 5
    while not file.exists() or not file.stat().st_size:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert file.read_text().endswith("the last words, without an end of line")


def test_a_thousand_nodes_do_not_need_a_thousand_descriptors(opened: Transcripts) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        for number in range(1000):
            opened.take(heard(f"fit{number}", b"x"))
    assert len(os.listdir("/proc/self/fd")) <= before + 2
    opened.close(3.0)
    assert opened.problem is None
    files = list(opened.directory.iterdir())
    assert len(files) == 1000
    assert all(file.read_text().endswith(" xxx\n") for file in files)


def test_a_file_that_gets_too_long_is_cut_and_says_so(tmp_path: Path) -> None:
    (tmp_path / RUN).mkdir()
    opened = Transcripts(tmp_path / RUN, 1000)
    files = fed(opened, *[heard("fit01", "é".encode() * 100)] * 30, heard("fit02", b"short\n"))
    file = opened.directory / "fit01.log"
    assert 990 <= len("".join(files["fit01.log"][:-1]).encode()) <= 1000
    assert files["fit01.log"][-1] == "[cut here: 0 MiB, limit_mib of [transcripts]]"
    assert len(file.read_bytes()) < 1100
    assert files["fit02.log"][0].endswith("short")
    assert opened.problem is None


def test_what_cannot_be_written_is_a_problem_and_no_error(tmp_path: Path) -> None:
    (tmp_path / RUN).mkdir()
    opened = Transcripts(tmp_path / RUN, 1000)
    (tmp_path / RUN / "fit01.log").mkdir()
    for _ in range(100):
        opened.take(heard("fit01", b"x\n"))
    opened.close(3.0)
    assert opened.problem == f"cannot write {tmp_path}/{RUN}/fit01.log: Is a directory"


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / RUN).mkdir()
    (tmp_path / RUN / "fit01.log").symlink_to(tmp_path / "target")
    opened = Transcripts(tmp_path / RUN, 1000)
    opened.take(heard("fit01", b"x\n"))
    opened.close(3.0)
    assert opened.problem is not None
    assert not (tmp_path / "target").exists()


def test_a_disk_that_hangs_holds_up_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_append", lambda *_: time.sleep(2))
    monkeypatch.setattr(module, "BACKLOG_LIMIT", 10_000)
    (tmp_path / RUN).mkdir()
    opened = Transcripts(tmp_path / RUN, 10**6)
    started = time.monotonic()
    for _ in range(1000):
        opened.take(heard("fit01", b"x" * 100))
    assert opened.problem == f"{tmp_path / RUN} does not take them fast enough"
    recorder.heard(opened.problem)
    opened.close(0.1)
    assert time.monotonic() - started < 1


def test_a_disk_that_is_slow_at_the_end_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_append", lambda *_: time.sleep(1))
    (tmp_path / RUN).mkdir()
    opened = Transcripts(tmp_path / RUN, 10**6)
    opened.take(heard("fit01", b"x"))
    opened.close(0.1)
    assert opened.problem == "the disk did not take them within 0.1 s"
    recorder.heard(opened.problem)


def test_a_directory_that_cannot_be_made_is_an_error_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        open_transcripts(tmp_path / "file" / "x" / "y", RUN, SETTINGS)
    with pytest.raises(FileExistsError):
        open_transcripts(tmp_path / "file", RUN, SETTINGS)


def test_a_node_may_have_any_name() -> None:
    paths = {transcript_path("/t", name) for name in (None, "server", "run", "fit01")}
    assert {path.name for path in paths} == {
        "server.log",
        "node-server.log",
        "node-run.log",
        "fit01.log",
    }


DAY = 86400.0
NOW = time.mktime((2026, 3, 1, 12, 0, 0, 0, 0, -1))


def run_at(days_ago: float) -> str:
    return time.strftime("%Y%m%d-%H%M%S", time.localtime(NOW - days_ago * DAY)) + "-00000a"


def test_the_old_and_the_many_are_superseded() -> None:
    names = [run_at(days) for days in (0, 1, 2, 29.9, 30.1, 100)]
    assert superseded(names, SETTINGS, NOW) == [names[5], names[4]]
    few = TranscriptsSettings(keep_runs=2)
    assert superseded(names, few, NOW) == names[:1:-1]
    assert superseded([], few, NOW) == []


def test_a_run_that_may_still_be_at_work_is_kept() -> None:
    names = [run_at(hours / 24) for hours in (0, 1, 5.9, 6.1)]
    assert superseded(names, TranscriptsSettings(keep_runs=1), NOW) == [names[3]]


def test_only_directories_of_runs_are_pruned(tmp_path: Path) -> None:
    old, new = run_at(40), run_at(1)
    (tmp_path / old).mkdir()
    (tmp_path / old / "fit01.log").touch()
    (tmp_path / new).mkdir()
    for name in ("mine", f"{old}x", "20200101-000000-xyz"):
        (tmp_path / name).mkdir()
    (tmp_path / run_at(41)).touch()
    elsewhere = tmp_path / "mine" / "kept"
    elsewhere.touch()
    (tmp_path / run_at(42)).symlink_to(tmp_path / "mine")
    before = set(os.listdir(tmp_path))
    assert prune(tmp_path, SETTINGS, NOW) == 1
    assert before - set(os.listdir(tmp_path)) == {old}
    assert elsewhere.exists()
    assert prune(tmp_path / "nowhere", SETTINGS, NOW) == 0


def test_pruning_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PRUNE_LIMIT", 3)
    for days in range(40, 50):
        (tmp_path / run_at(days)).mkdir()
    assert prune(tmp_path, SETTINGS, NOW) == 3
    assert run_at(49) not in os.listdir(tmp_path), "the oldest are the first"


def test_a_notice_of_the_whole_run_is_no_nodes(opened: Transcripts) -> None:
    assert set(fed(opened, Noticed(0.0, None, "something"))) == {"run.log"}
