"""The frisbee server: one image to one group, block by block as clients ask for them."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from imaging.frisbee.errors import ProtocolError
from imaging.frisbee.image_packets import CHUNK_BYTES, ImagePackets
from imaging.frisbee.pacing import Pacer
from imaging.frisbee.packets import (
    ALL_BLOCKS,
    Join,
    Join2,
    Join2Reply,
    JoinReply,
    Leave,
    Leave2,
    Packet,
    PartialRequest,
    Request,
    decode,
    encode,
    pack_address,
)
from imaging.frisbee.sockets import BLOCKS_PER_CALL, SessionSocket
from imaging.frisbee.statistics import client_lines
from imaging.frisbee.work_queue import WorkQueue

WAIT_LIMIT_S = 0.05  # a signal is noticed at least so often
GRACE_S = 2.0  # between the last client's leaving and the end, with -T < 0
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """``idle_s`` is the tools' -T, ``bandwidth`` bits/s on the wire (None: no limit)."""

    image: str
    idle_s: int = 1800
    bandwidth: float | None = 71_808_000.0
    keepalive_s: int = 0
    trace_requests: bool = False


@dataclass(slots=True)
class ServerCounters:
    """What happened, for the statistics."""

    messages_in: int = 0
    messages_out: int = 0
    joins: int = 0
    leaves: int = 0
    requests: int = 0
    partial_requests: int = 0
    partial_blocks: int = 0
    re_requests: int = 0
    blocks_sent: int = 0
    largest_queue: int = 0


