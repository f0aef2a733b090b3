"""The frisbee client: hears the image, asks for what it lacks, expands it onto a disk.

One thread receives and asks; another inflates and writes. What the second one meets ends the
first one at once.
"""

import os
import queue
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from imaging.frisbee.download import CHUNK_BYTES, Download, Pace
from imaging.frisbee.errors import FrisbeeError, ProtocolError
from imaging.frisbee.packets import (
    BLOCK,
    BLOCK_HEADER,
    BLOCK_PACKET_SIZE,
    BLOCKS_PER_CHUNK,
    ClientStatistics,
    Join,
    Join2,
    Join2Reply,
    JoinReply,
    Leave,
    Leave2,
    PartialRequest,
    Request,
    decode,
    encode,
    pack_address,
)
from imaging.frisbee.sockets import SessionSocket

JOIN_INTERVAL_S = 0.5
WAIT_LIMIT_S = 0.02
CHECK_INTERVAL_S = 0.2  # between two looks at the stall limit
BLOCKS_LIMIT = 2**31 - 1  # of an image: what the reply to a JOIN can hold

_BLOCK_PAYLOAD = BLOCK_PACKET_SIZE - 16


class ChunkSink(Protocol):
    """Where complete chunks go, in the order in which they are completed."""

    @property
    def effective_bytes(self) -> int:
        """Bytes of the output covered so far, skipped ones included."""

    @property
    def actual_bytes(self) -> int:
        """Bytes really written so far."""

    @property
    def writes(self) -> int:
        """How many writes it took so far."""

    def take(self, chunk: int, data: bytearray) -> None:
        """Write one chunk of the image. Raises FrisbeeError."""

    def finish(self) -> None:
        """All chunks have been taken. Raises FrisbeeError."""


@dataclass(frozen=True, slots=True)
class ClientOptions:
    """Times in seconds; ``buffers`` counts chunks of 1 MiB."""

    raw: bool = False  # -N: the image file itself is wanted, not the disk in it
    only_server: bytes | None = None  # -S, 4 bytes
    start_delay_s: float = 0.0
    ascending: bool = False
    buffers: int = 64
    keepalive_s: int = 0
    join_timeout_s: float = 60.0
    stall_timeout_s: float = 60.0
    pace: Pace = field(default_factory=Pace)


@dataclass(frozen=True, slots=True)
class ImageSize:
    """What the server has said of its image; bytes are exact only after a JOIN2."""

    blocks: int
    size: int


class _Writer(threading.Thread):
    """Takes complete chunks to the sink; keeps the first error."""

    def __init__(self, sink: ChunkSink) -> None:
        super().__init__(name="frisbee-writer", daemon=True)
        self._sink = sink
        self._chunks: queue.SimpleQueue[tuple[int, bytearray] | None] = queue.SimpleQueue()
        self.written = 0
        self.waits = 0
        self.error: BaseException | None = None

    def put(self, chunk: int, data: bytearray) -> None:
        """Hand a chunk over; how many can wait is bounded by the download's buffers."""
        self._chunks.put((chunk, data))

    def end(self) -> None:
        """No chunk will come any more."""
        self._chunks.put(None)

    def run(self) -> None:
        """The thread's life. Any error, foreseen or not, is the main thread's to raise."""
        try:
            while True:
                if self._chunks.empty():
                    self.waits += 1
                item = self._chunks.get()
                if item is None:
                    self._sink.finish()
                    return
                self._sink.take(*item)
                self.written += 1
        except BaseException as error:  # noqa: BLE001 - raised again in the main thread
            self.error = error


