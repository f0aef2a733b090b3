"""The client's loop between joining and leaving: hear blocks, keep them, ask for what lacks.

One thread receives and asks; others expand and write. What one of those meets ends the loop.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from imaging.frisbee.assembly import BufferPool, ChunkBuffer
from imaging.frisbee.download import Download, Pace
from imaging.frisbee.errors import FrisbeeError, ProtocolError
from imaging.frisbee.packets import (
    BLOCK_PACKET_SIZE,
    Block,
    PartialRequest,
    Request,
    decode,
    encode,
    pack_address,
)
from imaging.frisbee.sockets import SessionSocket
from imaging.frisbee.trains import BlockReader, BlockRun, Train
from imaging.frisbee.workers import ChunkWorkers

WAIT_LIMIT_S = 0.02
CHECK_INTERVAL_S = 0.2  # between two looks at the stall limit


@dataclass(frozen=True, slots=True)
class ClientOptions:
    """Times in seconds; ``buffers`` counts chunks of 1 MiB."""

    raw: bool = False  # -N: the image file itself is wanted, not the disk in it
    only_server: bytes | None = None  # -S, 4 bytes
    start_delay_s: float = 0.0
    ascending: bool = False
    buffers: int = 64
    workers: int = 2  # threads that expand and write
    keepalive_s: float = 0.0  # -K; 0: never
    join_timeout_s: float = 60.0
    stall_timeout_s: float = 60.0
    pace: Pace = field(default_factory=Pace)


class Reception:
    """Receives one image."""

    def __init__(
        self,
        link: SessionSocket,
        options: ClientOptions,
        blocks: int,
        workers: ChunkWorkers,
        say: Callable[[str], None],
    ) -> None:
        """``blocks`` in the image; complete chunks are given to ``workers``."""
        self._link = link
        self._options = options
        self._workers = workers
        self._say = say
        self._source = pack_address(link.address.own)
        self._pool = BufferPool()
        self._buffers: dict[int, ChunkBuffer] = {}
        self._released: list[ChunkBuffer] = []  # appended to by the workers
        self._check_at = 0.0
        self._heard_at = time.monotonic()  # from others
        self.download = Download(
            blocks,
            time.monotonic(),
            buffers=options.buffers,
            pace=options.pace,
            ascending=options.ascending,
        )
        self._reader = BlockReader(link.address.port, self.download.chunks, options.only_server)

    def run(self) -> None:
        """Receive until every chunk is complete.

        Raises FrisbeeError: the workers', the network's, or that nothing came for too long.
        """
        download, link = self.download, self._link
        while download.left:
            now = time.monotonic()
            while self._released:
                self._pool.give_back(self._released.pop())
                download.release(now)
            if self._workers.error is not None:
                raise self._workers.error
            if now >= self._check_at:
                self._check(now)
            for request in download.requests(now):
                link.send(encode(request, self._source))
            for train in link.receive(min(download.delay(now), WAIT_LIMIT_S)):
                self._take(train, time.monotonic())

    def _check(self, now: float) -> None:
        """What needs a look now and then only."""
        self._check_at = now + CHECK_INTERVAL_S
        if 0 < self._options.keepalive_s < now - self._heard_at:
            self._heard_at = now
            self._link.renew_membership()
        limit = self._options.stall_timeout_s
        # who waits for his own disk does not wait for the server
        if not self.download.is_writing and now - self.download.useful_at > limit:
            missing = f"{self.download.left} of {self.download.chunks} chunks are missing"
            raise FrisbeeError(f"the server has sent nothing new for {limit:g} s: {missing}")

    def _take(self, train: Train, now: float) -> None:
        """Take what has come: nearly always it is one run of blocks."""
        if train.sender != self._source:
            self._heard_at = now
        run = self._reader.read(train.data, train.sender, train.port)
        if run is not None:
            self._take_run(run, now)
            return
        for packet in train.packets():
            run = self._reader.read(packet, train.sender, train.port)
            if run is not None:
                self._take_run(run, now)
            else:
                self._take_other(packet, train, now)

    def _take_run(self, run: BlockRun, now: float) -> None:
        download, chunk = self.download, run.chunk
        if not download.take(chunk, run.bitmap, now):
            return
        buffer = self._buffers.get(chunk)
        if buffer is None:
            buffer = self._buffers[chunk] = self._pool.take()
        buffer.put(run)
        if download.is_complete(chunk):
            del self._buffers[chunk]
            blocks = buffer.blocks[: download.blocks_of(chunk)]
            self._workers.put(chunk, blocks, partial(self._released.append, buffer))

    def _take_other(self, packet: memoryview, train: Train, now: float) -> None:
        """Other clients' requests are worth hearing; blocks in odd packets are blocks too."""
        if train.sender == self._source:
            return
        port = self._link.address.port
        try:
            found = decode(packet, train.sender, train.port, port, self.download.chunks)
        except ProtocolError as error:
            self._say(error.message)
            return
        if isinstance(found, Request | PartialRequest):
            self.download.overheard(found, now)
        elif isinstance(found, Block) and self._options.only_server in (None, train.sender):
            self._take_run(BlockRun(found.chunk, found.block, 1, packet[:BLOCK_PACKET_SIZE]), now)
