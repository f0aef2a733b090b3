"""Threads that expand and write complete chunks.

Chunks are expanded side by side (inflating releases the interpreter's lock) and written one after
the other, in the order in which they were completed. What goes wrong in one thread ends the others
and is the main thread's to raise.
"""

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

Turn = Callable[[], AbstractContextManager[None]]
"""The block that it guards waits until those of all earlier chunks are done."""


class ChunkSink(Protocol):
    """Where complete chunks go."""

    @property
    def effective_bytes(self) -> int:
        """Bytes of the output covered so far, skipped ones included."""

    @property
    def actual_bytes(self) -> int:
        """Bytes really written so far."""

    @property
    def writes(self) -> int:
        """How many writes it took so far."""

    def take(self, chunk: int, blocks: Sequence[memoryview], turn: Turn) -> None:
        """Write one chunk of the image, whose memory is the sink's only during the call.

        Several threads call it at a time. What must be done in order, and by one thread at a time,
        is done in the ``turn``, which is to be used once. Raises FrisbeeError.
        """

    def finish(self) -> None:
        """All chunks have been taken. Raises FrisbeeError."""


class _AbandonedError(Exception):
    """Another thread has failed."""


class _Turnstile:
    """Lets one ticket pass at a time, in the order of their numbers."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._next = 0
        self._closed = False

    @contextmanager
    def turn(self, ticket: int) -> Iterator[None]:
        with self._condition:
            self._condition.wait_for(lambda: self._closed or self._next == ticket)
            if self._closed:
                raise _AbandonedError
        yield
        self._advance(ticket + 1)

    def close(self) -> None:
        """Let nobody pass any more."""
        self._closed = True
        self._advance(-1)

    def _advance(self, to: int) -> None:
        with self._condition:
            self._next = to
            self._condition.notify_all()


class ChunkWorkers:
    """Takes complete chunks to the sink; keeps the first error.

    Attributes:
        error: the first error of any thread.
        waits: how often a thread found nothing to do.
    """

    def __init__(self, sink: ChunkSink, threads: int) -> None:
        """Start so many threads."""
        self._sink = sink
        self._turnstile = _Turnstile()
        self._tickets = 0
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self.error: BaseException | None = None
        self.waits = 0
        self._threads = [
            threading.Thread(target=self._run, name=f"frisbee-writer-{number}", daemon=True)
            for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def put(self, chunk: int, blocks: Sequence[memoryview], done: Callable[[], None]) -> None:
        """Hand a chunk over; ``done`` is called, in a thread, when its memory is free again."""
        ticket = self._tickets
        self._tickets += 1

        def write() -> None:
            self._sink.take(chunk, blocks, lambda: self._turnstile.turn(ticket))
            done()

        self._work.put(write)

    def finish(self) -> None:
        """No chunk will come any more: wait for all. Raises what a thread has met."""
        ticket = self._tickets

        def finish() -> None:
            with self._turnstile.turn(ticket):
                self._sink.finish()

        self._work.put(finish)
        for _ in self._threads:
            self._work.put(None)
        for thread in self._threads:
            thread.join()
        if self.error is not None:
            raise self.error

    def _run(self) -> None:
        """A thread's life. Any error, foreseen or not, is the main thread's to raise."""
        try:
            while True:
                self.waits += self._work.empty()
                action = self._work.get()
                if action is None or self.error is not None:
                    return
                action()
        except _AbandonedError:
            return
        except BaseException as error:  # noqa: BLE001 - raised again in the main thread
            self.error = self.error or error
            self._turnstile.close()
