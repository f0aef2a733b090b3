"""One row per node, those first that need attention; pure functions of the board."""

from enum import Enum, auto

import msgspec

from imaging.feedback.board import Board, NodeState
from imaging.feedback.display.cells import cells, fitted, visible
from imaging.feedback.display.gauges import bar_text, clock_text, percent_text, rate_text
from imaging.feedback.outcomes import NodeOutcome, Step

NAME_LIMIT = 20
STEP_WIDTH = max(len(step) for step in Step)
RATE_WIDTH = len("118.0 MiB/s")
CLOCK_WIDTH = len("59:59")
PERCENT_WIDTH = len("100%")
BAR_LIMIT, BAR_MINIMUM = 42, 8
PLACES = {step: place for place, step in enumerate(Step)}


class Look(Enum):
    """What a line is, for those who see colours."""

    PLAIN = auto()
    TITLE = auto()
    HEADER = auto()
    FAILED = auto()
    WARNING = auto()
    BUSY = auto()
    DONE = auto()
    WAITING = auto()
    QUESTION = auto()
    HELP = auto()


class Line(msgspec.Struct, frozen=True):
    """A line of a screen; ``selected`` is the one that the keys act on."""

    text: str
    look: Look = Look.PLAIN
    selected: bool = False


def look_of(state: NodeState) -> Look:
    """How a node is: failed, at work, waiting or done."""
    if state.outcome is not None:
        return Look.DONE if state.outcome.ok else Look.FAILED
    return Look.PLAIN if state.step is not None or state.attempts else Look.WAITING


ATTENTION = {Look.FAILED: 0, Look.PLAIN: 1, Look.WAITING: 2, Look.DONE: 3}


def by_attention(board: Board, *, failures_only: bool = False) -> list[str]:
    """The nodes: the failed ones, those at work with the slowest first, the waiting, the done.

    Progress counts in tenths, and equals keep their order: rows that jump cannot be read.
    """
    ranked = []
    for place, (name, state) in enumerate(board.nodes.items()):
        look = look_of(state)
        if look is Look.PLAIN:
            step = PLACES[state.step] if state.step is not None else -1
            ranked.append((ATTENTION[look], step, int(state.fraction * 10), place, name))
        elif look is Look.FAILED or not failures_only:
            ranked.append((ATTENTION[look], 0, 0, place, name))
    if failures_only:
        ranked = [rank for rank in ranked if rank[0] == ATTENTION[Look.FAILED]]
    return [name for *_, name in sorted(ranked)]


def slowest(board: Board, count: int) -> list[str]:
    """The nodes at work that are the furthest from their end."""
    at_work = (name for name in by_attention(board) if look_of(board.nodes[name]) is Look.PLAIN)
    return [name for _, name in zip(range(count), at_work, strict=False)]


class Columns(msgspec.Struct, frozen=True):
    """How the cells of a row are shared out: name, step and time, then progress, then what.

    A width of 0 is a column that is not there. A node that has no progress, or has failed, has
    what there is to be said in the place of it.
    """

    name: int
    bar: int
    percent: int
    rate: int

    @classmethod
    def of(cls, board: Board, width: int) -> "Columns":
        """The columns that fit in ``width`` cells."""
        fixed = STEP_WIDTH + CLOCK_WIDTH + 2
        longest = max(map(cells, map(visible, board.nodes)), default=0)
        name = max(min(longest, NAME_LIMIT, width - fixed), 0)
        left = width - name - fixed
        if board.image is None or left < PERCENT_WIDTH + 1:
            return cls(name, 0, 0, 0)
        left -= PERCENT_WIDTH + 1
        rate = RATE_WIDTH if left > RATE_WIDTH else 0
        left -= rate + 1 if rate else 0
        bar = min(max((left - 1) // 2, 0), BAR_LIMIT)
        return cls(name, bar if bar >= BAR_MINIMUM else 0, PERCENT_WIDTH, rate)

    def row(self, name: str, step: str, clock: str) -> str:
        """The columns that every row has."""
        return f"{fitted(name, self.name)} {fitted(step, STEP_WIDTH)} {clock.rjust(CLOCK_WIDTH)}"

    def progress(self, bar: str, percent: str, rate: str) -> str:
        """The columns of progress that there is room for."""
        shared = [fitted(bar, self.bar), fitted(percent, self.percent)]
        if self.rate:
            shared.append(rate.rjust(self.rate))
        return " ".join(column for column in shared if column)


def header_row(columns: Columns, width: int) -> Line:
    """What the columns are."""
    row = columns.row("node", "step", "time")
    progress = columns.progress("progress", "   %", "rate")
    header = " ".join(filter(None, [row, progress]))
    what = " what" if cells(header) + len(" what") <= width else ""
    return Line(fitted(header + what, width), Look.HEADER)


def node_row(board: Board, name: str, columns: Columns, now: float, width: int) -> Line:
    """One node in exactly ``width`` cells; ``now`` is in seconds since the epoch."""
    state = board.nodes[name]
    look = look_of(state)
    parts = [columns.row(visible(name), _step_word(state), _clock(state, now))]
    moves = state.fraction > 0 or state.step in (Step.TRANSFER, Step.STORE)
    if moves and look is not Look.FAILED:
        bar = bar_text(state.fraction, columns.bar)
        progress = columns.progress(bar, percent_text(state.fraction), _rate(state, now))
        parts.append(progress)
    parts.append(what_text(name, state))
    return Line(fitted(" ".join(filter(None, parts)), width), look)


def _step_word(state: NodeState) -> str:
    if state.outcome is None:
        return state.step or ""
    return "done" if state.outcome.ok else "FAILED"


def _rate(state: NodeState, now: float) -> str:
    """The mean rate of the transfer, while it lasts and afterwards."""
    took = state.durations.get(Step.TRANSFER, 0.0)
    if not took and state.step is Step.TRANSFER and state.outcome is None:
        took = now - state.step_started
    return rate_text(state.size / took) if took > 0 and state.size else ""


def _clock(state: NodeState, now: float) -> str:
    """The time in this step; for a node that has ended, in all of them."""
    if state.outcome is not None:
        took = sum(state.outcome.durations.values())
        return clock_text(took) if took else ""
    return clock_text(now - state.step_started) if state.step is not None else ""


def what_text(name: str, state: NodeState) -> str:
    """What is to be known of a node beyond its figures, in one visible line."""
    if state.outcome is not None:
        if state.outcome.ok:
            return visible(state.outcome.detail)
        return visible(failure_text(state.outcome, state.fraction))
    again = f"attempt {len(state.attempts) + 1}: " if state.attempts else ""
    said = state.sighting or state.message
    if not said and state.attempts:
        said = failure_text(state.attempts[-1])
    return visible(f"{again}{said.removeprefix(f'{name}: ')}")


def failure_text(outcome: NodeOutcome, fraction: float = 0.0) -> str:
    """Where and why a node failed; its name is on the row already."""
    where = f"{outcome.step}: " if outcome.step else ""
    if outcome.step is Step.TRANSFER and fraction:
        where = f"{outcome.step} at {percent_text(fraction).lstrip()}: "
    return f"{where}{outcome.reason}: {outcome.message.removeprefix(f'{outcome.node}: ')}"
