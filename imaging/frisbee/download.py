"""What a client has, what it asks for and when it asks again. Pure: packets and time in and out.

Where the bytes are is somebody else's business: here a block is a bit.

Every client hears all blocks and all requests of the group. So it keeps any block that it lacks,
whoever asked for it, and does not ask for what somebody has asked for a moment ago. Whether blocks
were lost shows as soon as the server goes on to another chunk; they are asked for again at once,
not when the group has fallen silent.
"""

import random
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from imaging.frisbee.coming import Coming
from imaging.frisbee.packets import BLOCKS_PER_CHUNK, PartialRequest, Request

IDLE_BLOCKS = 128  # silence is what lasts as long as so many blocks would have
IDLE_GROWTH = 1.5
LOOK_INTERVAL_S = 0.001  # between two looks at what is to be asked for, when nothing has happened,
LOOK_CHUNKS = 64  # and as much again for so many chunks that have been asked for: looks take time


@dataclass(frozen=True, slots=True)
class Pace:
    """When a client asks; seconds, and counts of chunks."""

    read_ahead: int = 2  # chunks that are on their way or asked for, at least
    in_progress: int = 8  # chunks that may be incomplete before new ones are asked for
    redo_s: float = (
        0.3  # what was asked for so long ago, by whomever, was lost (or longer: see Coming)
    )
    gap_s: float = 0.005  # packets that overtake each other are waited for so long,
    gap_spread_s: float = 0.02  # and in a group up to this longer: others may ask for the same
    idle_s: float = 0.1  # silence after which everything missing is asked for,
    idle_floor_s: float = 0.03  # or less when blocks have come quickly,
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


