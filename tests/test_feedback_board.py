"""The board and the plain display are folds of the events, checked as functions."""

import io
import re

from imaging.errors import Reason
from imaging.feedback.board import Board
from imaging.feedback.display.gauges import bar_line
from imaging.feedback.display.plain import PlainDisplay
from imaging.feedback.events import (
    Event,
    NodeFinished,
    NodeRetried,
    Noticed,
    Progressed,
    RunStarted,
    StepDone,
    StepFailed,
    StepStarted,
)
from imaging.feedback.log import event_text
from imaging.feedback.outcomes import NodeOutcome, RunReport, Step
from imaging.feedback.results import Detail, summary_lines

START = RunStarted(100.0, "run", "imaging-load", ("fit01", "fit02"), "load it on 2 nodes")
FAILED = NodeOutcome("fit02", Reason.NO_TELNET, Step.BOOT, "fit02: nothing answered")


def folded(*events: Event) -> Board:
    board = Board()
    for event in (START, *events):
        board.fold(event)
    return board


def test_a_failed_node_no_longer_counts_in_the_progress() -> None:
    board = folded(Progressed(101, "fit01", 0.5), NodeFinished(102, FAILED))
    assert (board.done, board.failed, board.fraction) == (0, 1, 0.5)


def test_steps_of_nodes_at_work_are_counted() -> None:
    board = folded(StepStarted(101, "fit01", Step.BOOT), StepStarted(101, "fit02", Step.BOOT))
    assert board.steps() == {Step.BOOT: 2}
    board.fold(NodeFinished(102, FAILED))
    assert board.steps() == {Step.BOOT: 1}


def test_what_the_end_of_the_run_interrupts_is_told_with_its_step() -> None:
    board = folded(
        StepStarted(101, "fit01", Step.POWER),
        StepDone(101, "fit01", Step.POWER, 0.25, ""),
        StepStarted(101, "fit01", Step.BOOT),
        NodeFinished(102, FAILED),
    )
    assert board.unfinished == ["fit01"]
    outcome = board.interrupted_outcome("fit01", Reason.TIMEOUT, "not done within 3 s")
    board.fold(NodeFinished(103, outcome))
    report = board.report(now=103)
    assert (outcome.step, outcome.durations) == (Step.BOOT, {Step.POWER: 0.25})
    assert [o.node for o in report.outcomes] == ["fit01", "fit02"]
    assert report.exit_code == 1


def test_the_exit_code_is_true() -> None:
    fine = NodeOutcome("fit01")
    assert RunReport("run", "imaging-load", (fine,), 1.0).exit_code == 0
    assert RunReport("run", "imaging-load", (fine, FAILED), 1.0).exit_code == 1
    assert RunReport("run", "imaging-load", (), 1.0).exit_code == 1


def test_the_summary_names_every_failed_node() -> None:
    lines = summary_lines(RunReport("run", "imaging-load", (NodeOutcome("fit01"), FAILED), 4.25))
    assert lines == [
        "fit02: FAILED at boot (no-telnet): nothing answered",
        "imaging-load: 1 of 2 nodes done, 1 failed in 4.2 s",
    ]


def test_the_bar_tells_the_whole_run_in_one_line() -> None:
    board = folded(StepStarted(101, "fit01", Step.TRANSFER), Progressed(101, "fit01", 1.0))
    line = bar_line(board, now=110.0, width=100)
    assert line == "[############------------]  50%   10.0 s  done 0/2  transfer 1"
    assert len(bar_line(board, now=110.0, width=20)) == 20


def told(*events: Event, detail: Detail = Detail.MILESTONES) -> list[str]:
    board, stream = Board(), io.StringIO()
    display = PlainDisplay(board, stream, detail)
    for event in (START, *events):
        board.fold(event)
        display.take(event)
    text = stream.getvalue()
    assert "\x1b" not in text
    assert "\r" not in text
    return [re.sub(r"^\d\d:\d\d:\d\d ", "", line) for line in text.splitlines()]


FAILED_EVENT = NodeFinished(102, FAILED)
LIFE: tuple[Event, ...] = (
    StepDone(101, "fit01", Step.BOOT, 1.5, "ramdisk up"),
    StepFailed(102, "fit02", Step.BOOT, 2.0, Reason.NO_TELNET, "nothing answered"),
    NodeFinished(102, FAILED),
    *(Progressed(103 + percent / 100, "fit01", percent / 100) for percent in range(101)),
    Noticed(104, None, "something"),
)


def test_off_a_terminal_milestones_are_told() -> None:
    lines = told(*LIFE)
    assert lines[:3] == [
        "load it on 2 nodes",
        "fit02: FAILED at boot (no-telnet): nothing answered",
        "boot: 1/2 nodes, 1.5 s",
    ]
    assert lines[3:] == ["transfer: 100 %", "something"]


def test_percents_are_told_in_tens_at_most_once_a_second() -> None:
    events = [Progressed(102 + percent / 20, "fit01", percent / 200) for percent in range(121)]
    lines = told(*events)
    assert lines[1:] == [f"transfer: {percent} %" for percent in (10, 20, 30)]


def test_slow_progress_is_told_every_ten_seconds() -> None:
    events = [Progressed(100 + second, "fit01", second / 1000) for second in range(1, 41)]
    lines = told(FAILED_EVENT, *events)
    assert lines[2:] == ["transfer: 1 %", "transfer: 2 %", "transfer: 3 %", "transfer: 4 %"]


def test_no_progress_is_not_told() -> None:
    events = [Progressed(100 + second, "fit01", 0.0) for second in range(1, 41)]
    assert told(*events) == ["load it on 2 nodes"]


def test_what_a_node_has_sent_is_escaped() -> None:
    outcome = NodeOutcome("fit01", Reason.FRISBEE_FAILED, Step.TRANSFER, "a\x1b[2Jb\r\nc\x07")
    assert told(NodeFinished(101, outcome), Noticed(102, "fit02", "\x1bc"))[1:] == [
        "fit01: FAILED at transfer (frisbee-failed): a\\x1b[2Jb / c\\x07",
        "fit02: \\x1bc",
    ]


def test_a_node_is_named_once_in_a_line() -> None:
    outcome = NodeOutcome("fit02", Reason.STALLED, Step.TRANSFER, "fit02: the client is silent")
    assert told(NodeRetried(101, outcome), Noticed(102, "fit02", "fit02: slow"))[1:] == [
        "fit02: attempt failed at transfer (stalled), starting again: the client is silent",
        "fit02: slow",
    ]


def test_verbose_tells_every_step_of_every_node() -> None:
    assert "fit01: boot done in 1.5 s: ramdisk up" in told(*LIFE, detail=Detail.STEPS)


def test_quiet_tells_failures_only() -> None:
    assert told(*LIFE, detail=Detail.FAILURES) == [
        "fit02: FAILED at boot (no-telnet): nothing answered"
    ]


def test_a_log_line_names_the_node() -> None:
    entry = event_text(NodeFinished(102, FAILED))
    assert entry is not None
    assert entry[1:] == ("fit02", "FAILED at boot (no-telnet)")
    assert event_text(Progressed(103, "fit01", 0.5)) is None
