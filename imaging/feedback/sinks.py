"""Who is told a run: each sink gets every event as it happens, and the report at the end."""

from contextlib import AbstractContextManager
from typing import Protocol

from imaging.feedback.events import Event
from imaging.feedback.outcomes import RunReport


class Sink(Protocol):
    """Somebody who is told a run. No sink may fail a run: what it cannot do, it says once."""

    def take(self, event: Event) -> None:
        """Take an event; the board has folded it already."""

    def finish(self, report: RunReport) -> None:
        """Take the report. Not called when the run ended before any node was touched."""


class Display(Protocol):
    """A sink that people look at while the run lasts."""

    def take(self, event: Event) -> None:
        """Take an event; the board has folded it already."""

    def shown(self) -> AbstractContextManager[None]:
        """Have the screen for as long as the block lasts; it is restored whatever ends that."""

    async def run(self) -> None:
        """Draw until cancelled."""

    def clear(self) -> None:
        """Take what is drawn off the screen, so that a line can be printed on another stream."""

    def asks_before_interrupt(self) -> bool:
        """Called at a first Ctrl-C: whether the display asks the user about it instead."""
