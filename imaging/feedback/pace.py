"""How long steps take, compared with how long they usually take. Pure: events and a clock in."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from imaging.feedback.events import (
    Event,
    NodeFinished,
    NodeRetried,
    Noticed,
    RunStarted,
    StepDone,
    StepFailed,
    StepStarted,
)
from imaging.feedback.outcomes import Step

SLOW_FACTOR = 3
SLOW_AT_LEAST_S = 5.0  # beyond the usual: three times nothing is nothing
NAMED_NODES = 5  # when more become slow at once, it is the site's matter, and one line tells it


def seconds_left(
    typical: Mapping[Step, float], at_work: Iterable[tuple[Step | None, float]]
) -> float | None:
    """How long a run still takes, if its nodes go on as nodes usually do.

    ``at_work`` are the unfinished nodes, each with its step (None: not begun) and the seconds it
    has been in it. None when nothing is known of how long steps take.
    """
    if not typical:
        return None
    order = list(Step)
    left = 0.0
    for step, spent in at_work:
        now = order.index(step) if step is not None else -1
        coming = sum(duration for other, duration in typical.items() if order.index(other) > now)
        present = max(typical.get(step, 0.0) - spent, 0.0) if step is not None else 0.0
        left = max(left, present + coming)
    return left


@dataclass(slots=True)
class Pace:
    """The steps at work, and which of them have been told to be slow.

    ``typical`` are the usual durations in seconds; it may come later, or never.
    """

    typical: Mapping[Step, float] = field(default_factory=dict)
    _at_work: dict[str, tuple[Step | None, float]] = field(default_factory=dict)
    _told: set[tuple[str, Step]] = field(default_factory=set)

    def take(self, event: Event) -> None:
        """Take an event into account."""
        match event:
            case RunStarted():
                self._at_work = dict.fromkeys(event.nodes, (None, event.at))
            case StepStarted():
                self._at_work[event.node] = (event.step, event.at)
            case StepDone() | StepFailed():
                self._at_work.pop(event.node, None)
            case NodeRetried():
                self._at_work[event.outcome.node] = (None, event.at)
            case NodeFinished():
                self._at_work.pop(event.outcome.node, None)

    def slow(self, now: float) -> list[Noticed]:
        """What is to be told now, once for each node and step; ``now`` is since the epoch."""
        found: dict[Step, list[str]] = {}
        for node, (step, since) in self._at_work.items():
            if step is None or (node, step) in self._told:
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

    def seconds_left(self, now: float) -> float | None:
        """How long the run still takes, if all goes as usual."""
        at_work = [(step, now - since) for step, since in self._at_work.values()]
        return seconds_left(self.typical, at_work)

    def _is_slow(self, step: Step, spent: float) -> bool:
        usual = self.typical.get(step)
        return usual is not None and spent > max(SLOW_FACTOR * usual, usual + SLOW_AT_LEAST_S)
