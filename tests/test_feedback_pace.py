"""How long steps take, compared with how long they usually take."""

import pytest

from imaging.errors import Reason
from imaging.feedback.display.gauges import bar_line, overall_lines
from imaging.feedback.events import (
    Event,
    NodeFinished,
    NodeRetried,
    RunStarted,
    StepDone,
    StepStarted,
    TypicalKnown,
)
from imaging.feedback.outcomes import NodeOutcome, Step
from imaging.feedback.records.pace import Pace, seconds_left
from tests.runs import NOW, done, failed, run_of, transfer

TYPICAL = {Step.POWER: 0.5, Step.BOOT: 12.0, Step.TRANSFER: 30.0, Step.RESTART: 1.0}
START = RunStarted(0.0, "run", "imaging-load", ("fit01", "fit02"), "load it on 2 nodes")


def pace(*events: Event) -> Pace:
    made = Pace(TYPICAL)
    for event in (START, *events):
        made.take(event)
    return made


def told(made: Pace, now: float) -> list[tuple[str | None, str]]:
    return [(notice.node, notice.message) for notice in made.slow(now)]


def test_a_slow_step_is_told_once() -> None:
    made = pace(StepStarted(0.0, "fit01", Step.BOOT), StepStarted(20.0, "fit02", Step.BOOT))
    assert told(made, 36.0) == []
    assert told(made, 36.1) == [("fit01", "boot takes 3 times as long as usual (12 s)")]
    assert told(made, 50.0) == []
    assert told(made, 57.0) == [("fit02", "boot takes 3 times as long as usual (12 s)")]


def test_three_times_next_to_nothing_is_nothing() -> None:
    made = pace(StepStarted(0.0, "fit01", Step.POWER))
    assert told(made, 5.4) == []
    assert told(made, 5.6) == [("fit01", "power takes 3 times as long as usual (0.5 s)")]


def test_what_is_over_or_unknown_is_not_slow() -> None:
    made = pace(
        StepStarted(0.0, "fit01", Step.BOOT),
        StepDone(1.0, "fit01", Step.BOOT, 1.0, ""),
        StepStarted(0.0, "fit02", Step.CHECK),
    )
    assert told(made, 1000.0) == []


def test_a_finished_or_retried_node_is_at_work_no_more() -> None:
    outcome = NodeOutcome("fit01", Reason.TIMEOUT, Step.BOOT)
    other = NodeOutcome("fit02", Reason.NO_TELNET, Step.BOOT)
    made = pace(
        StepStarted(0.0, "fit01", Step.BOOT),
        StepStarted(0.0, "fit02", Step.BOOT),
        NodeFinished(1.0, outcome),
        NodeRetried(1.0, other),
    )
    assert told(made, 1000.0) == []


def test_many_slow_nodes_are_one_line() -> None:
    names = tuple(f"fit{n:02}" for n in range(37))
    made = pace(*(StepStarted(0.0, name, Step.BOOT) for name in names))
    assert told(made, 40.0) == [(None, "boot takes 3 times as long as usual (12 s) on 37 nodes")]
    assert told(made, 41.0) == []


def test_without_a_past_nothing_is_told() -> None:
    made = Pace()
    made.take(START)
    made.take(StepStarted(0.0, "fit01", Step.BOOT))
    assert made.slow(1e6) == []
    made.take(TypicalKnown(1.0, TYPICAL))
    assert len(made.slow(1e6)) == 1


USUAL = TypicalKnown(NOW, TYPICAL)
BOOTS = TypicalKnown(NOW, {Step.BOOT: 12.0, Step.RESTART: 1.0})
RETRIED = NodeRetried(NOW, NodeOutcome("fit01", Reason.NO_TELNET, Step.BOOT))


def step(node: str, step: Step, spent: float) -> Event:
    return StepStarted(NOW - spent, node, step)


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([], None),
        ([step("fit01", Step.BOOT, 2)], None),
        ([USUAL], 43.5),
        ([USUAL, step("fit01", Step.BOOT, 2)], 41.0),
        ([USUAL, step("fit01", Step.BOOT, 100)], 31.0),  # a slow step may end any moment
        ([USUAL, step("fit01", Step.CHECK, 0.1)], 31.0),  # nothing is known of this step
        ([USUAL, step("fit01", Step.BOOT, 2), StepDone(NOW, "fit01", Step.BOOT, 2, "")], 31.0),
        ([USUAL, step("fit01", Step.TRANSFER, 10)], 21.0),
        ([USUAL, *transfer("fit01", 0.5, since=NOW - 40)], 41.0),  # its own pace
        ([USUAL, *transfer("fit01", 1.0)], 1.0),
        ([USUAL, step("fit01", Step.RESTART, 5)], None),  # overdue
        ([USUAL, *transfer("fit01", 0.5), RETRIED], 43.5),  # from the beginning
        ([USUAL, *done("fit01")], None),
        ([USUAL, *failed("fit01", "no")], None),
        ([BOOTS, step("fit01", Step.BOOT, 2)], None),  # nobody has had this image yet
        ([BOOTS, *transfer("fit01", 0.25, since=NOW - 10)], 31.0),
        ([*transfer("fit01", 0.25, since=NOW - 10)], 30.0),
        ([step("fit01", Step.RESTART, 0)], None),
    ],
)
def test_the_seconds_left_of_a_node(events: list[Event], expected: float | None) -> None:
    assert seconds_left(run_of(1, *events), NOW) == expected


def test_the_seconds_left_are_those_of_the_last_node() -> None:
    events = [step("fit01", Step.BOOT, 2), step("fit02", Step.RESTART, 0), *done("fit03")]
    assert seconds_left(run_of(3, *events, USUAL), NOW) == 41.0
    moving = [*transfer("fit01", 0.5, since=NOW - 10), step("fit02", Step.BOOT, 2)]
    # the second one's transfer will take as long as the first one's
    assert seconds_left(run_of(2, *moving, BOOTS), NOW) == 10.0 + 20.0 + 1.0


def test_the_overall_lines_show_what_is_left() -> None:
    board = run_of(1, step("fit01", Step.BOOT, 2))
    assert not any(
        "left" in line for line in [bar_line(board, NOW, 99), *overall_lines(board, NOW, 99)]
    )
    board.fold(USUAL)
    assert bar_line(board, NOW, 99).endswith("boot 1  0:41 left")
    assert overall_lines(board, NOW, 99)[1] == "0:42 elapsed  timeout in 14:18  0:41 left"
