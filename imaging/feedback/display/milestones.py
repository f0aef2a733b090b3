"""The few lines that tell a run where there is nothing to draw on."""

from imaging.feedback.board import Board
from imaging.feedback.display.cells import visible
from imaging.feedback.display.gauges import pace_text
from imaging.feedback.events import (
    Event,
    NodeFinished,
    NodeRetried,
    Noticed,
    Progressed,
    RunStarted,
    Sighted,
    StepDone,
)
from imaging.feedback.outcomes import Step
from imaging.feedback.results import Detail, outcome_line

PERCENT_STEP = 10
PERCENT_PERIOD_S = 10.0  # after so long, less than a step is told
PERCENT_GAP_S = 1.0


class Milestones:
    """Turns events into lines, without anything in them that a terminal would obey."""

    def __init__(self, board: Board, *, verbose: bool) -> None:
        """``board`` has folded each event before it is given to ``lines``."""
        self._board = board
        self._verbose = verbose
        self._told: set[Step] = set()
        self._percent = 0
        self._percent_at = 0.0
        self._looked_at = 0.0

    def lines(self, event: Event) -> list[str]:
        """What is to be told because of this event."""
        return [visible(line) for line in self._lines(event)]

    def _lines(self, event: Event) -> list[str]:
        match event:
            case RunStarted():
                self._percent_at = event.at
                return [event.summary]
            case Noticed():
                return [_named(event.node, event.message) if event.node else event.message]
            case NodeRetried(outcome=outcome):
                where = f"at {outcome.step} ({outcome.reason})"
                message = outcome.message.removeprefix(f"{outcome.node}: ")
                return [f"{outcome.node}: attempt failed {where}, starting again: {message}"]
            case NodeFinished() if not event.outcome.ok:
                return [outcome_line(event.outcome), *self._completed_steps()]
            case StepDone():
                told = []
                if self._verbose:
                    took = f"{event.node}: {event.step} done in {event.duration:.1f} s"
                    told.append(f"{took}: {event.detail}" if event.detail else took)
                return [*told, *self._completed_steps()]
            case Progressed():
                return self._percent_lines(event.at)
            case Sighted() if self._verbose:
                return [f"{event.node}: {event.what}"]
            case _:
                return []

    def _completed_steps(self) -> list[str]:
        """Steps through which all nodes that have not failed are now, told once each."""
        alive = [s for s in self._board.nodes.values() if s.outcome is None or s.outcome.ok]
        told = []
        for step in Step:
            if step in self._told or not alive or any(step not in s.durations for s in alive):
                continue
            self._told.add(step)
            slowest = max(s.durations[step] for s in alive)
            told.append(f"{step}: {len(alive)}/{len(self._board.nodes)} nodes, {slowest:.1f} s")
        return told

    def _percent_lines(self, now: float) -> list[str]:
        """Progress when it is a step further, or when nothing has been told of it for long."""
        if now < self._looked_at + PERCENT_GAP_S:
            return []  # each of 1000 nodes may progress ten times a second
        self._looked_at = now
        percent = int(self._board.fraction * 100)
        is_late = now >= self._percent_at + PERCENT_PERIOD_S
        if percent < self._percent + (1 if is_late else PERCENT_STEP):
            return []
        self._percent, self._percent_at = percent, now
        pace = pace_text(self._board, now) if percent < 100 else ""
        return [f"transfer: {percent} %" + (f", {pace}" if pace else "")]


def _named(node: str, message: str) -> str:
    """A message about a node, whose name it may begin with already."""
    return f"{node}: {message.removeprefix(f'{node}: ')}"


def worth(milestones: Milestones, event: Event, detail: Detail, *, is_drawn: bool) -> list[str]:
    """The lines of an event that are told at this detail; ``is_drawn`` tells the rest."""
    failed = isinstance(event, NodeFinished) and not event.outcome.ok
    match detail:
        case Detail.NOTHING:
            return []
        case Detail.FAILURES:
            return milestones.lines(event)[:1] if failed else []
        case Detail.BAR:
            return milestones.lines(event) if isinstance(event, Noticed) else []
        case Detail.MILESTONES if is_drawn:
            worth = failed or isinstance(event, RunStarted | Noticed | NodeRetried)
            return milestones.lines(event)[:1] if worth else []
        case _:
            return milestones.lines(event)
