"""The plain display: one overall progress bar on a terminal, one line per milestone elsewhere.

What is shown is computed by pure functions of the board and the events; ``PlainDisplay`` only
writes. Everything goes to one stream (standard error), so that standard output stays the result's.
"""

import os
import time
from typing import TextIO

from imaging.feedback.board import Board
from imaging.feedback.events import (
    Event,
    NodeFinished,
    Noticed,
    Progressed,
    RunStarted,
    StepDone,
)
from imaging.feedback.outcomes import NodeOutcome, RunReport, Step

REDRAW_S = 0.1
USUAL_WIDTH = 80  # columns; some pseudo-terminals say that they have none
BAR_WIDTH = 24
PERCENT_STEP = 10  # off a terminal, a transfer is told in steps of so many percent


def bar_line(board: Board, now: float, width: int) -> str:
    """The overall progress in one line of at most ``width`` columns; ``now`` since the epoch."""
    total = len(board.nodes)
    filled = int(board.fraction * BAR_WIDTH)
    steps = board.steps()
    at_work = " ".join(f"{step} {steps[step]}" for step in Step if steps[step])
    failed = f"  failed {board.failed}" if board.failed else ""
    line = (
        f"[{'#' * filled}{'-' * (BAR_WIDTH - filled)}] {board.fraction:4.0%}"
        f"  {now - board.started:5.1f} s  done {board.done}/{total}{failed}  {at_work}"
    )
    return line[:width]


def outcome_line(outcome: NodeOutcome) -> str:
    """A failed node in one line: its step, its reason word and what happened."""
    where = f" at {outcome.step}" if outcome.step else ""
    return f"{outcome.node}: FAILED{where} ({outcome.reason}): {outcome.message}"


def summary_lines(report: RunReport) -> list[str]:
    """The result of a run: every failed node with step and reason, then the count."""
    total, failed = len(report.outcomes), len(report.failed)
    verdict = f"{report.command}: {total - failed} of {total} nodes done"
    if failed:
        verdict += f", {failed} failed"
    return [*map(outcome_line, report.failed), f"{verdict} in {report.elapsed:.1f} s"]


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
            case NodeFinished() if not event.outcome.ok:
                return [outcome_line(event.outcome), *self._completed_steps()]
            case StepDone():
                told = []
                if self._verbose:
                    took = f"{event.node}: {event.step} done in {event.duration:.1f} s"
                    told.append(f"{took}: {event.detail}" if event.detail else took)
                return [*told, *self._completed_steps()]
            case Progressed():
                return self._percent_lines()
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

    def _percent_lines(self) -> list[str]:
        percent = int(self._board.fraction * 100)
        if percent < self._percent + PERCENT_STEP:
            return []
        self._percent = percent - percent % PERCENT_STEP
        return [f"transfer: {self._percent} %"]


class PlainDisplay:
    """Writes the progress of a run to a stream."""

    def __init__(
        self, board: Board, stream: TextIO, *, quiet: bool = False, verbose: bool = False
    ) -> None:
        """With ``quiet``, only failures are told."""
        self._board = board
        self._stream = stream
        self._quiet = quiet
        self._verbose = verbose
        self._milestones = Milestones(board, verbose=verbose)
        self._has_bar = stream.isatty() and not quiet
        self._drawn = 0  # columns of the bar that is on the screen

    def take(self, event: Event) -> None:
        """Tell what an event is worth; the board has folded it already."""
        if self._quiet:
            told = []
            if isinstance(event, NodeFinished) and not event.outcome.ok:
                told = [outcome_line(event.outcome)]
        elif self._has_bar and not self._verbose:
            # the bar tells the rest
            worth = isinstance(event, RunStarted | Noticed) or (
                isinstance(event, NodeFinished) and not event.outcome.ok
            )
            told = self._milestones.lines(event)[:1] if worth else []
        else:
            told = self._milestones.lines(event)
        for line in told:
            self._print(line)

    def _print(self, line: str) -> None:
        if self._has_bar:
            self._write(f"\r{line.ljust(self._drawn)}\n")
            self._drawn = 0
        elif self._quiet:
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
