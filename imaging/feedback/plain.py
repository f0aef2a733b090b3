"""The plain display, where there is no terminal: one timestamped line per milestone.

Everything goes to one stream (standard error), so that standard output stays the result's.
"""

import time
from contextlib import AbstractContextManager, nullcontext
from typing import TextIO

from imaging.feedback.board import Board
from imaging.feedback.events import Event
from imaging.feedback.milestones import Milestones, worth
from imaging.feedback.results import Detail


class PlainDisplay:
    """Writes the progress of a run to a stream, in lines."""

    def __init__(self, board: Board, stream: TextIO, detail: Detail = Detail.MILESTONES) -> None:
        """Tell a run whose events ``board`` folds."""
        self._stream = stream
        self._detail = detail
        self._milestones = Milestones(board, verbose=detail is Detail.STEPS)

    def take(self, event: Event) -> None:
        """Tell what an event is worth; the board has folded it already."""
        stamp = "" if self._detail is Detail.FAILURES else time.strftime("%H:%M:%S ")
        for line in worth(self._milestones, event, self._detail, is_drawn=False):
            self._stream.write(f"{stamp}{line}\n")
            self._stream.flush()

    def shown(self) -> AbstractContextManager[None]:
        """It needs nothing of the screen."""
        return nullcontext()

    def asks_before_interrupt(self) -> bool:
        """It cannot ask."""
        return False

    def clear(self) -> None:
        """Nothing is drawn."""

    async def run(self) -> None:
        """Each line is written when its event is taken."""
