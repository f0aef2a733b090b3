"""The plain display, where nothing can be drawn: one timestamped line per milestone.

Everything goes to one stream (standard error), so that standard output stays the result's.
"""

import time
from contextlib import AbstractContextManager, nullcontext
from typing import TextIO

from imaging.feedback.board import Board
from imaging.feedback.display.milestones import Milestones, worth
from imaging.feedback.display.terminal import LINES_LIMIT_S, Output
from imaging.feedback.events import Event
from imaging.feedback.results import Detail

CATCH_UP_S = 0.1


class PlainDisplay:
    """Writes the progress of a run to a stream, in lines."""

    def __init__(
        self, board: Board, stream: TextIO | Output, detail: Detail = Detail.MILESTONES
    ) -> None:
        """Tell a run whose events ``board`` folds; ``stream`` is an Output on a terminal."""
        self._stream = stream
        self._detail = detail
        self._milestones = Milestones(board, verbose=detail is Detail.STEPS)

    def take(self, event: Event) -> None:
        """Tell what an event is worth; the board has folded it already."""
        stamp = "" if self._detail is Detail.FAILURES else time.strftime("%H:%M:%S ")
        for line in worth(self._milestones, event, self._detail, is_drawn=False):
            self._stream.write(f"{stamp}{line}\n")
            if not isinstance(self._stream, Output):
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
        """Write what a terminal has not taken at once; all else is written with its event."""
        if not isinstance(self._stream, Output):
            return
        import trio  # commands that only read do not wait for it

        try:
            while True:
                self._stream.is_ready()
                await trio.sleep(CATCH_UP_S)
        finally:
            self._stream.settle(LINES_LIMIT_S)
