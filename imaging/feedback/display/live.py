"""The full-screen display: what is drawn on the terminal, and what its keys do.

What a screen looks like is decided in ``screen``; the terminal is ``keyed_screen``'s, and the run
never waits for it.
"""

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import trio
from msgspec.structs import replace

from imaging.feedback.board import Board
from imaging.feedback.display.keyed_screen import KeyedScreen
from imaging.feedback.display.keys import Key
from imaging.feedback.display.screen import View, pressed, screen_lines, scrolled, tail_lines
from imaging.feedback.events import Event, Noticed, Said
from imaging.feedback.records.transcripts import transcript_path

TAIL_SIZE = 32768  # bytes of a transcript that are looked at
TAIL_PERIOD_S = 0.5


class LiveDisplay:
    """One line per node on the whole screen, with keys."""

    def __init__(self, board: Board, stream: TextIO, keyboard: TextIO) -> None:
        """Both are terminals."""
        self._board = board
        self._keyed = KeyedScreen(stream, keyboard)
        self._screen = self._keyed.screen
        self._view = View()
        self._chosen = trio.Event()
        self._tail: tuple[str | None, bytes | None] = None, None  # a node, and what was read of it
        self._notices: list[str] = []

    def take(self, event: Event) -> None:
        """Draw what an event has changed, soon; the board has folded it already."""
        if isinstance(event, Noticed) and event.node is None:
            self._notices.append(event.message)
            self._view = replace(self._view, notice=event.message)
        if not isinstance(event, Said):
            self._keyed.want()

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Have the screen; what others print on it meanwhile is written when it is restored."""
        with self._keyed.shown():
            yield
            for notice in self._notices:
                print(notice, file=sys.stderr)

    def asks_before_interrupt(self) -> bool:
        """Ask at the first Ctrl-C; the second one, or a yes, is the answer."""
        if self._screen.is_entered and not self._view.asking and self._board.unfinished:
            self._change(replace(self._view, asking=True))
            return True
        self._change(replace(self._view, asking=False, interrupting=True))
        return False

    def clear(self) -> None:
        """Nothing to do: what is printed is held until the screen is restored."""

    async def run(self) -> None:
        """Draw, and obey keys, until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._follow_transcript)
            await self._keyed.run(self._draw, self._press)

    def _draw(self) -> None:
        if not self._board.nodes:
            return
        width, height = self._screen.size()
        self._view = scrolled(self._view, self._board, height)
        transcript = self._transcript(height)
        lines = screen_lines(self._board, self._view, width, height, time.time(), transcript)
        self._screen.paint(lines, width)

    def _transcript(self, height: int) -> list[str] | None:
        """What is known of the transcript that is looked at, None when there is none."""
        if not self._board.transcripts:
            return None
        node, data = self._tail
        if node != self._view.transcript:
            return []  # it is being read
        return None if data is None else tail_lines(data, height)

    async def _follow_transcript(self) -> None:
        """Keep reading the tail of the transcript that is looked at.

        In one thread, for which no drawing waits: a file server that hangs must not hang the run.
        """
        while True:
            self._chosen = trio.Event()
            node, directory = self._view.transcript, self._board.transcripts
            if node is not None and directory:
                file = transcript_path(directory, node)
                data = await trio.to_thread.run_sync(tail_of, file, abandon_on_cancel=True)
                self._tail = node, data
                self._keyed.want()
            if self._view.transcript == node:
                with trio.move_on_after(TAIL_PERIOD_S):
                    await self._chosen.wait()

    def _change(self, view: View) -> None:
        if view.transcript != self._view.transcript:
            self._chosen.set()
        self._view = view
        self._keyed.want()

    def _press(self, key: Key) -> None:
        if key is Key.YES and self._view.asking:
            # as a second Ctrl-C: there is one way in which a run is interrupted
            signal.raise_signal(signal.SIGINT)
            return
        height = self._screen.size()[1]
        self._change(pressed(self._view, key, self._board, height))


def tail_of(file: Path) -> bytes | None:
    """The end of a file, None when it cannot be read."""
    try:
        with file.open("rb") as stream:
            size = stream.seek(0, 2)
            stream.seek(max(size - TAIL_SIZE, 0))
            return stream.read(TAIL_SIZE)
    except OSError:
        return None
