"""Server and clients on a simulated network: virtual time, seeded loss, doubles, delays.

The participants are the real ones, as far as they are pure: ServerSession and Download, and each
packet between them is really written and read. Blocks come from a real file, by ImagePackets.
"""

import heapq
import os
import queue
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from imaging.frisbee.assembly import BufferPool, ChunkBuffer
from imaging.frisbee.client import JOIN_GROWTH, JOIN_INTERVAL_LIMIT_S, JOIN_INTERVAL_S
from imaging.frisbee.download import Download, Pace
from imaging.frisbee.image_packets import ImagePackets
from imaging.frisbee.packets import (
    BLOCK_PACKET_SIZE,
    Join,
    JoinReply,
    Leave,
    Packet,
    PartialRequest,
    Request,
    decode,
    encode,
    pack_address,
)
from imaging.frisbee.server_session import ServerOptions, ServerSession
from imaging.frisbee.trains import BlockReader, BlockRun

PORT = 5000
SERVER = "10.0.0.254"
BLOCKS_PER_CALL = 62
TICK_S = 0.0005  # packets that come within this time are taken in one go
WAIT_LIMIT_S = 0.02


@dataclass(frozen=True, slots=True)
class Weather:
    """What the network does to a packet, on the way to each receiver; times in seconds."""

    loss: float = 0.0
    double: float = 0.0
    late: float = 0.0  # this share of the packets is overtaken by others
    delay_s: float = 0.0001
    late_s: float = 0.003


@dataclass(order=True, slots=True)
class _Event:
    at: float
    number: int
    action: Callable[[], None] = field(compare=False)


class SimulatedNetwork:
    """A multicast group and its clock."""

    def __init__(self, weather: Weather, seed: int) -> None:
        self.now = 0.0
        self._weather = weather
        self._random = random.Random(seed)
        self._events: list[_Event] = []
        self._numbers = 0
        self.members: dict[str, Callable[[bytes, bytes], None]] = {}
        self.blocks_lost = 0

    def at(self, when: float, action: Callable[[], None]) -> None:
        """Do something at a time, not before now."""
        self._numbers += 1
        heapq.heappush(self._events, _Event(max(when, self.now), self._numbers, action))

    def run(self, until: Callable[[], bool], limit_s: float) -> bool:
        """Go on until it is so; False when the virtual time reaches the limit before."""
        while self._events and not until():
            event = heapq.heappop(self._events)
            self.now = event.at
            if self.now > limit_s:
                return False
            event.action()
        return until()

    def send(self, packet: Packet, source: str, to: str | None = None) -> None:
        """A datagram to the group, or to one host; nobody hears himself."""
        self.send_all([encode(packet, pack_address(source))], source, to)

    def send_all(self, datagrams: Sequence[bytes], source: str, to: str | None = None) -> None:
        """Several at once; each has its own fate on the way to each receiver."""
        sender = pack_address(source)
        for host in [to] if to else [host for host in self.members if host != source]:
            in_time: list[bytes] = []
            for data in datagrams:
                for _ in range(1 + (self._random.random() < self._weather.double)):
                    if self._random.random() < self._weather.loss:
                        self.blocks_lost += len(data) == BLOCK_PACKET_SIZE
                    elif self._random.random() < self._weather.late:
                        self._post([data], host, sender, self._random.random())
                    else:
                        in_time.append(data)
            if in_time:
                self._post(in_time, host, sender, 0.0)

    def _post(self, datagrams: list[bytes], host: str, sender: bytes, lateness: float) -> None:
        def deliver() -> None:
            for data in datagrams:
                self._deliver(host, data, sender)

        self.at(self.now + self._weather.delay_s + lateness * self._weather.late_s, deliver)

    def _deliver(self, host: str, data: bytes, sender: bytes) -> None:
        member = self.members.get(host)
        if member is not None:
            member(data, sender)


class SimulatedServer:
    """The server's loop, on virtual time."""

    def __init__(
        self, network: SimulatedNetwork, image: bytes, bandwidth: float | None = None
    ) -> None:
        self._network = network
        self._fd = os.memfd_create("image")
        os.write(self._fd, image)
        self._packets = ImagePackets(self._fd, len(image), pack_address(SERVER))
        self.lines: list[str] = []
        options = ServerOptions("image.ndz", idle_s=-1, bandwidth=bandwidth)
        self.session = ServerSession(options, len(image), self.lines.append, network.now)
        self._waking = False
        network.members[SERVER] = self._take

    def close(self) -> None:
        """Close the image's file."""
        os.close(self._fd)

    def _take(self, data: bytes, sender: bytes) -> None:
        packet = decode(data, sender, PORT, PORT, self.session.chunks)
        host = ".".join(map(str, sender))
        reply = self.session.take(packet, host)
        if reply is not None:
            self._network.send(reply, SERVER, host)
        if not self._waking:
            self._wake()

    def _wake(self) -> None:
        now = self._network.now
        for run in self.session.next_runs(now, BLOCKS_PER_CALL):
            packets = self._packets.packets(run)
            starts = range(0, len(packets), BLOCK_PACKET_SIZE)
            cut = [bytes(packets[start : start + BLOCK_PACKET_SIZE]) for start in starts]
            self._network.send_all(cut, SERVER)
        self._waking = bool(self.session.queue)
        if self._waking:
            self._network.at(now + max(self.session.delay(now), 0.00005), self._wake)


