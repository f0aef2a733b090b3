"""How long steps take, compared with how long they usually take."""

from imaging.errors import Reason
from imaging.feedback.events import (
    Event,
    NodeFinished,
    NodeRetried,
    RunStarted,
    StepDone,
    StepStarted,
)
from imaging.feedback.outcomes import NodeOutcome, Step
from imaging.feedback.pace import Pace, seconds_left

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
    assert made.seconds_left(1.0) == 43.5, "the second attempt begins at the beginning"


def test_many_slow_nodes_are_one_line() -> None:
    names = tuple(f"fit{n:02}" for n in range(37))
    made = pace(*(StepStarted(0.0, name, Step.BOOT) for name in names))
    assert told(made, 40.0) == [(None, "boot takes 3 times as long as usual (12 s) on 37 nodes")]
    assert told(made, 41.0) == []


def test_the_seconds_left_are_those_of_the_last_node() -> None:
    assert seconds_left({}, [(Step.BOOT, 0.0)]) is None
    assert seconds_left(TYPICAL, []) == 0.0
    assert seconds_left(TYPICAL, [(None, 3.0)]) == 43.5
    assert seconds_left(TYPICAL, [(Step.BOOT, 2.0)]) == 41.0
    assert seconds_left(TYPICAL, [(Step.BOOT, 100.0)]) == 31.0, "a slow step may end any moment"
    assert seconds_left(TYPICAL, [(Step.RESTART, 0.5), (Step.TRANSFER, 10.0)]) == 21.0
    assert seconds_left(TYPICAL, [(Step.CHECK, 0.1)]) == 31.0, "nothing is known of this step"


def test_without_a_past_nothing_is_told() -> None:
    made = Pace()
    made.take(START)
    made.take(StepStarted(0.0, "fit01", Step.BOOT))
    assert made.slow(1e6) == []
    assert made.seconds_left(1.0) is None
