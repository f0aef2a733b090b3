"""The plain display: one overall progress bar on a terminal, one line per milestone elsewhere.

What is shown is computed by pure functions of the board and the events; ``PlainDisplay`` only
writes. Everything goes to one stream (standard error), so that standard output stays the result's.
"""

import os
import time
from contextlib import AbstractContextManager, nullcontext
from typing import TextIO

from imaging.feedback.board import Board
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

REDRAW_S = 0.1
USUAL_WIDTH = 80  # columns; some pseudo-terminals say that they have none
BAR_WIDTH = 24
MEBIBYTE = 1024 * 1024
PERCENT_STEP = 10  # off a terminal, a transfer is told in steps of so many percent


def bar_line(board: Board, now: float, width: int) -> str:
    """The overall progress in one line of at most ``width`` columns; ``now`` since the epoch."""
    total = len(board.nodes)
    filled = int(board.fraction * BAR_WIDTH)
    steps = board.steps()
    at_work = " ".join(f"{step} {steps[step]}" for step in Step if steps[step])
    pace = pace_text(board, now)
    if pace:
        at_work += f"  {pace}"
    failed = f"  failed {board.failed}" if board.failed else ""
    line = (
        f"[{'#' * filled}{'-' * (BAR_WIDTH - filled)}] {board.fraction:4.0%}"
        f"  {now - board.started:5.1f} s  done {board.done}/{total}{failed}  {at_work}"
    )
    return line[:width]


def pace_text(board: Board, now: float) -> str:
    """Throughput and time left of the transfers at work, if any."""
    pace = board.pace(now)
    return f"{pace[0] / MEBIBYTE:.1f} MiB/s, {pace[1]:.0f} s left" if pace else ""


class Milestones:
    """Turns events into the few lines that tell a run off a terminal."""

    def __init__(self, board: Board, *, verbose: bool) -> None:
        """``board`` has folded each event before it is given to ``lines``."""
        self._board = board
        self._verbose = verbose
        self._told: set[Step] = set()
        self._percent = 0

    def lines(self, event: Event) -> list[str]:
        """What is to be told because of this event."""
        match event:
            case RunStarted():
                return [event.summary]
            case Noticed():
                return [f"{event.node}: {event.message}" if event.node else event.message]
            case NodeRetried(outcome=outcome):
                where = f"at {outcome.step} ({outcome.reason})"
                return [
                    f"{outcome.node}: attempt failed {where}, starting again: {outcome.message}"
                ]
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
        percent = int(self._board.fraction * 100)
        if percent < self._percent + PERCENT_STEP:
            return []
        self._percent = percent - percent % PERCENT_STEP
        pace = pace_text(self._board, now) if self._percent < 100 else ""
        return [f"transfer: {self._percent} %" + (f", {pace}" if pace else "")]


class PlainDisplay:
    """Writes the progress of a run to a stream."""

    def __init__(self, board: Board, stream: TextIO, detail: Detail = Detail.MILESTONES) -> None:
        """Tell a run whose events ``board`` folds."""
        self._board = board
        self._stream = stream
        self._detail = detail
        self._milestones = Milestones(board, verbose=detail is Detail.STEPS)
        self._has_bar = stream.isatty() and detail >= Detail.BAR
        self._drawn = 0  # columns of the bar that is on the screen

    def take(self, event: Event) -> None:
        """Tell what an event is worth; the board has folded it already."""
        for line in self._worth(event):
            self._print(line)

    def _worth(self, event: Event) -> list[str]:
        failed = isinstance(event, NodeFinished) and not event.outcome.ok
        match self._detail:
            case Detail.NOTHING:
                return []
            case Detail.FAILURES:
                return self._milestones.lines(event)[:1] if failed else []
            case Detail.BAR:
                return self._milestones.lines(event) if isinstance(event, Noticed) else []
            case Detail.MILESTONES if self._has_bar:
                # the bar tells the rest
                worth = failed or isinstance(event, RunStarted | Noticed | NodeRetried)
                return self._milestones.lines(event)[:1] if worth else []
            case _:
                return self._milestones.lines(event)

    def shown(self) -> AbstractContextManager[None]:
        """The bar needs nothing of the screen."""
        return nullcontext()

    def asks_before_interrupt(self) -> bool:
        """It cannot ask."""
        return False

    def clear(self) -> None:
        """Take the bar off the screen for a moment, so that something else can be written."""
        if self._drawn:
            self._write(f"\r{' ' * self._drawn}\r")
            self._drawn = 0

    def _print(self, line: str) -> None:
        if self._has_bar:
            self._write(f"\r{line.ljust(self._drawn)}\n")
            self._drawn = 0
        elif self._detail is Detail.FAILURES:
            self._write(f"{line}\n")
        else:
            self._write(f"{time.strftime('%H:%M:%S')} {line}\n")

    async def run(self) -> None:
        """Redraw the bar until cancelled; nothing to do off a terminal."""
        if not self._has_bar:
            return
        import trio  # commands that only read do not wait for it

        try:
            while True:
                if self._board.nodes:
                    self._draw()
                await trio.sleep(REDRAW_S)
        finally:
            if self._board.nodes:
                self._draw()
                self._write("\n")

    def _draw(self) -> None:
        width = os.get_terminal_size(self._stream.fileno()).columns or USUAL_WIDTH
        # the last column is left free: some terminals wrap as soon as it is written
        line = bar_line(self._board, time.time(), width - 1)
        # blanks over what was longer, and no escape: this works on any terminal
        self._write(f"\r{line.ljust(min(self._drawn, width - 1))}")
        self._drawn = len(line)

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
