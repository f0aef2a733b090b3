"""The usual display on a terminal: a region of few lines below what has been written so far.

Between two drawings the cursor is at the region's beginning: wherever a resize or somebody else's
output moves the lines, what is below the cursor can be cleared and drawn again, and nothing above
it is lost. At the end it is below the region.
"""

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import trio

from imaging.feedback.board import Board
from imaging.feedback.display.cells import clipped, fitted
from imaging.feedback.display.gauges import bar_line, overall_lines
from imaging.feedback.display.jobs import in_foreground, watch_stops
from imaging.feedback.display.milestones import Milestones, worth
from imaging.feedback.display.rows import Columns, node_row, slowest
from imaging.feedback.display.terminal import Escapes, Output, size_of
from imaging.feedback.events import Event, NodeFinished
from imaging.feedback.results import Detail

REDRAW_S = 0.1
SLOWEST = 3  # nodes at work that have a line of their own


def region_lines(board: Board, now: float, width: int, height: int) -> list[str]:
    """The overall progress and the slowest nodes, in at most ``height`` lines."""
    lines = overall_lines(board, now, width)
    columns = Columns.of(board, width)
    names = slowest(board, SLOWEST) if len(board.nodes) > 1 or board.image is None else []
    lines += [node_row(board, name, columns, now, width).text.rstrip() for name in names]
    return lines[: max(height, 1)]


def frame(told: Sequence[str], region: Sequence[str], escapes: Escapes) -> str:
    """What writes the lines ``told`` and then the region, from the beginning of the old one."""
    lines = "".join(f"{line}\n" for line in told)
    above = f"\r{escapes.clear_below}{lines}" if told else "\r"
    drawn = "\n".join(f"{line}{escapes.clear_line}" for line in region)
    return f"{above}{drawn}{escapes.clear_below}\r{escapes.up * (len(region) - 1)}"


class InlineDisplay:
    """Draws the region, and writes what is worth a line above it."""

    def __init__(
        self, board: Board, output: Output, escapes: Escapes | None, detail: Detail
    ) -> None:
        """Without escapes the region is one line, which any terminal can write over."""
        self._board = board
        self._output = output
        self._escapes = escapes
        self._detail = detail
        self._milestones = Milestones(board, verbose=detail is Detail.STEPS)
        self._told: list[str] = []  # lines that are to be written above the region
        self._drawn: list[str] = []  # the region that is on the screen
        self._size = (0, 0)

    def take(self, event: Event) -> None:
        """Tell what an event is worth; the board has folded it already."""
        lines = worth(self._milestones, event, self._detail, is_drawn=True)
        if self._escapes and isinstance(event, NodeFinished) and not event.outcome.ok:
            lines[:1] = [
                f"{self._escapes.failed}{line}{self._escapes.normal}" for line in lines[:1]
            ]
        self._told += lines

    def shown(self) -> AbstractContextManager[None]:
        """The region needs nothing of the screen."""
        return nullcontext()

    def asks_before_interrupt(self) -> bool:
        """It does not ask."""
        return False

    def clear(self) -> None:
        """Take the region off the screen for a moment, so that something else can be written."""
        if not self._drawn or not in_foreground(self._output.descriptor):
            erase = ""
        elif self._escapes is not None:
            erase = f"\r{self._escapes.clear_below}"
        else:
            erase = f"\r{' ' * len(self._drawn[0])}\r"
        told = "".join(f"{line}\n" for line in self._told)
        if erase or told:
            self._output.write(erase + told)
        self._told, self._drawn = [], []

    async def run(self) -> None:
        """Draw until cancelled."""
        try:
            async with trio.open_nursery() as nursery:
                await nursery.start(watch_stops, self._leave, self._forget)
                while True:
                    if self._output.is_ready():
                        self._draw()
                    await trio.sleep(REDRAW_S)
        finally:
            self._end()

    def _end(self) -> None:
        """Leave the last picture on the screen, and the cursor below it; nobody is waited for."""
        self._draw()
        if self._told:
            self.clear()  # in the background
        self._output.write("\n" * len(self._drawn))
        self._drawn = []
        self._output.settle()

    def _leave(self) -> None:
        """Leave the terminal to the shell, without anything that its prompt could mix with."""
        self.clear()
        self._output.settle()

    def _forget(self) -> None:
        """Draw everything anew: others have written on the terminal meanwhile."""
        self._drawn = []

    def _draw(self) -> None:
        """Bring the screen up to date, in one write, when anything on it has changed.

        While the terminal is the shell's, lines wait until it is ours again.
        """
        if not in_foreground(self._output.descriptor):
            self._forget()
            return
        size = size_of(self._output.descriptor)
        # the last column is left free: some terminals wrap as soon as it is written
        region = self._region(size[0] - 1, size[1] - 1) if self._board.nodes else []
        if not self._told and size == self._size and region == self._drawn:
            return
        if self._escapes is not None and region:
            self._output.write(frame(self._told, region, self._escapes))
            self._told, self._drawn = [], region
        else:
            if self._told:
                self.clear()
            if region:
                before = len(self._drawn[0]) if self._drawn else 0
                blanks = min(before, size[0] - 1)
                self._output.write(f"\r{fitted(region[0], max(blanks, len(region[0])))}")
            self._drawn = region
        self._size = size

    def _region(self, width: int, height: int) -> list[str]:
        now = time.time()
        if self._escapes is None or self._detail is Detail.BAR:
            return [clipped(bar_line(self._board, now, width), width)]
        return region_lines(self._board, now, width, height)
