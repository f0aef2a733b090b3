"""The monitor on the full screen of a terminal, with keys."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from imaging.feedback.display.keyed_screen import KeyedScreen
from imaging.feedback.display.keys import Key
from imaging.monitor.screen import View, pressed, screen_lines
from imaging.monitor.testbed import NodeState, Testbed


class LiveFace:
    """All nodes, as many as there is room for, as they are now."""

    def __init__(self, testbed: Testbed, stream: TextIO, keyboard: TextIO) -> None:
        """Both are terminals."""
        self._testbed = testbed
        self._keyed = KeyedScreen(stream, keyboard)
        self._view = View()

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Have the screen for as long as the block lasts; it is restored whatever ends that."""
        with self._keyed.shown():
            yield

    def take(self, at: float, before: NodeState, after: NodeState) -> None:
        """Draw it, soon."""
        del at, before, after
        self._keyed.want()

    def take_leases(self, at: float, problem: str) -> None:
        """Draw it, soon."""
        del at, problem
        self._keyed.want()

    async def run(self) -> None:
        """Draw, and obey keys, until cancelled."""
        await self._keyed.run(self._draw, self._press)

    def end(self, patience_s: float) -> str | None:
        """The screen is restored by now."""
        del patience_s
        return None

    def _draw(self) -> None:
        width, height = self._keyed.screen.size()
        lines = screen_lines(self._testbed, self._view, width, height, time.time())
        self._keyed.screen.paint(lines, width)

    def _press(self, key: Key) -> None:
        if key is Key.QUIT:
            # there is one way in which it is ended
            signal.raise_signal(signal.SIGINT)
            return
        height = self._keyed.screen.size()[1]
        self._view = pressed(self._view, key, self._testbed, height)
        self._keyed.want()
