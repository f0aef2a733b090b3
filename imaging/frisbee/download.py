"""What a client has, what it asks for and when it asks again. Pure: packets and time in and out.

Every client hears all blocks and all requests of the group. So it keeps any block that it lacks,
whoever asked for it, and does not ask for what somebody has asked for a moment ago. Whether blocks
were lost shows as soon as the server goes on to another chunk; they are asked for again at once,
not when the group has fallen silent.
"""

import random
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from imaging.frisbee.packets import (
    BLOCK_SIZE,
    BLOCKS_PER_CHUNK,
    PartialRequest,
    Request,
)

CHUNK_BYTES = BLOCK_SIZE * BLOCKS_PER_CHUNK
_MISSING, _PRESENT = 0x31, 0x30  # "1" and "0": such a text reversed is the bitmap in base 2
IDLE_GROWTH = 1.5


@dataclass(frozen=True, slots=True)
class Pace:
    """When a client asks; seconds, and counts of chunks."""

    read_ahead: int = 2  # chunks that are on their way or asked for, at least
    in_progress: int = 8  # chunks that may be incomplete before new ones are asked for
    redo_s: float = 0.3  # what was asked for so long ago, by whomever, was lost
    gap_s: float = 0.005  # packets that overtake each other are waited for so long
    idle_s: float = 0.1  # silence after which everything missing is asked for,
    idle_limit_s: float = 1.3  # growing up to this when nobody answers


@dataclass(slots=True)
class DownloadCounters:
    """What happened, for the statistics."""

    requests: int = 0
    partial_requests: int = 0
    re_requests: int = 0
    lost_blocks: int = 0
    duplicates_done: int = 0
    duplicates_in_progress: int = 0
    no_buffer: int = 0
    idles: int = 0


class _Chunk:
    """A chunk of which some blocks have come."""

    __slots__ = ("data", "flags", "left")

    def __init__(self, blocks: int) -> None:
        self.data = bytearray(CHUNK_BYTES)
        self.flags = bytearray([_MISSING]) * blocks
        self.left = blocks

    def missing(self) -> int:
        return int(self.flags[::-1], 2)


@dataclass(frozen=True, slots=True)
class _Asked:
    """Somebody has asked for these blocks, at this time."""

    at: float
    bitmap: int


