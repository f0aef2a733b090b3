"""The stream of events: JSON lines to a file, a pipe or a terminal, as they happen.

A thread writes: whoever reads may be slow, or stop, and the run does not wait for it. What cannot
be written is lost, and said once, at the end of the run: the screen is the display's until then.
"""

import errno
import logging
import os
import queue
import re
import threading
import time
from pathlib import Path

from imaging.errors import ConfigurationError
from imaging.feedback.events import Event
from imaging.feedback.outcomes import RunReport
from imaging.feedback.scripts.event_lines import EventLines

log = logging.getLogger(__name__)

BACKLOG = 100_000  # lines: some 20 MB, after which a reader is given up
READER_PATIENCE_S = 1.0  # for one that was started together with us
POLL_S = 0.02

_OURS = re.compile(r"/dev/fd/(\d+)|/proc/self/fd/(\d+)")
_NAMED = {"/dev/stdout": 1, "/dev/stderr": 2}


def open_stream(place: str, standard_output: int) -> int:
    """A descriptor to write lines to; ``-`` is the standard output.

    Raises ConfigurationError: it cannot be opened, or is a named pipe that nobody reads.
    """
    try:
        if place == "-":
            return os.dup(standard_output)
        ours = _OURS.fullmatch(place)
        if ours or place in _NAMED:
            # opened by its name, a file would be emptied, and a socket would refuse
            return os.dup(int(ours[1] or ours[2]) if ours else _NAMED[place])
        descriptor = _open_patiently(place)
    except OSError as error:
        if _has_no_reader(place, error):
            raise ConfigurationError(
                f"cannot write events to {place}: nobody reads this named pipe",
                hint="start its reader first",
            ) from error
        raise ConfigurationError(
            f"cannot write events to {place}: {error.strerror}", hint="see --events"
        ) from error
    os.set_blocking(descriptor, True)
    return descriptor


def _open_patiently(place: str) -> int:
    # O_NONBLOCK: a named pipe would wait for its reader, for ever
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    deadline = time.monotonic() + READER_PATIENCE_S
    while True:
        try:
            return os.open(place, flags, 0o666)
        except OSError as error:
            if not _has_no_reader(place, error) or time.monotonic() > deadline:
                raise
            time.sleep(POLL_S)


def _has_no_reader(place: str, error: OSError) -> bool:
    """Whether opening failed because the place is a named pipe that nobody reads."""
    return error.errno == errno.ENXIO and Path(place).is_fifo()


def write_all(descriptor: int, data: bytes) -> None:
    """Write to a descriptor that may be set to be non-blocking by somebody else. Raises OSError.

    It has no bound of its own: a pager may read on after hours. Callers are a thread that nobody
    waits for, and a command that has told all it has to, which a signal ends.
    """
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(descriptor, rest) :]
        except BlockingIOError:
            time.sleep(POLL_S)


class LineStream:
    """Lines on their way to a descriptor; what cannot be written is lost, and said once."""

    def __init__(self, descriptor: int, place: str) -> None:
        """Begin to write; ``descriptor`` is ours from now on, ``place`` is how messages name it."""
        self._descriptor = descriptor
        self._place = place
        self._queue: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._failure: str | None = None
        self.has_no_reader = False  # who read it has gone
        # a daemon: a write that never returns does not keep the command from ending
        self._writer = threading.Thread(target=self._write, name="events", daemon=True)
        self._writer.start()

    @property
    def failure(self) -> str | None:
        """Why some lines were not written, if so."""
        return self._failure and f"cannot write events to {self._place}: {self._failure}"

    def put(self, line: bytes) -> None:
        """Hand a line to the writer."""
        if self._failure is not None:
            return
        if self._queue.qsize() < BACKLOG:
            self._queue.put(line)
        else:
            self._fail("its reader does not read on")

    def end(self, patience_s: float) -> None:
        """Wait a moment until all is written."""
        if self._failure is None:
            self._queue.put(None)
            self._writer.join(patience_s)
            if self._writer.is_alive():
                self._fail("its reader does not read on")

    def _fail(self, why: str) -> None:
        if self._failure is None:
            self._failure = why
            log.warning("cannot write events to %s: %s", self._place, why)

    def _write(self) -> None:
        """Write whole lines until the end, or until that fails; runs in the thread."""
        try:
            while (line := self._queue.get()) is not None:
                write_all(self._descriptor, line)
        except OSError as error:
            self.has_no_reader = isinstance(error, BrokenPipeError)
            self._fail(error.strerror or repr(error))
        finally:
            os.close(self._descriptor)


class EventStream:
    """A sink that writes a line per event."""

    def __init__(self, descriptor: int, place: str) -> None:
        """Begin to write; ``descriptor`` is ours from now on, ``place`` is how messages name it."""
        self._lines = EventLines()
        self._stream = LineStream(descriptor, place)

    @property
    def failure(self) -> str | None:
        """Why some events were not written, if so."""
        return self._stream.failure

    def take(self, event: Event) -> None:
        """Hand the event's line to the writer."""
        if self._stream.failure is None:
            line = self._lines.line(event)
            if line is not None:
                self._stream.put(line)

    def finish(self, report: RunReport) -> None:
        """Write the last line, and wait a moment until it is written."""
        self._stream.put(self._lines.last_line(report))
        self._stream.end(report.patience)
