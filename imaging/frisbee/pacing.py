"""How fast the server may send: a token bucket that learns from losses. Pure; time is passed in.

Without pacing a burst overruns the receive buffers of all clients at once. The rate begins low,
doubles every few milliseconds until something is lost, and then grows slowly. It never exceeds the
limit (``-W``), counted as on the wire.

A lost packet is no sign of congestion by itself: bad cables lose packets at any rate. So the rate
shrinks only when more than half of the clients miss more than a tolerable share of what was sent;
then by that share, for what has arrived is what the way bears. One bad node slows nobody down.
"""

WIRE_BITS_PER_BLOCK = 8976  # 1056 + 28 + 38 bytes, as the C server counts a block
START_RATE = 200e6  # bits/s
TOP_RATE = 10e9  # bits/s; where an unlimited server stops growing
FLOOR_RATE = 8e6  # bits/s; losses never bring the rate below this (or the limit)
START_GROWTH = 2.0
START_INTERVAL_S = 0.01
GROWTH = 1.10
GROWTH_INTERVAL_S = 0.05
TOLERATED_LOSS = 0.05  # share of the blocks sent
JUDGE_INTERVAL_S = 0.05
JUDGE_BLOCKS = 512  # fewer say nothing
DEEPEST_CUT = 0.5
BUCKET_S = 0.005  # what has not been sent for longer than this is lost,
BUCKET_BLOCKS = 2048  # and so is what would be a burst of more than this
CALL_S = 0.002  # what is sent in one call lasts so long on the wire at most,
CALL_BLOCKS = 62  # and fits in one call
SLEEP_S = 0.0005  # a shorter sleep is not worth it: there are several calls after it then


class Losses:
    """Which share of what was sent the clients have missed lately."""

    def __init__(self, now: float) -> None:
        """Begin to count."""
        self._since = now
        self._sent = 0
        self._lost: dict[str, int] = {}
        self._clients = 1

    def sent(self, blocks: int) -> None:
        """Blocks have gone out."""
        self._sent += blocks

    def lost(self, client: str, blocks: int, clients: int) -> None:
        """A client, one of ``clients``, asks again for blocks that it should have got."""
        self._lost[client] = self._lost.get(client, 0) + blocks
        self._clients = clients

    def judge(self, now: float) -> float:
        """The share that more than half of the clients have missed; 0 while it is early."""
        if now - self._since < JUDGE_INTERVAL_S or self._sent < JUDGE_BLOCKS:
            return 0.0
        ranking = sorted(self._lost.values(), reverse=True)
        middle = self._clients // 2
        lost = ranking[middle] if middle < len(ranking) else 0
        share = min(1.0, lost / self._sent)
        self._since, self._sent = now, 0
        self._lost.clear()
        return share


class Pacer:
    """Says how many blocks may go out now, and when the next may."""

    def __init__(self, limit: float | None, now: float) -> None:
        """``limit`` is in bits/s on the wire, None for no limit; ``now`` is in seconds."""
        self._limit = min(limit, TOP_RATE) if limit else TOP_RATE
        self._losses = Losses(now)
        self._starting = True
        self._last = self._grown_at = now
        self._sent = 0  # blocks since the rate has grown
        self._tokens = 0.0  # blocks
        self._set_rate(START_RATE)

    @property
    def rate(self) -> float:
        """The rate now, in bits/s on the wire."""
        return self._rate

    def _set_rate(self, rate: float) -> None:
        self._rate = min(rate, self._limit)
        self._blocks_per_second = self._rate / WIRE_BITS_PER_BLOCK
        self._call = max(1, min(CALL_BLOCKS, int(self._blocks_per_second * CALL_S)))
        # who comes late for one call finds room for a second one
        self._bucket = max(2.0 * self._call, min(self._blocks_per_second * BUCKET_S, BUCKET_BLOCKS))
        self._worth_waking = max(
            self._call, min(self._blocks_per_second * SLEEP_S, self._bucket / 2)
        )

    def allowance(self, now: float) -> int:
        """How many blocks may be sent at once, now: none until they are worth a call."""
        self._refill(now)
        return int(self._tokens) if self._tokens >= self._call else 0

    def sent(self, blocks: int, now: float) -> None:
        """Blocks have gone out; now and then the rate changes."""
        self._tokens -= blocks
        self._sent += blocks
        self._losses.sent(blocks)
        share = self._losses.judge(now)
        elapsed = now - self._grown_at
        if share > TOLERATED_LOSS:
            self._starting = False
            self._grown_at, self._sent = now, 0
            self._set_rate(max(FLOOR_RATE, self._rate * max(1 - share, DEEPEST_CUT)))
        elif elapsed >= (START_INTERVAL_S if self._starting else GROWTH_INTERVAL_S):
            # a rate that is not used proves nothing
            if self._sent >= elapsed * self._blocks_per_second / 2:
                self._set_rate(self._rate * (START_GROWTH if self._starting else GROWTH))
            self._grown_at, self._sent = now, 0

    def lost(self, client: str, blocks: int, clients: int) -> None:
        """A client, one of ``clients``, asks again for blocks that it should have got."""
        self._losses.lost(client, blocks, clients)

    def delay(self, now: float) -> float:
        """Seconds until it is worth sending again."""
        self._refill(now)
        return max(0.0, (self._worth_waking - self._tokens) / self._blocks_per_second)

    def _refill(self, now: float) -> None:
        gained = (now - self._last) * self._blocks_per_second
        self._tokens = min(self._bucket, self._tokens + gained)
        self._last = now