class Download:
    """The state of one client."""

    def __init__(
        self,
        blocks: int,
        now: float,
        *,
        buffers: int,
        pace: Pace | None = None,
        ascending: bool = False,
        seed: int | None = None,
    ) -> None:
        """``blocks`` in the image; at most ``buffers`` chunks are held in memory at a time."""
        self.chunks = -(-blocks // BLOCKS_PER_CHUNK)
        self._last_chunk_blocks = blocks - (self.chunks - 1) * BLOCKS_PER_CHUNK
        self._pace = pace or Pace()
        self._buffers = buffers
        order = list(range(self.chunks))
        if not ascending:
            random.Random(seed).shuffle(order)  # noqa: S311 - the order is no secret
        self._unstarted = deque(order)
        self._started: dict[int, _Chunk] = {}
        self._held = 0  # complete chunks that have not been released
        self._complete = bytearray(self.chunks)
        self._asked: dict[int, _Asked] = {}
        self._mine: set[int] = set()  # chunks that this client has asked for itself
        self._server_at = -1
        self._gaps: dict[int, float] = {}
        self._idle = self._pace.idle_s
        self.left = self.chunks
        self.useful_at = now
        self._asked_at = now
        self._heard_at = now  # the last block of any kind
        self.counters = DownloadCounters()

    def blocks_of(self, chunk: int) -> int:
        """How many blocks a chunk has: 1024, but for a short last one."""
        return self._last_chunk_blocks if chunk == self.chunks - 1 else BLOCKS_PER_CHUNK

    def block(
        self, chunk: int, block: int, data: bytes | memoryview, now: float
    ) -> bytearray | None:
        """Take a block; gives the chunk's content when it is complete with it.

        The caller has checked that chunk and block are within the image's chunks, and must
        ``release`` every chunk it was given when its memory is free again.
        """
        self._heard_at = now
        if chunk != self._server_at:
            self._server_moves(chunk, now)
        state = self._started.get(chunk)
        if state is None:
            state = self._start(chunk)
            if state is None:
                return None
        if block >= len(state.flags):
            return None
        if state.flags[block] == _PRESENT:
            self.counters.duplicates_in_progress += 1
            return None
        state.flags[block] = _PRESENT
        start = block * BLOCK_SIZE
        state.data[start : start + BLOCK_SIZE] = data
        state.left -= 1
        self.useful_at = self._asked_at = now
        self._idle = self._pace.idle_s
        if state.left == 0:
            return self._finish(chunk)
        if block == len(state.flags) - 1:
            self._gaps[chunk] = now + self._pace.gap_s
        return None

    def _start(self, chunk: int) -> _Chunk | None:
        """Begin a chunk, if it is not complete and there is memory for it."""
        if self._complete[chunk]:
            self.counters.duplicates_done += 1
            return None
        if len(self._started) + self._held >= self._buffers:
            self.counters.no_buffer += 1
            return None
        state = self._started[chunk] = _Chunk(self.blocks_of(chunk))
        return state

    def _finish(self, chunk: int) -> bytearray:
        self._complete[chunk] = 1
        self._held += 1
        self.left -= 1
        self._asked.pop(chunk, None)
        self._gaps.pop(chunk, None)
        return self._started.pop(chunk).data

    def release(self) -> None:
        """The memory of one complete chunk is free again."""
        self._held -= 1

    def _server_moves(self, chunk: int, now: float) -> None:
        """The server goes on to another chunk: what the last one lacks now was lost."""
        left = self._server_at
        self._server_at = chunk
        if left in self._started:
            self._asked.pop(left, None)
            self._gaps[left] = now + self._pace.gap_s

    def overheard(self, request: Request | PartialRequest, now: float) -> None:
        """Another client asks for blocks: they are on their way to everybody."""
        if not self._complete[request.chunk]:
            self._note_asked(request.chunk, request.bitmap, now)

    def _note_asked(self, chunk: int, bitmap: int, now: float) -> None:
        before = self._asked.get(chunk)
        if before is not None and now - before.at < self._pace.redo_s:
            bitmap |= before.bitmap
        self._asked[chunk] = _Asked(now, bitmap)

    def _recently_asked(self, chunk: int, now: float) -> int:
        """The blocks of a chunk that are on their way, for all that is known.

        While the server says nothing at all, asking sooner does not help: silence has its own
        pace, which grows.
        """
        asked = self._asked.get(chunk)
        if asked is None:
            return 0
        is_recent = now - asked.at < self._pace.redo_s or self._heard_at <= asked.at
        return asked.bitmap if is_recent else 0

    def requests(self, now: float) -> list[Request | PartialRequest]:
        """What to ask for now."""
        silent = now - self._asked_at >= self._idle
        if silent:
            self._asked_at = now
            self._idle = min(self._idle * IDLE_GROWTH, self._pace.idle_limit_s)
            self.counters.idles += 1
        wanted: list[Request | PartialRequest] = []
        for chunk in self._incomplete_due(now, silent):
            missing = self._started[chunk].missing()
            lost = missing if silent else missing & ~self._recently_asked(chunk, now)
            if lost:
                wanted.append(self._ask_again(chunk, lost, now))
        wanted.extend(self._ask_ahead(now, silent))
        return wanted

    def _incomplete_due(self, now: float, silent: bool) -> Iterator[int]:
        """The started chunks whose missing blocks are to be asked for."""
        for chunk in list(self._started):
            due = self._gaps.get(chunk)
            if due is not None and due <= now:
                del self._gaps[chunk]
                yield chunk
            elif silent or (
                due is None and chunk != self._server_at and not self._recently_asked(chunk, now)
            ):
                yield chunk

    def _ask_again(self, chunk: int, lost: int, now: float) -> PartialRequest:
        # what this client has asked for itself, or has seen pass, was lost
        retries = int(chunk in self._mine)
        self.counters.partial_requests += 1
        self.counters.lost_blocks += lost.bit_count()
        self.counters.re_requests += retries
        self._mine.add(chunk)
        self._note_asked(chunk, lost, now)
        return PartialRequest(chunk, retries, lost)

    def _ask_ahead(self, now: float, silent: bool) -> Iterator[Request]:
        """New chunks, so that the server never runs out of work for us."""
        coming = sum(1 for chunk in self._asked if self._recently_asked(chunk, now))
        if self._server_at in self._started and self._server_at not in self._asked:
            coming += 1
        if silent:
            coming = 0
        free = self._buffers - len(self._started) - self._held
        room = min(self._pace.read_ahead - coming, free)
        if room <= 0 or len(self._started) >= self._pace.in_progress:
            return
        passed: list[int] = []
        while room > 0 and self._unstarted:
            chunk = self._unstarted.popleft()
            if self._complete[chunk] or chunk in self._started:
                continue
            passed.append(chunk)
            if silent or not self._recently_asked(chunk, now):
                room -= 1
                self.counters.requests += 1
                self._mine.add(chunk)
                count = self.blocks_of(chunk)
                self._note_asked(chunk, (1 << count) - 1, now)
                yield Request(chunk, 0, count)
        # until its first block comes, a chunk may have to be asked for again
        self._unstarted.extendleft(reversed(passed))

    def delay(self, now: float) -> float:
        """Seconds until ``requests`` may have something new to say."""
        due = self._asked_at + self._idle
        if self._gaps:
            due = min(due, *self._gaps.values())
        return max(0.0, due - now)
