"""How fast the server may send: a token bucket that learns from losses. Pure; time is passed in.

Without pacing a burst overruns the receive buffers of all clients at once. The rate begins low,
grows while nobody loses anything, and shrinks when clients ask again for what they should have
got. It never exceeds the limit (``-W``), counted as on the wire.
"""

WIRE_BITS_PER_BLOCK = 8976  # 1056 + 28 + 38 bytes, as the C server counts a block
START_RATE = 100e6  # bits/s
TOP_RATE = 4e9  # bits/s; where an unlimited server stops growing
FLOOR_RATE = 8e6  # bits/s; losses never bring the rate below this (or the limit)
GROWTH = 1.10
GROWTH_INTERVAL_S = 0.05
SHRINKING = 0.80
SHRINKING_INTERVAL_S = 0.10  # one loss is seen by many clients: it counts once
BUCKET_S = 0.002  # what has not been sent for longer than this is lost


class Pacer:
    """Says how many blocks may go out now, and when the next may."""

    def __init__(self, limit: float | None, now: float) -> None:
        """``limit`` is in bits/s on the wire, None for no limit; ``now`` is in seconds."""
        self._limit = min(limit or TOP_RATE, TOP_RATE) if limit else TOP_RATE
        self._rate = min(self._limit, START_RATE)
        self._tokens = 0.0
        self._last = now
        self._grown = now
        self._shrunk = now - SHRINKING_INTERVAL_S

    @property
    def rate(self) -> float:
        """The rate now, in bits/s on the wire."""
        return self._rate

    @property
    def _blocks_per_second(self) -> float:
        return self._rate / WIRE_BITS_PER_BLOCK

    def allowance(self, now: float) -> int:
        """How many blocks may be sent at once, now."""
        self._refill(now)
        return int(self._tokens)

    def sent(self, blocks: int, now: float) -> None:
        """Blocks have gone out; the rate may grow."""
        self._tokens -= blocks
        if now - self._grown >= GROWTH_INTERVAL_S:
            self._grown = now
            self._rate = min(self._limit, self._rate * GROWTH)

    def lost(self, now: float) -> None:
        """A client has lost blocks."""
        if now - self._shrunk >= SHRINKING_INTERVAL_S:
            self._shrunk = self._grown = now
            self._rate = max(min(FLOOR_RATE, self._limit), self._rate * SHRINKING)

    def delay(self, now: float, blocks: int = 1) -> float:
        """Seconds until so many blocks may be sent."""
        self._refill(now)
        return max(0.0, (blocks - self._tokens) / self._blocks_per_second)

    def _refill(self, now: float) -> None:
        bucket = max(1.0, self._blocks_per_second * BUCKET_S)
        gained = (now - self._last) * self._blocks_per_second
        self._tokens = min(bucket, self._tokens + gained)
        self._last = now
