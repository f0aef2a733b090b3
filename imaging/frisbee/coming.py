"""What is on its way to a client, as far as it has heard. Pure: time is passed in.

Everybody hears who asks for what, and what the server sends: so a client knows what the server
still has to send, where in a chunk it is, and how fast it gets on. Blocks that were asked for and
that the server has passed over since are on their way no longer: they were lost.
"""

from collections.abc import Callable, Container
from dataclasses import dataclass

RATE_INTERVAL_S = 0.05  # over which the server's speed is measured
QUEUE_FACTOR = 1.5  # so many times what the server's queue should take is waited for


@dataclass(frozen=True, slots=True)
class _Asked:
    """Somebody has asked for these blocks, at this time."""

    at: float
    bitmap: int


class Coming:
    """What the server has been asked for, and what it is doing.

    Attributes:
        server_at: the chunk that the server is sending; -1 before anything was heard.
        heard_at: when the last block of any kind was heard.
        block_s: seconds that the server takes for a block; 0 while nothing is known.
    """

    def __init__(self, redo_s: float, silence_s: float, now: float) -> None:
        """What was asked for is lost after ``redo_s``, or when the server's queue takes longer.

        A silence of ``silence_s`` does not count as slowness.
        """
        self.server_at = -1
        self.heard_at = now
        self.block_s = 0.0
        self._redo_s = self._patience = redo_s
        self._silence_s = silence_s
        self._asked: dict[int, _Asked] = {}
        self._answering: _Asked | None = None  # what had been asked for when the server came there
        self._reached = 0  # the place in the chunk that the server is at
        self._measured_from = now
        self._measured = 0  # blocks since then

    def hear(self, chunk: int, bitmap: int, now: float) -> bool:
        """The server sends these blocks; whether it has just begun with the chunk."""
        self._measure(bitmap.bit_count(), now)
        self.heard_at = now
        begins = chunk != self.server_at or bitmap & self._returning(chunk) != 0
        if begins:
            self.server_at = chunk
            self._answering = self._asked.pop(chunk, None)
        self._reached = bitmap.bit_length()
        return begins

    def _returning(self, chunk: int) -> int:
        """The blocks that the server can only be sending because they were asked for again."""
        asked = self._asked.get(chunk)
        return asked.bitmap & ((1 << self._reached) - 1) if asked is not None else 0

    def _measure(self, blocks: int, now: float) -> None:
        if now - self.heard_at >= self._silence_s:
            self._measured_from, self._measured = now, 0
        self._measured += blocks
        if now - self._measured_from >= RATE_INTERVAL_S:
            self.block_s = (now - self._measured_from) / self._measured
            self._measured_from, self._measured = now, 0

    def is_at_end(self, blocks: int) -> bool:
        """Whether the server will go on to another chunk, for all that is known.

        ``blocks`` is how many the chunk has.
        """
        asked = self._answering
        return self._reached >= (blocks if asked is None else asked.bitmap.bit_length())

    def ask(self, chunk: int, bitmap: int, now: float) -> None:
        """Somebody has asked for blocks."""
        asked = self._asked.get(chunk)
        if asked is not None and self._is_hoped_for(asked, now):
            bitmap |= asked.bitmap
        self._asked[chunk] = _Asked(now, bitmap)

    def forget(self, chunk: int) -> None:
        """This chunk is complete."""
        self._asked.pop(chunk, None)

    def _is_hoped_for(self, asked: _Asked, now: float) -> bool:
        """While the server says nothing at all, asking sooner does not help."""
        return now - asked.at < self._patience or self.heard_at <= asked.at

    def of(self, chunk: int, now: float) -> int:
        """The blocks of a chunk that are on their way."""
        asked = self._asked.get(chunk)
        found = asked.bitmap if asked is not None and self._is_hoped_for(asked, now) else 0
        if chunk == self.server_at and self._answering is not None:
            found |= self._answering.bitmap >> self._reached << self._reached
        return found

    def count(self, missing: Callable[[int], int], now: float) -> int:
        """How many of the ``missing`` blocks (of a chunk) are on their way, of all chunks.

        Gives up what should have come.
        """
        waiting = sum(asked.bitmap.bit_count() for asked in self._asked.values())
        self._patience = self._redo_s + QUEUE_FACTOR * waiting * self.block_s
        coming = 0
        for chunk, asked in list(self._asked.items()):
            if self._is_hoped_for(asked, now):
                coming += (asked.bitmap & missing(chunk)).bit_count()
            else:
                del self._asked[chunk]
        if self.server_at >= 0:
            # what was being sent when this client came has been asked for by others
            rest = missing(self.server_at) >> self._reached << self._reached
            coming += (rest & self._answering.bitmap if self._answering else rest).bit_count()
        return coming

    @property
    def chunks(self) -> int:
        """How many chunks have been asked for."""
        return len(self._asked)

    def chunks_besides(self, known: Container[int]) -> int:
        """How many chunks have been asked for that are not among the ``known``."""
        return sum(1 for chunk in self._asked if chunk not in known)