@dataclass(slots=True)
class Server:
    """One session of a server."""

    options: ServerOptions
    link: SessionSocket
    packets: ImagePackets
    size: int
    say: Say
    stopping: Callable[[], bool] = lambda: False
    counters: ServerCounters = field(default_factory=ServerCounters)
    queue: WorkQueue = field(default_factory=WorkQueue)
    _clients: dict[int, str] = field(default_factory=dict)
    _had_client: bool = False

    def serve(self) -> str:
        """Serve until it is over; returns why, in the C server's words.

        Raises FrisbeeError when the file or the network fails.
        """
        now = time.monotonic()
        pacer = Pacer(self.options.bandwidth, now)
        busy_at = heard_at = now
        alone_since: float | None = None
        while not self.stopping():
            now = time.monotonic()
            if self._take_all(pacer, now):
                heard_at = now
            if self.queue:
                busy_at = now
                self._send(pacer, now)
                continue
            alone_since = self._alone_since(alone_since, now)
            if alone_since is not None and now - alone_since >= GRACE_S:
                return "Last client left!"
            if 0 < self.options.idle_s < now - busy_at:
                return f"No requests for {self.options.idle_s} seconds!"
            if 0 < self.options.keepalive_s < now - heard_at:
                heard_at = now
                self.link.renew_membership()
            self.link.wait(WAIT_LIMIT_S)
        return "Interrupted!"

    def _alone_since(self, before: float | None, now: float) -> float | None:
        """When the last client left, for -T < 0; a client that joins meanwhile is served."""
        if self.options.idle_s >= 0 or not self._had_client or self._clients:
            return None
        return now if before is None else before

    def _send(self, pacer: Pacer, now: float) -> None:
        allowed = pacer.allowance(now)
        if allowed < 1:
            self.link.wait(min(pacer.delay(now), WAIT_LIMIT_S))
            return
        run = self.queue.take(min(allowed, BLOCKS_PER_CALL))
        if run is None:
            return
        self.link.send_blocks(self.packets.packets(run))
        pacer.sent(run.count, now)
        self.counters.blocks_sent += run.count
        self.counters.messages_out += run.count

    def _take_all(self, pacer: Pacer, now: float) -> bool:
        """Take what has come; whether it was anything."""
        heard = False
        for datagram, sender, port in self.link.receive():
            heard = True
            self.counters.messages_in += 1
            try:
                packet = decode(datagram, sender, port, self.link.address.port, self.packets.chunks)
            except ProtocolError as error:
                self.say(error.message)
                continue
            self._take(packet, ".".join(map(str, sender)), pacer, now)
        return heard

    def _take(self, packet: Packet, host: str, pacer: Pacer, now: float) -> None:
        match packet:
            case Join() | Join2():
                self._join(packet, host)
            case Request(chunk, first, count):
                if self.options.trace_requests:
                    self.say(f"Client {host} requests chunk:{chunk} block:{first} size:{count}")
                self.counters.requests += 1
                self._enqueue(chunk, packet.bitmap)
            case PartialRequest(chunk, retries, bitmap):
                if bitmap == 0:
                    self.say("WARNING: ClientPartialRequest with zero count")
                    return
                blocks = bitmap.bit_count()
                if self.options.trace_requests:
                    self.say(f"Client {host} requests {blocks} blocks of chunk:{chunk}")
                self.counters.partial_requests += 1
                self.counters.partial_blocks += blocks
                if retries > 0:
                    self.counters.re_requests += 1
                    pacer.lost(now)
                self._enqueue(chunk, bitmap)
            case Leave(client_id, elapsed):
                self._leave(client_id, host, elapsed)
            case Leave2(client_id, elapsed, statistics):
                self._leave(client_id, host, elapsed)
                for line in client_lines(client_id, statistics):
                    self.say(line)
            case _:
                pass  # blocks and replies are for clients

    def _enqueue(self, chunk: int, bitmap: int) -> None:
        """Only blocks that exist are ever sent."""
        existing = ALL_BLOCKS >> (ALL_BLOCKS.bit_length() - self.packets.blocks_of(chunk))
        if bitmap & existing:
            self.queue.add(chunk, bitmap & existing)
            self.counters.largest_queue = max(self.counters.largest_queue, self.queue.chunks)

    def _join(self, packet: Join | Join2, host: str) -> None:
        if isinstance(packet, Join) and self.size % CHUNK_BYTES:
            self.say(f"{host} requested JOINv1 for non-image file, ignoring...")
            return
        self.counters.joins += 1
        known = packet.client_id in self._clients
        self._had_client = True
        self._clients[packet.client_id] = host
        reply: Packet
        if isinstance(packet, Join):
            version, reply = 1, JoinReply(self.packets.blocks)
        else:
            version, reply = 2, Join2Reply(packet.client_id, self.size)
        source = pack_address(self.link.address.own)
        self.link.send(encode(reply, source), host)
        self.counters.messages_out += 1
        if not known:
            self.say(
                f"{host} (id {packet.client_id}, image {self.options.image}) joins (v{version}) "
                f"at {time.strftime('%H:%M:%S')}!  {len(self._clients)} active clients."
            )

    def _leave(self, client_id: int, host: str, elapsed: int) -> None:
        if self._clients.pop(client_id, None) is None:
            self.say(f"{host} (id {client_id}): spurious leave ignored")
            return
        self.counters.leaves += 1
        self.say(
            f"{host} (id {client_id}, image {self.options.image}): leaves "
            f"at {time.strftime('%H:%M:%S')}, ran for {elapsed} seconds.  "
            f"{len(self._clients)} active clients"
        )

    def statistics(self, seconds: float) -> list[str]:
        """The lines that the C server prints in the end, as far as they apply."""
        counters, times = self.counters, os.times()
        requests = counters.requests + counters.partial_requests
        return [
            "Params:",
            "  chunk/block size    1024/1024",
            f"  file:size           {self.options.image}:{self.size}",
            "Stats:",
            f"  service time:      {seconds:.3f} sec",
            f"  user/sys CPU time: {times.user:.3f}/{times.system:.3f}",
            f"  msgs in/out:       {counters.messages_in}/{counters.messages_out}",
            f"  joins/leaves:      {counters.joins}/{counters.leaves}",
            f"  requests:          {requests} ({self.queue.merged} merged in queue)",
            f"  partial req/blks:  {counters.partial_requests}/{counters.partial_blocks}",
            f"  client re-req:     {counters.re_requests}",
            f"  1k blocks sent:    {counters.blocks_sent}",
            f"  file reads:        {self.packets.reads}",
            f"  max workq size:    {counters.largest_queue} elts",
        ]
