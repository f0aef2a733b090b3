"""What the server knows and decides: packets and time in, replies and runs of blocks out. Pure."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from imaging.frisbee.pacing import Pacer
from imaging.frisbee.packets import (
    BLOCK_SIZE,
    BLOCKS_PER_CHUNK,
    Join,
    Join2,
    Join2Reply,
    JoinReply,
    Leave,
    Leave2,
    Packet,
    PartialRequest,
    Request,
    blocks_of_chunk,
)
from imaging.frisbee.statistics import client_lines
from imaging.frisbee.work_queue import Run, WorkQueue

CLIENT_LIMIT = 100_000  # at a time: anybody can make up clients, and each takes memory
GRACE_S = 2.0  # between the last client's leaving and the end, with -T < 0
CHUNK_BYTES = BLOCK_SIZE * BLOCKS_PER_CHUNK
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """What the server is told.

    ``idle_s`` is the tools' -T (0: never; less: with the last client), ``keepalive_s`` their -K (0:
    never), ``bandwidth`` in bits/s on the wire (None: no limit).
    """

    image: str
    idle_s: int = 1800
    bandwidth: float | None = 71_808_000.0
    keepalive_s: float = 0.0
    trace_requests: bool = False


@dataclass(slots=True)
class ServerCounters:
    """What happened, for the statistics."""

    joins: int = 0
    leaves: int = 0
    requests: int = 0
    partial_requests: int = 0
    partial_blocks: int = 0
    re_requests: int = 0
    blocks_sent: int = 0
    largest_queue: int = 0


class ServerSession:
    """One session of a server; ``now`` is always the same monotonic clock's, in seconds."""

    def __init__(self, options: ServerOptions, size: int, say: Say, now: float) -> None:
        """``size`` of the image in bytes; ``say`` is given the lines that the C server logs."""
        self.size = size
        self.blocks = -(-size // BLOCK_SIZE)
        self.chunks = -(-self.blocks // BLOCKS_PER_CHUNK)
        self.counters = ServerCounters()
        self.queue = WorkQueue()
        self._options = options
        self._say = say
        self._pacer = Pacer(options.bandwidth, now)
        self._clients: dict[int, str] = {}  # hosts by id; and the other way about:
        self._ids: dict[str, int] = {}
        self._had_client = False
        self._busy_at = now
        self._alone_since: float | None = None

    def take(self, packet: Packet, host: str) -> Packet | None:
        """Take a packet of a client; gives the reply to it, if any."""
        match packet:
            case Join() | Join2():
                return self._join(packet, host)
            case Request(chunk, first, count):
                if self._options.trace_requests:
                    self._say(f"Client {host} requests chunk:{chunk} block:{first} size:{count}")
                self.counters.requests += 1
                self._enqueue(chunk, packet.bitmap)
            case PartialRequest():
                self._take_partial(packet, host)
            case Leave(client_id, elapsed):
                self._leave(client_id, host, elapsed)
            case Leave2(client_id, elapsed, statistics):
                self._leave(client_id, host, elapsed)
                for line in client_lines(client_id, statistics):
                    self._say(line)
            case _:
                pass  # blocks and replies are for clients
        return None

    def next_runs(self, now: float, limit: int) -> list[Run]:
        """What may be sent now: runs of one chunk, at most ``limit`` blocks; they count as sent."""
        if not self.queue:
            return []
        self._busy_at = now
        runs = self.queue.take(min(self._pacer.allowance(now), limit))
        sent = sum(run.count for run in runs)
        if sent:
            self._pacer.sent(sent, now)
            self.counters.blocks_sent += sent
        return runs

    def delay(self, now: float) -> float:
        """Seconds until something may be sent; infinite when there is nothing to send."""
        return self._pacer.delay(now) if self.queue else math.inf

    def ending(self, now: float) -> str | None:
        """Why the session is over now, in the C server's words; None when it is not."""
        if self.queue:
            return None
        idle_s = self._options.idle_s
        if idle_s >= 0 or not self._had_client or self._clients:
            self._alone_since = None
        elif self._alone_since is None:
            self._alone_since = now
        elif now - self._alone_since >= GRACE_S:
            return "Last client left!"
        if 0 < idle_s < now - self._busy_at:
            return f"No requests for {idle_s} seconds!"
        return None

    def _take_partial(self, packet: PartialRequest, host: str) -> None:
        if packet.bitmap == 0:
            self._say("WARNING: ClientPartialRequest with zero count")
            return
        blocks = packet.bitmap.bit_count()
        if self._options.trace_requests:
            self._say(f"Client {host} requests {blocks} blocks of chunk:{packet.chunk}")
        self.counters.partial_requests += 1
        self.counters.partial_blocks += blocks
        if packet.retries > 0:
            self.counters.re_requests += 1
            self._pacer.lost(host, blocks, len(self._clients))
        self._enqueue(packet.chunk, packet.bitmap)

    def _enqueue(self, chunk: int, bitmap: int) -> None:
        """Only blocks that exist are ever sent."""
        existing = (1 << blocks_of_chunk(chunk, self.blocks)) - 1
        if bitmap & existing:
            self.queue.add(chunk, bitmap & existing)
            self.counters.largest_queue = max(self.counters.largest_queue, self.queue.chunks)

    def _join(self, packet: Join | Join2, host: str) -> Packet | None:
        if isinstance(packet, Join) and self.size % CHUNK_BYTES:
            self._say(f"{host} requested JOINv1 for non-image file, ignoring...")
            return None
        known = packet.client_id in self._clients
        if not known and not self._register(packet.client_id, host):
            self._say(f"{host} (id {packet.client_id}): too many clients, ignoring...")
            return None
        if self._clients[packet.client_id] != host:
            self._say(f"{host} reuses active client id")
        self.counters.joins += 1
        self._had_client = True
        version = 1 if isinstance(packet, Join) else 2
        if not known:
            self._say(
                f"{host} (id {packet.client_id}, image {self._options.image}) joins (v{version}) "
                f"at {time.strftime('%H:%M:%S')}!  {len(self._clients)} active clients."
            )
        return JoinReply(self.blocks) if version == 1 else Join2Reply(packet.client_id, self.size)

    def _register(self, client_id: int, host: str) -> bool:
        """Keep a new client, in place of one that died at the same host; False when too many."""
        former = self._ids.get(host)
        if former is not None:
            del self._clients[former]
            self._say(f"{host} rejoins with different cid, ocid={former}")
        elif len(self._clients) >= CLIENT_LIMIT:
            return False
        self._clients[client_id] = host
        self._ids[host] = client_id
        return True

    def _leave(self, client_id: int, host: str, elapsed: int) -> None:
        joined_from = self._clients.pop(client_id, None)
        if joined_from is None:
            self._say(f"{host} (id {client_id}): spurious leave ignored")
            return
        del self._ids[joined_from]
        self.counters.leaves += 1
        self._say(
            f"{host} (id {client_id}, image {self._options.image}): leaves "
            f"at {time.strftime('%H:%M:%S')}, ran for {elapsed} seconds.  "
            f"{len(self._clients)} active clients"
        )