Keep = Callable[[int, Sequence[memoryview], Callable[[], None]], None]
"""Takes a chunk's blocks, and calls, in any thread, when it needs them no more."""

FREEING_LIMIT_S = 30.0  # of real time


class SimulatedClient:
    """A client's loop, on virtual time, with a disk that needs a while for each chunk."""

    def __init__(
        self,
        network: SimulatedNetwork,
        address: str,
        *,
        start_at: float = 0.0,
        buffers: int = 64,
        write_s: float = 0.002,
        pace: Pace | None = None,
        seed: int = 0,
        keep: Keep | None = None,
    ) -> None:
        self._network = network
        self._address = address
        self._keep = keep or self._keep_in_memory
        self._pool = BufferPool()
        self._received: dict[int, ChunkBuffer] = {}
        self._freed: queue.SimpleQueue[ChunkBuffer] = queue.SimpleQueue()
        self._reader = BlockReader(PORT, 0)
        self._buffers, self._write_s, self._pace, self._seed = buffers, write_s, pace, seed
        self._random = random.Random(seed)
        self._join_interval = JOIN_INTERVAL_S
        self._wake_at = float("inf")
        self._disk_free_at = 0.0
        self.download: Download | None = None
        self.chunks: dict[int, bytes] = {}
        self.finished_at: float | None = None
        network.at(start_at, self._start)

    @property
    def done(self) -> bool:
        """Whether the client has left with everything."""
        return self.finished_at is not None

    def content(self) -> bytes:
        """What it has got."""
        return b"".join(self.chunks[chunk] for chunk in sorted(self.chunks))

    def _start(self) -> None:
        self._network.members[self._address] = self._take
        self._join()

    def _join(self) -> None:
        if self.download is None:
            self._network.send(Join(self._seed + 1), self._address)
            self._network.at(self._network.now + self._join_interval, self._join)
            self._join_interval = min(self._join_interval * JOIN_GROWTH, JOIN_INTERVAL_LIMIT_S)

    def _take(self, data: bytes, sender: bytes) -> None:
        now = self._network.now
        if self.download is not None:
            run = self._reader.read(memoryview(data), sender, PORT)
            if run is not None:
                self._take_run(run, self.download, now)
                self._wake_by(now + TICK_S)
                return
        chunks = self.download.chunks if self.download else None
        packet = decode(data, sender, PORT, PORT, chunks)
        if self.download is None:
            if isinstance(packet, JoinReply):
                self.download = Download(
                    packet.blocks, now, buffers=self._buffers, pace=self._pace, seed=self._seed
                )
                self._reader = BlockReader(PORT, self.download.chunks)
                self._wake_by(now)
            return
        if isinstance(packet, Request | PartialRequest):
            self.download.overheard(packet, now)
        self._wake_by(now + TICK_S)

    def _take_run(self, run: BlockRun, download: Download, now: float) -> None:
        if not download.take(run.chunk, run.bitmap, now):
            return
        buffer = self._received.get(run.chunk)
        if buffer is None:
            buffer = self._received[run.chunk] = self._pool.take()
        buffer.put(run)
        if download.is_complete(run.chunk):
            del self._received[run.chunk]
            blocks = buffer.blocks[: download.blocks_of(run.chunk)]
            self._keep(run.chunk, blocks, partial(self._freed.put, buffer))
            self._write()

    def _keep_in_memory(
        self, chunk: int, blocks: Sequence[memoryview], done: Callable[[], None]
    ) -> None:
        assert chunk not in self.chunks, "a chunk is given once"
        self.chunks[chunk] = b"".join(blocks)
        done()

    def _write(self) -> None:
        assert self.download is not None
        took = self._write_s * self._random.uniform(0.5, 1.5)
        self._disk_free_at = max(self._disk_free_at, self._network.now) + took
        download, at = self.download, self._disk_free_at

        def release() -> None:
            # virtual time waits for the real threads, which use the memory until they say so
            self._pool.give_back(self._freed.get(timeout=FREEING_LIMIT_S))
            download.release(at)

        self._network.at(at, release)
        if not self.download.left:
            self.finished_at = self._network.now
            self._network.send(Leave(self._seed + 1, 0), self._address)
            del self._network.members[self._address]

    def _wake_by(self, when: float) -> None:
        if when < self._wake_at:
            self._wake_at = when
            self._network.at(when, self._wake)

    def _wake(self) -> None:
        now = self._network.now
        if now < self._wake_at or self.done:
            return
        assert self.download is not None
        self._wake_at = float("inf")
        for request in self.download.requests(now):
            self._network.send(request, self._address)
        self._wake_by(now + max(TICK_S, min(self.download.delay(now), WAIT_LIMIT_S)))
