"""Threads that take chunks to a sink: side by side, and in turn."""

import threading
import time
from collections.abc import Sequence

import pytest

from imaging.frisbee.errors import DiskError
from imaging.frisbee.workers import ChunkWorkers, Turn

BLOCKS = [memoryview(b"x")]
THREADS = 4
LIMIT_S = 10.0
SIZE, FREE = 100, 255


class Sink:
    """Keeps the order of the turns; the first chunks meet before they take theirs."""

    def __init__(
        self, *, fails_at: int = -1, fails_in_turn: bool = False, meeting: int = 0
    ) -> None:
        self.order: list[int] = []
        self.finished = False
        self.effective_bytes = self.actual_bytes = self.writes = 0
        self._fails_at, self._fails_in_turn = fails_at, fails_in_turn
        self._meeting = threading.Barrier(meeting) if meeting else None

    def take(self, chunk: int, blocks: Sequence[memoryview], turn: Turn) -> None:
        assert blocks == BLOCKS
        if self._meeting is not None:
            self._meeting.wait(LIMIT_S)
        if chunk == self._fails_at and not self._fails_in_turn:
            raise DiskError("before its turn")
        with turn():
            if chunk == self._fails_at:
                raise DiskError("in its turn")
            self.order.append(chunk)

    def finish(self) -> None:
        self.finished = True


def test_chunks_are_expanded_side_by_side_and_written_in_order() -> None:
    sink, freed = Sink(meeting=THREADS), []
    workers = ChunkWorkers(sink, THREADS)
    for chunk in range(10 * THREADS):
        workers.put(chunk, BLOCKS, lambda chunk=chunk: freed.append(chunk))  # type: ignore[misc]
    workers.finish()
    assert sink.order == list(range(10 * THREADS))
    assert sorted(freed) == sink.order
    assert sink.finished


def test_the_memory_of_a_chunk_is_the_sinks_until_it_has_taken_it() -> None:
    """Whoever is told that it is free writes the next chunk into it at once."""

    class Reading(Sink):
        def take(self, chunk: int, blocks: Sequence[memoryview], turn: Turn) -> None:
            for _ in range(3):
                assert bytes(blocks[0]) == bytes([chunk]) * SIZE
                time.sleep(0.0005)
            with turn():
                self.order.append(chunk)
            assert bytes(blocks[0]) == bytes([chunk]) * SIZE

    sink, freed = Reading(), []
    workers = ChunkWorkers(sink, THREADS)

    def put(chunk: int) -> None:
        memory = bytearray([chunk]) * SIZE

        def free() -> None:
            memory[:] = bytes([FREE]) * SIZE
            freed.append(chunk)

        workers.put(chunk, [memoryview(memory)], free)

    for chunk in range(10 * THREADS):
        put(chunk)
    workers.finish()
    assert sorted(freed) == sink.order == list(range(10 * THREADS))


@pytest.mark.parametrize("in_turn", [False, True])
@pytest.mark.parametrize("fails_at", [0, 5, 19])
def test_what_one_thread_meets_ends_all(fails_at: int, in_turn: bool) -> None:
    sink = Sink(fails_at=fails_at, fails_in_turn=in_turn)
    workers = ChunkWorkers(sink, THREADS)
    for chunk in range(20):
        workers.put(chunk, BLOCKS, lambda: None)
    with pytest.raises(DiskError, match="its turn"):
        workers.finish()
    assert isinstance(workers.error, DiskError)
    assert not sink.finished
    assert sink.order == list(range(len(sink.order)))
    assert len(sink.order) <= fails_at


def test_the_end_is_not_reached_by_a_failure_there() -> None:
    class Failing(Sink):
        def finish(self) -> None:
            raise DiskError("fsync: Input/output error")

    workers = ChunkWorkers(Failing(), 2)
    workers.put(0, BLOCKS, lambda: None)
    with pytest.raises(DiskError, match="fsync"):
        workers.finish()