@dataclass(slots=True)
class _Chunk:
    """A chunk of which some blocks have come."""

    missing: int  # bitmap
    entered: int  # the first block that was heard of the server's last pass over it
    passed: bool = False  # the server has passed it since this client asked for it


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
        self._random = random.Random(seed)  # noqa: S311 - nothing here is secret
        order = list(range(self.chunks))
        if not ascending:
            self._random.shuffle(order)
        self._unstarted = deque(order)
        self._started: dict[int, _Chunk] = {}
        self._held = 0  # complete chunks that have not been released
        self._catching_up = False  # most buffers are taken
        self._complete = bytearray(self.chunks)
        self._coming = Coming(self._pace.redo_s, self._pace.idle_s, now)
        self._mine: set[int] = set()  # chunks that this client has asked for itself
        self._in_group = False  # others have been overheard
        self._gaps: dict[int, float] = {}
        self._idle = self._pace.idle_s
        self._look_at = now
        self.left = self.chunks
        self.useful_at = now
        self._asked_at = now
        self.counters = DownloadCounters()

    def blocks_of(self, chunk: int) -> int:
        """How many blocks a chunk has: 1024, but for a short last one."""
        return self._last_chunk_blocks if chunk == self.chunks - 1 else BLOCKS_PER_CHUNK

    def is_complete(self, chunk: int) -> bool:
        """Whether all blocks of a chunk have come."""
        return self._complete[chunk] != 0

    def take(self, chunk: int, bitmap: int, now: float) -> int:
        """Blocks of one chunk have come together; gives those that were missing and are wanted.

        The caller has checked that the chunk is within the image, and must ``release`` every chunk
        that is complete when its memory is free again.
        """
        left = self._coming.server_at
        if self._coming.hear(chunk, bitmap, now):
            self._server_begins(chunk, bitmap, left, now)
        self._asked_at = now
        self._idle = self._shortest_idle()
        state = self._started.get(chunk)
        if state is None:
            state = self._start(chunk, bitmap)
            if state is None:
                return 0
        new = bitmap & state.missing
        if new != bitmap:
            self.counters.duplicates_in_progress += (bitmap & ~new).bit_count()
        if new:
            state.missing ^= new
            self.useful_at = now
            if not state.missing:
                self._finish(chunk, now)
            elif self._coming.is_at_end(self.blocks_of(chunk)):
                self._passes(chunk, state, now)
        return new

    def _shortest_idle(self) -> float:
        silence = IDLE_BLOCKS * self._coming.block_s
        return min(self._pace.idle_s, max(self._pace.idle_floor_s, silence))

    def _start(self, chunk: int, bitmap: int) -> _Chunk | None:
        """Begin a chunk, if it is not complete and there is memory for it."""
        if self._complete[chunk]:
            self.counters.duplicates_done += bitmap.bit_count()
            return None
        if len(self._started) + self._held >= self._buffers:
            self.counters.no_buffer += bitmap.bit_count()
            return None
        state = _Chunk((1 << self.blocks_of(chunk)) - 1, _lowest(bitmap))
        self._started[chunk] = state
        return state

    def _finish(self, chunk: int, now: float) -> None:
        self._complete[chunk] = 1
        self._held += 1
        self.left -= 1
        self._coming.forget(chunk)
        self._gaps.pop(chunk, None)
        del self._started[chunk]
        self._look_at = now

    @property
    def is_writing(self) -> bool:
        """Whether there are complete chunks that have not been released."""
        return self._held > 0

    def release(self, now: float) -> None:
        """A complete chunk is written: its memory is free again."""
        self._held -= 1
        self._look_at = self.useful_at = now

    def _server_begins(self, chunk: int, bitmap: int, left: int, now: float) -> None:
        """The server begins with a chunk: what the one that it has left lacks now was lost."""
        state = self._started.get(left)
        if left != chunk and state is not None:
            self._passes(left, state, now)
        state = self._started.get(chunk)
        if state is not None:
            state.entered = _lowest(bitmap)

    def _passes(self, chunk: int, state: _Chunk, now: float) -> None:
        """The server has come to the end of a chunk, or leaves it."""
        state.passed = True
        wait = self._pace.gap_s
        if self._in_group:
            wait += self._random.uniform(0, self._pace.gap_spread_s)
        self._gaps[chunk] = now + wait

    def overheard(self, request: Request | PartialRequest, now: float) -> None:
        """Another client asks for blocks: they are on their way to everybody."""
        self._in_group = True
        chunk = request.chunk
        # a server that is sending a chunk does not begin it again for who asks for the whole of it
        is_merged = chunk == self._coming.server_at and isinstance(request, Request)
        if not self._complete[chunk] and not is_merged:
            self._coming.ask(chunk, request.bitmap, now)

    def _missing(self, chunk: int) -> int:
        if self._complete[chunk]:
            return 0
        state = self._started.get(chunk)
        return (1 << self.blocks_of(chunk)) - 1 if state is None else state.missing

    def requests(self, now: float) -> list[Request | PartialRequest]:
        """What to ask for now."""
        silent = now - self._asked_at >= self._idle
        if now < self._look_at and not silent:
            return []
        self._look_at = now + LOOK_INTERVAL_S * (1 + self._coming.chunks / LOOK_CHUNKS)
        coming = self._coming.count(self._missing, now)
        if silent:
            coming = 0
            self._asked_at = now
            self._idle = min(self._idle * IDLE_GROWTH, self._pace.idle_limit_s)
            self.counters.idles += 1
        wanted: list[Request | PartialRequest] = []
        for chunk in self._incomplete_due(now, silent):
            state = self._started[chunk]
            lost = state.missing
            if not silent:
                lost &= ~self._coming.of(chunk, now)
            if lost:
                wanted.append(self._ask_again(chunk, state, lost, now))
                coming += lost.bit_count()
        wanted.extend(self._ask_ahead(coming, now, silent))
        return wanted

    def _incomplete_due(self, now: float, silent: bool) -> Iterator[int]:
        """The started chunks whose missing blocks are to be asked for."""
        for chunk in list(self._started):
            due = self._gaps.get(chunk)
            if due is not None and due <= now:
                del self._gaps[chunk]
                yield chunk
            elif silent or (
                due is None and chunk != self._coming.server_at and not self._coming.of(chunk, now)
            ):
                yield chunk

    def _ask_again(self, chunk: int, state: _Chunk, lost: int, now: float) -> PartialRequest:
        # of what the server was sending already when this client asked, the beginning is not lost
        retries = int(state.passed and chunk in self._mine and lost >> state.entered != 0)
        state.passed = False
        self.counters.partial_requests += 1
        self.counters.lost_blocks += lost.bit_count()
        self.counters.re_requests += retries
        self._mine.add(chunk)
        self._coming.ask(chunk, lost, now)
        return PartialRequest(chunk, retries, lost)

    def _ask_ahead(self, coming: int, now: float, silent: bool) -> Iterator[Request]:
        """New chunks, so that the server never runs out of work for us.

        A client whose disk cannot follow leaves room for what others ask for, and waits until it
        has caught up by a good deal: by then others have too. Were it to ask as soon as it has one
        buffer, it would be the only one to have it, and each chunk would be sent to each client.
        """
        lacking = self._pace.read_ahead - round(coming / BLOCKS_PER_CHUNK)
        if lacking <= 0 or len(self._started) >= self._pace.in_progress:
            return
        free = self._free(silent)
        if free < self._buffers / 2:
            self._catching_up = True
        elif free >= self._buffers * 3 / 4:
            self._catching_up = False
        room = 0 if self._catching_up else min(lacking, free)
        passed: list[int] = []
        while room > 0 and self._unstarted:
            chunk = self._unstarted.popleft()
            if self._complete[chunk] or chunk in self._started:
                continue
            passed.append(chunk)
            if silent or not self._coming.of(chunk, now):
                room -= 1
                self.counters.requests += 1
                self._mine.add(chunk)
                count = self.blocks_of(chunk)
                self._coming.ask(chunk, (1 << count) - 1, now)
                yield Request(chunk, 0, count)
        # until its first block comes, a chunk may have to be asked for again
        self._unstarted.extendleft(reversed(passed))

    def _free(self, silent: bool) -> int:
        """How many buffers there are for chunks that nobody has asked for.

        In silence nothing is to be expected of what was asked for.
        """
        expected = 0 if silent else self._coming.chunks_besides(self._started)
        return self._buffers - len(self._started) - self._held - expected

    def delay(self, now: float) -> float:
        """Seconds until ``requests`` may have something new to say."""
        due = self._asked_at + self._idle
        if self._gaps:
            due = min(due, *self._gaps.values())
        return max(0.0, due - now, self._look_at - now)


def _lowest(bitmap: int) -> int:
    """The number of the lowest bit that is set."""
    return (bitmap & -bitmap).bit_length() - 1
