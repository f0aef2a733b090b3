"""How long steps take, compared with how long they usually take. Pure: events and a clock in."""

from collections.abc import Mapping

import msgspec

from imaging.feedback.board import Board, NodeState
from imaging.feedback.events import (
    Event,
    NodeFinished,
    NodeRetried,
    Noticed,
    StepDone,
    StepFailed,
    StepStarted,
    TypicalKnown,
)
from imaging.feedback.outcomes import Step

ORDER = list(Step)
SLOW_FACTOR = 3
SLOW_AT_LEAST_S = 5.0  # beyond the usual: three times nothing is nothing
NAMED_NODES = 5  # when more become slow at once, it is the site's matter, and one line tells it


def seconds_left(board: Board, now: float) -> float | None:
    """How long the run still takes, if its nodes go on as nodes usually do.

    It is as long as the last node takes. None while that cannot be known, and when it is overdue.
    ``now`` is in seconds since the epoch.
    """
    at_work = [state for state in board.nodes.values() if state.outcome is None]
    usual = dict(board.typical)
    if board.image is not None and Step.TRANSFER not in usual:
        whole = _longest_transfer(board, now)
        if whole is not None:
            usual[Step.TRANSFER] = whole
        elif any(map(_is_before_transfer, at_work)):
            return None  # that of an image which nobody has had yet is most of its run
    if not usual or not at_work:
        return None
    coming = {
        step: sum(usual.get(other, 0.0) for other in ORDER[n:]) for n, step in enumerate(ORDER, 1)
    }
    begin = sum(usual.values())
    left = (
        _step_left(state, usual, now) + coming[state.step] if state.step is not None else begin
        for state in at_work
    )
    return max(left) or None


def _step_left(state: NodeState, usual: Mapping[Step, float], now: float) -> float:
    """What is left of the step of a node: by its own progress, else by the usual duration."""
    assert state.step is not None
    if state.step in state.durations:
        return 0.0  # it is over, and the next has not begun
    spent = now - state.step_started
    if state.step is Step.TRANSFER and state.fraction > 0:
        return max(spent * (1 - state.fraction) / state.fraction, 0.0)
    return max(usual.get(state.step, 0.0) - spent, 0.0)


def _is_before_transfer(state: NodeState) -> bool:
    """Whether the whole transfer is still to come, or has shown nothing of how long it takes."""
    if state.step is Step.TRANSFER:
        return not state.fraction and Step.TRANSFER not in state.durations
    return state.step is None or ORDER.index(state.step) < ORDER.index(Step.TRANSFER)


def _longest_transfer(board: Board, now: float) -> float | None:
    """How long the transfers of this run take, as far as they have come; None: nobody knows."""
    wholes = []
    for state in board.nodes.values():
        if Step.TRANSFER in state.durations and (state.outcome is None or state.outcome.ok):
            wholes.append(state.durations[Step.TRANSFER])
        elif state.step is Step.TRANSFER and state.outcome is None and state.fraction > 0:
            wholes.append((now - state.step_started) / state.fraction)
    return max(wholes, default=None)


class Pace(msgspec.Struct):
    """The steps at work, and which of them have been told to be slow.

    ``typical`` are the usual durations in seconds; it comes later, or never.
    """

    typical: Mapping[Step, float] = msgspec.field(default_factory=dict)
    _at_work: dict[str, tuple[Step, float]] = msgspec.field(default_factory=dict)
    _told: set[tuple[str, Step]] = msgspec.field(default_factory=set)

    def take(self, event: Event) -> None:
        """Take an event into account."""
        match event:
            case TypicalKnown():
                self.typical = event.durations
            case StepStarted():
                self._at_work[event.node] = (event.step, event.at)
            case StepDone() | StepFailed():
                self._at_work.pop(event.node, None)
            case NodeRetried() | NodeFinished():
                self._at_work.pop(event.outcome.node, None)

    def slow(self, now: float) -> list[Noticed]:
        """What is to be told now, once for each node and step; ``now`` is since the epoch."""
        found: dict[Step, list[str]] = {}
        for node, (step, since) in self._at_work.items():
            if (node, step) in self._told:
                continue
            if self._is_slow(step, now - since):
                found.setdefault(step, []).append(node)
        notices = []
        for step, nodes in found.items():
            self._told.update((node, step) for node in nodes)
            usual = f"{self.typical[step]:.{self.typical[step] < 10:d}f} s"
            words = f"{step} takes {SLOW_FACTOR} times as long as usual ({usual})"
            if len(nodes) > NAMED_NODES:
                notices.append(Noticed(now, None, f"{words} on {len(nodes)} nodes"))
            else:
                notices.extend(Noticed(now, node, words) for node in nodes)
        return notices

    def _is_slow(self, step: Step, spent: float) -> bool:
        usual = self.typical.get(step)
        return usual is not None and spent > max(SLOW_FACTOR * usual, usual + SLOW_AT_LEAST_S)