class Client:
    """One session of a client."""

    def __init__(
        self, link: SessionSocket, options: ClientOptions, say: Callable[[str], None]
    ) -> None:
        """``say`` is given whole lines for the console."""
        self._link = link
        self._options = options
        self._say = say
        self._source = pack_address(link.address.own)
        self.client_id = random.getrandbits(31) or 1
        self.joins = 0
        self.started = time.monotonic()
        self.joined = False

    def join(self) -> ImageSize:
        """Ask until a server answers.

        Raises FrisbeeError when none does within the limit, or when its answer makes no sense.
        """
        options = self._options
        if options.start_delay_s:
            time.sleep(random.uniform(0, options.start_delay_s))  # noqa: S311
        deadline = time.monotonic() + options.join_timeout_s
        request: Join | Join2 = Join2(self.client_id) if options.raw else Join(self.client_id)
        datagram = encode(request, self._source)
        while time.monotonic() < deadline:
            self._link.send(datagram)
            self.joins += 1
            answer = self._wait_for_reply(min(time.monotonic() + JOIN_INTERVAL_S, deadline))
            if answer is not None:
                self.joined = True
                return self._check_size(answer)
        address = self._link.address
        raise FrisbeeError(
            f"no server answered on {address.group}:{address.port} "
            f"within {options.join_timeout_s:g} s"
        )

    def _wait_for_reply(self, deadline: float) -> JoinReply | Join2Reply | None:
        while (now := time.monotonic()) < deadline:
            self._link.wait(deadline - now)
            for datagram, sender, port in self._link.receive():
                if len(datagram) == BLOCK_PACKET_SIZE:
                    continue
                try:
                    packet = decode(datagram, sender, port, self._link.address.port, None)
                except ProtocolError as error:
                    self._say(error.message)
                    continue
                wanted = Join2Reply if self._options.raw else JoinReply
                if isinstance(packet, wanted) and self._is_for_us(packet):
                    return packet
        return None

    def _is_for_us(self, packet: JoinReply | Join2Reply) -> bool:
        return isinstance(packet, JoinReply) or packet.client_id == self.client_id

    def _check_size(self, answer: JoinReply | Join2Reply) -> ImageSize:
        if isinstance(answer, Join2Reply):
            if (answer.chunk_size, answer.block_size) != (1024, 1024):
                raise ProtocolError(
                    f"the server's chunks are {answer.chunk_size} blocks of {answer.block_size} "
                    "bytes, not 1024 of 1024"
                )
            size = ImageSize(-(-answer.size // 1024), answer.size)
        else:
            size = ImageSize(answer.blocks, answer.blocks * 1024)
            if answer.blocks % BLOCKS_PER_CHUNK:
                raise ProtocolError(f"{answer.blocks} blocks are no whole number of chunks")
        if size.blocks <= 0:
            raise FrisbeeError("the server's image is empty: nothing was written")
        if size.blocks > BLOCKS_LIMIT:
            raise ProtocolError(f"the server's image of {size.blocks} blocks cannot be")
        return size

    def transfer(self, size: ImageSize, sink: ChunkSink) -> ClientStatistics:
        """Receive the whole image into the sink; returns what there is to tell.

        Raises FrisbeeError: the sink's, the network's, or that nothing came for too long.
        """
        options = self._options
        download = Download(
            size.blocks,
            time.monotonic(),
            buffers=options.buffers,
            pace=options.pace,
            ascending=options.ascending,
        )
        writer = _Writer(sink)
        writer.start()
        released = 0
        check_at = heard_at = 0.0
        while download.left:
            now = time.monotonic()
            while released < writer.written:
                download.release()
                released += 1
            if writer.error is not None:
                raise writer.error
            if now >= check_at:
                check_at = now + CHECK_INTERVAL_S
                self._check_stall(download, now)
                if 0 < options.keepalive_s < now - heard_at:
                    heard_at = now
                    self._link.renew_membership()
            for request in download.requests(now):
                self._link.send(encode(request, self._source))
            self._link.wait(min(download.delay(now), WAIT_LIMIT_S))
            self._receive(download, writer)
        writer.end()
        writer.join()
        if writer.error is not None:
            raise writer.error
        return self._statistics(download, sink, writer)

    def _check_stall(self, download: Download, now: float) -> None:
        limit = self._options.stall_timeout_s
        if now - download.useful_at > limit:
            missing = f"{download.left} of {download.chunks} chunks are missing"
            raise FrisbeeError(f"the server has sent nothing new for {limit:g} s: {missing}")

    def _receive(self, download: Download, writer: _Writer) -> None:
        """Take what has come. Blocks are by far the most, and take the short way."""
        now = time.monotonic()
        port, chunks, only = self._link.address.port, download.chunks, self._options.only_server
        for datagram, sender, sender_port in self._link.receive():
            if len(datagram) == BLOCK_PACKET_SIZE:
                kind, subtype, length, source, chunk, block = BLOCK_HEADER.unpack_from(datagram)
                if (
                    subtype == BLOCK
                    and length == _BLOCK_PAYLOAD
                    and (kind == 1 or kind == 2)
                    and source == sender
                    and sender_port == port
                    and 0 <= chunk < chunks
                    and 0 <= block < BLOCKS_PER_CHUNK
                    and (only is None or source == only)
                ):
                    data = download.block(chunk, block, datagram[24:], now)
                    if data is not None:
                        writer.put(chunk, data)
                    continue
            self._take_other(datagram, sender, sender_port, download, now)

    def _take_other(
        self, datagram: memoryview, sender: bytes, port: int, download: Download, now: float
    ) -> None:
        """Other clients' requests are worth hearing; all else is not for us."""
        if sender == self._source:
            return
        try:
            packet = decode(datagram, sender, port, self._link.address.port, download.chunks)
        except ProtocolError as error:
            self._say(error.message)
            return
        if isinstance(packet, Request | PartialRequest):
            download.overheard(packet, now)

    def leave(self, statistics: ClientStatistics | None = None) -> None:
        """Tell the server that we are gone; nobody answers."""
        elapsed = int(time.monotonic() - self.started)
        packet: Leave | Leave2 = Leave(self.client_id, elapsed)
        if statistics is not None:
            packet = Leave2(self.client_id, elapsed, statistics)
        self._link.send(encode(packet, self._source))

    def _statistics(self, download: Download, sink: ChunkSink, writer: _Writer) -> ClientStatistics:
        counters, options = download.counters, self._options
        return ClientStatistics(
            runtime_ms=round((time.monotonic() - self.started) * 1000),
            start_delay_option=int(options.start_delay_s),
            real_bytes=sink.actual_bytes,
            effective_bytes=sink.effective_bytes,
            chunk_buffers=options.buffers,
            read_ahead=options.pace.read_ahead,
            in_progress=options.pace.in_progress,
            receive_timeout_us=round(WAIT_LIMIT_S * 1e6),
            redo_delay_us=round(options.pace.redo_s * 1e6),
            randomize=int(not options.ascending),
            no_buffer=counters.no_buffer,
            duplicates_done=counters.duplicates_done,
            duplicates_in_progress=counters.duplicates_in_progress,
            partial_requests=counters.partial_requests,
            receive_idles=counters.idles,
            joins=self.joins,
            requests=counters.requests,
            writer_idles=writer.waits,
            lost_blocks=counters.lost_blocks,
            re_requests=counters.re_requests,
        )


class RawSink:
    """Stores the image file itself (-N), exactly as long as the server's."""

    def __init__(self, fd: int, size: int) -> None:
        """``size`` of the image in bytes."""
        self._fd = fd
        self._size = size
        self.effective_bytes = self.actual_bytes = self.writes = 0

    def take(self, chunk: int, data: bytearray) -> None:
        """Write one chunk at its place. Raises FrisbeeError."""
        offset = chunk * CHUNK_BYTES
        rest = memoryview(data)[: self._size - offset]
        while rest:
            try:
                count = os.pwrite(self._fd, rest, offset)
            except OSError as error:
                raise FrisbeeError(f"write error: {error.strerror}") from error
            rest, offset = rest[count:], offset + count
            self.writes += 1
            self.actual_bytes += count
            self.effective_bytes += count

    def finish(self) -> None:
        """See that all is on the disk."""
        os.fsync(self._fd)
