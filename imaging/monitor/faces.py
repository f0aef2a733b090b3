"""The faces of the monitor: who shows the nodes to whom.

A face is told each change, and must not wait for anybody when it is: it puts what is to be told
somewhere, and its own task, or thread, sees to the rest.
"""

import time
from typing import Protocol

import trio

from imaging.feedback.scripts.stream import LineStream
from imaging.monitor.documents import changed_line, ended_line, leases_line, testbed_line
from imaging.monitor.testbed import NodeState, Testbed
from imaging.monitor.wording import change_text, counts_text, leases_text

READER_POLL_S = 0.5


class Face(Protocol):
    """Somebody who shows the nodes."""

    def take(self, at: float, before: NodeState, after: NodeState) -> None:
        """A node has changed, as seen ``at`` (seconds since the epoch)."""

    def take_leases(self, at: float, problem: str) -> None:
        """Who holds the nodes is not known any more, for this reason; "" when it is known again."""

    async def run(self) -> None:
        """Show, until cancelled, or until it is known that nobody looks any more."""

    def end(self, patience_s: float) -> str | None:
        """Say the last words, within so many seconds; gives what could not be told, if so."""


async def reader_gone(stream: LineStream) -> None:
    """Return when nobody reads it any more."""
    while not stream.has_no_reader:  # noqa: ASYNC110 - a thread finds out
        await trio.sleep(READER_POLL_S)


class EventsFace:
    """A line of JSON per change."""

    def __init__(self, stream: LineStream, testbed: Testbed) -> None:
        """``stream`` is ours from now on."""
        self._stream = stream
        self._stream.put(testbed_line(testbed))

    def take(self, at: float, before: NodeState, after: NodeState) -> None:
        """Write a line."""
        line = changed_line(at, before, after)
        if line is not None:
            self._stream.put(line)

    def take_leases(self, at: float, problem: str) -> None:
        """Write a line."""
        self._stream.put(leases_line(at, problem))

    async def run(self) -> None:
        """A thread writes, as long as there is a reader."""
        await reader_gone(self._stream)

    def end(self, patience_s: float) -> str | None:
        """Write the last line."""
        self._stream.put(ended_line())
        self._stream.end(patience_s)
        return self._stream.failure


class TextFace:
    """A line of text per change that is worth one."""

    def __init__(self, stream: LineStream, testbed: Testbed) -> None:
        """``stream`` is ours from now on."""
        self._stream = stream
        self._testbed = testbed
        self._leases_were_lost = False

    def take(self, at: float, before: NodeState, after: NodeState) -> None:
        """Write a line, with the time of day."""
        text = change_text(before, after)
        if text is not None:
            self._put(at, text)

    def take_leases(self, at: float, problem: str) -> None:
        """Write a line; that they are known is only news when they were not."""
        if problem or self._leases_were_lost:
            self._put(at, leases_text(problem) or "who holds the nodes is known again")
        self._leases_were_lost = bool(problem)

    async def run(self) -> None:
        """A thread writes, as long as there is a reader."""
        await reader_gone(self._stream)

    def end(self, patience_s: float) -> str | None:
        """Sum up."""
        self._put(time.time(), counts_text(self._testbed))
        self._stream.end(patience_s)
        # who has closed a pipe, as in | head, has seen enough
        return None if self._stream.has_no_reader else self._stream.failure

    def _put(self, at: float, text: str) -> None:
        clock = time.strftime("%H:%M:%S", time.localtime(at))
        self._stream.put(f"{clock} {text}\n".encode(errors="replace"))
