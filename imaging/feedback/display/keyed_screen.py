"""A full screen with keys, drawn at most ten times a second: what displays have in common.

Nothing waits for it: a terminal that does not take more is left alone, and one that has gone away
too.
"""

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

import trio

from imaging.feedback.display.full_screen import FullScreen
from imaging.feedback.display.jobs import watch_stops
from imaging.feedback.display.keys import Key, decode
from imaging.feedback.display.terminal import LINES_LIMIT_S, Output

REDRAW_S = 0.1
ESCAPE_DELAY_S = 0.05  # what follows an escape sooner belongs to it


class KeyedScreen:
    """The screen and the keyboard of one terminal."""

    def __init__(self, stream: TextIO, keyboard: TextIO) -> None:
        """Both are terminals."""
        self.screen = FullScreen(stream.fileno(), keyboard.fileno(), stream.encoding)
        self._keyboard = keyboard.fileno()
        self._wanted = trio.Event()

    def want(self) -> None:
        """Have it drawn anew, soon."""
        self._wanted.set()

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Have the screen; what others print on it meanwhile is written when it is restored."""
        with held_output(), self.screen.kept():
            yield

    async def run(self, draw: Callable[[], None], press: Callable[[Key], None]) -> None:
        """Draw, and obey keys, until cancelled."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self._watch_size)
            await nursery.start(watch_stops, self.screen.restore, self._go_on)
            nursery.start_soon(self._read_keys, press)
            while True:
                if self.screen.is_ready():
                    self._wanted = trio.Event()
                    draw()
                await trio.sleep(REDRAW_S)
                # clocks go on when nothing else does
                with trio.move_on_after(1 - time.time() % 1):
                    await self._wanted.wait()

    def _go_on(self) -> None:
        """Go on after a stop: in the background without the screen, should that still be there."""
        if not self.screen.is_ours():
            self.screen.restore()
        self.screen.forget()
        self.want()

    async def _watch_size(self, *, task_status: "trio.TaskStatus[None]") -> None:
        with trio.open_signal_receiver(signal.SIGWINCH) as signals:
            task_status.started()
            async for _ in signals:
                self.screen.forget()
                self.want()

    async def _read_keys(self, press: Callable[[Key], None]) -> None:
        """Obey keys until the terminal is closed."""
        rest = ""
        while True:
            with trio.move_on_after(ESCAPE_DELAY_S if rest else float("inf")) as patience:
                await trio.lowlevel.wait_readable(self._keyboard)
            if patience.cancelled_caught:
                data = b""
            elif (typed := self.screen.read()) is None:
                await trio.sleep(REDRAW_S)  # it is readable as long as the shell has not read it
                continue
            elif not (data := typed):
                return
            text = rest + data.decode("utf-8", "replace")
            keys, rest = decode(text, final=patience.cancelled_caught)
            for key in keys:
                press(key)


@contextmanager
def held_output() -> Iterator[None]:
    """Hold what is printed on a terminal until the end of the block; files and pipes get theirs."""
    import io

    held: list[tuple[TextIO, io.StringIO]] = []
    before = sys.stdout, sys.stderr
    try:
        for name, stream in (("stdout", sys.stdout), ("stderr", sys.stderr)):
            if stream.isatty():
                held.append((stream, io.StringIO()))
                setattr(sys, name, held[-1][1])
        yield
    finally:
        sys.stdout, sys.stderr = before
        for stream, text in held:
            output = Output(stream.fileno(), stream.encoding)
            output.write(text.getvalue())
            output.settle(LINES_LIMIT_S)
