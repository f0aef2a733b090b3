"""What is kept of a run neither fails it nor holds it up."""

import os
import time
from pathlib import Path

import pytest
import trio

from imaging.feedback.board import Board
from imaging.feedback.events import Event, NodeFinished, Noticed, RunStarted, StepStarted
from imaging.feedback.log import event_line
from imaging.feedback.outcomes import ImageFacts, NodeOutcome, RunReport, Step
from imaging.feedback.records import run_records as module
from imaging.feedback.records.history import open_history
from imaging.feedback.records.run_records import Records
from imaging.feedback.scripts.event_lines import EventLines
from imaging.site.schema import HistorySettings, Settings, TranscriptsSettings

RUN = "20260102-030405-0a1b2c"
IMAGE = ImageFacts("fedora", "/images/fedora.ndz", 1000)
USUAL = {Step.BOOT: 0.01, Step.TRANSFER: 0.01}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        transcripts=TranscriptsSettings(tmp_path / "transcripts"),
        history=HistorySettings(tmp_path / "history.sqlite"),
    )


def report(run_id: str = RUN, image: ImageFacts = IMAGE) -> RunReport:
    outcome = NodeOutcome("fit01", durations=USUAL)
    return RunReport(run_id, "imaging-load", (outcome,), 1.0, 1.0, "alice", image)


def started(at: float, image: ImageFacts = IMAGE) -> RunStarted:
    return RunStarted(at, RUN, "imaging-load", ("fit01",), "load it", image=image)


async def test_a_run_is_kept(settings: Settings, tmp_path: Path) -> None:
    records = Records("imaging-load", RUN, settings)
    assert records.directory == ""
    assert await records.begin() is None
    assert records.directory == f"{tmp_path}/transcripts/{RUN}"
    records.take(started(1.0))
    records.take(NodeFinished(2.0, NodeOutcome("fit01")))
    records.close(3.0)
    assert (tmp_path / "transcripts" / RUN / "fit01.log").read_text().endswith(" - ok\n")
    records.finish(report())
    with open_history(tmp_path / "history.sqlite") as history:
        assert [run.run_id for run in history.runs()] == [RUN]


async def test_a_command_without_a_dialogue_makes_nothing(
    settings: Settings, tmp_path: Path
) -> None:
    records = Records("imaging-status", RUN, settings)
    assert await records.begin() is None
    records.close(3.0)
    records.finish(report())
    assert os.listdir(tmp_path) == []


async def test_a_directory_that_hangs_is_given_up(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "open_transcripts", lambda *_: time.sleep(1))
    monkeypatch.setattr(module, "OPEN_BUDGET_S", 0.05)
    records = Records("imaging-load", RUN, settings)
    with trio.fail_after(0.8):
        told = await records.begin()
    assert told == "no transcripts: their directory did not answer in 0.05 s"
    assert records.directory == ""
    records.close(3.0)


async def watched(records: Records, seconds: float) -> list[tuple[str | None, str]]:
    told: list[Event] = []

    def emit(event: Event) -> None:
        told.append(event)
        records.take(event)

    with trio.move_on_after(seconds):
        await records.watch(emit)
    return [(event.node, event.message) for event in told if isinstance(event, Noticed)]


@pytest.mark.parametrize("step", [Step.BOOT, Step.TRANSFER])
async def test_a_slow_step_is_noticed(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, step: Step
) -> None:
    monkeypatch.setattr(module, "TICK_S", 0.01)
    Records("imaging-load", "20260101-000000-00000a", settings).finish(report())
    long_ago = time.time() - 10
    records = Records("imaging-load", RUN, settings)
    records.take(started(long_ago))
    records.take(StepStarted(long_ago, "fit01", step))
    assert await watched(records, 1.0) == [
        ("fit01", f"{step} takes 3 times as long as usual (0.0 s)")
    ]
    # another image may take longer to transfer, and nobody knows how long; a boot is a boot
    other = Records("imaging-load", RUN, settings)
    other.take(started(long_ago, ImageFacts("debian", "/images/debian.ndz", 10**9)))
    other.take(StepStarted(long_ago, "fit01", step))
    assert len(await watched(other, 1.0)) == (step is Step.BOOT)


async def test_what_is_usual_reaches_the_board_and_no_file(settings: Settings) -> None:
    Records("imaging-load", "20260101-000000-00000a", settings).finish(report())
    records, board = Records("imaging-load", RUN, settings), Board()
    kept: list[object] = []

    def emit(event: Event) -> None:
        board.fold(event)
        records.take(event)
        kept.extend((EventLines().line(event), event_line(event)))

    records.take(started(time.time()))
    with trio.move_on_after(0.5):
        await records.watch(emit)
    assert board.typical == USUAL
    assert kept == [None, None]


async def test_a_history_that_cannot_be_used_is_told_once(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "history.sqlite").write_bytes(b"no database" * 1000)
    records = Records("imaging-load", RUN, settings)
    records.take(started(time.time()))
    assert await watched(records, 0.2) == []
    records.finish(report())
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("imaging-load: this run is not recorded: the history ")
    assert "cannot be used: file is not a database" in line


async def test_a_history_that_hangs_is_not_waited_for(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Records, "_look_up", lambda _: time.sleep(1))
    monkeypatch.setattr(module, "LOOKUP_BUDGET_S", 0.05)
    with trio.fail_after(0.8):
        assert await watched(Records("imaging-load", RUN, settings), 0.2) == []
