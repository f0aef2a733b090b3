"""What the server still has to send, and in which order. Pure.

First in, first out by chunk; within a chunk blocks go out in ascending order. Nothing waits twice:
what is asked for again while it waits is merged. A run that is asked for once more while it is
being sent is not sent again: whoever asked late has heard the rest of it, and will ask for what is
missing.
"""

from collections import OrderedDict
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Run:
    """Consecutive blocks of one chunk, to be sent now."""

    chunk: int
    first: int
    count: int


class WorkQueue:
    """Requests in, runs of blocks out."""

    def __init__(self) -> None:
        """Begin with nothing to do."""
        self._waiting: OrderedDict[int, int] = OrderedDict()  # chunk -> bitmap
        self._current: int | None = None  # the chunk being sent,
        self._rest = 0  # its blocks that are still to come,
        self._next_block = 0  # the place that has been reached,
        self._whole = 0  # and all that this chunk's turn began with
        self.merged = 0

    def __bool__(self) -> bool:
        return bool(self._rest or self._waiting)

    @property
    def chunks(self) -> int:
        """How many chunks have something waiting."""
        return len(self._waiting) + (self._rest != 0)

    @property
    def blocks(self) -> int:
        """How many blocks are waiting."""
        return self._rest.bit_count() + sum(b.bit_count() for b in self._waiting.values())

    def add(self, chunk: int, bitmap: int) -> bool:
        """Take a request; False when it asks for nothing that was not waiting already."""
        if chunk == self._current and self._rest:
            if bitmap == self._whole:
                self.merged += 1
                return False
            ahead = bitmap >> self._next_block << self._next_block
            new = ahead & ~self._rest
            self._rest |= ahead
            bitmap &= ~ahead
            if not bitmap:
                self.merged += not new
                return bool(new)
        before = self._waiting.get(chunk, 0)
        if bitmap & ~before == 0:
            self.merged += 1
            return False
        self._waiting[chunk] = before | bitmap
        return True

    def take(self, limit: int) -> list[Run]:
        """The next runs, all of one chunk and of at most ``limit`` blocks together.

        Empty when there is nothing to do.
        """
        runs: list[Run] = []
        if not self._rest:
            if not self._waiting or limit < 1:
                return runs
            self._current, self._rest = self._waiting.popitem(last=False)
            self._whole, self._next_block = self._rest, 0
        assert self._current is not None
        while self._rest and limit > 0:
            first = (self._rest & -self._rest).bit_length() - 1
            after = ~(self._rest >> first)
            count = min((after & -after).bit_length() - 1, limit)
            self._rest &= ~(((1 << count) - 1) << first)
            self._next_block = first + count
            limit -= count
            runs.append(Run(self._current, first, count))
        return runs
