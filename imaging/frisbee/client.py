"""The frisbee client: joins a session, receives the image into a sink, leaves."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from imaging.frisbee.download import DownloadCounters
from imaging.frisbee.errors import FrisbeeError, ProtocolError
from imaging.frisbee.packets import (
    BLOCK_PACKET_SIZE,
    BLOCKS_PER_CHUNK,
    ClientStatistics,
    Join,
    Join2,
    Join2Reply,
    JoinReply,
    Leave,
    Leave2,
    decode,
    encode,
    pack_address,
)
from imaging.frisbee.reception import WAIT_LIMIT_S, ClientOptions, Reception
from imaging.frisbee.sockets import SessionSocket
from imaging.frisbee.trains import Train
from imaging.frisbee.workers import ChunkSink, ChunkWorkers

JOIN_INTERVAL_S = 0.05  # at first: who joins late because a packet was lost has missed the most
JOIN_INTERVAL_LIMIT_S = 0.5
JOIN_GROWTH = 1.6
BLOCKS_LIMIT = 2**31 - 1  # of an image: what the reply to a JOIN can hold


@dataclass(frozen=True, slots=True)
class ImageSize:
    """What the server has said of its image; bytes are exact only after a JOIN2."""

    blocks: int
    size: int

    @property
    def chunks(self) -> int:
        """How many chunks that makes."""
        return -(-self.blocks // BLOCKS_PER_CHUNK)


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
        interval = JOIN_INTERVAL_S
        while time.monotonic() < deadline:
            self._link.send(datagram)
            self.joins += 1
            answer = self._wait_for_reply(min(time.monotonic() + interval, deadline))
            interval = min(interval * JOIN_GROWTH, JOIN_INTERVAL_LIMIT_S)
            if answer is not None:
                return self._check_size(answer)
        address = self._link.address
        raise FrisbeeError(
            f"no server answered on {address.group}:{address.port} "
            f"within {options.join_timeout_s:g} s"
        )

    def _wait_for_reply(self, deadline: float) -> JoinReply | Join2Reply | None:
        while (now := time.monotonic()) < deadline:
            for train in self._link.receive(deadline - now):
                for datagram in train.packets():
                    answer = self._reply(datagram, train)
                    if answer is not None:
                        return answer
        return None

    def _reply(self, datagram: memoryview, train: Train) -> JoinReply | Join2Reply | None:
        if len(datagram) == BLOCK_PACKET_SIZE:
            return None
        try:
            packet = decode(datagram, train.sender, train.port, self._link.address.port, None)
        except ProtocolError as error:
            self._say(error.message)
            return None
        wanted = Join2Reply if self._options.raw else JoinReply
        return packet if isinstance(packet, wanted) and self._is_for_us(packet) else None

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
        workers = ChunkWorkers(sink, self._options.workers)
        reception = Reception(self._link, self._options, size.blocks, workers, self._say)
        reception.run()
        workers.finish()
        return self._statistics(reception.download.counters, sink, workers.waits)

    def leave(self, statistics: ClientStatistics | None = None) -> None:
        """Tell the server that we are gone; nobody answers."""
        elapsed = int(time.monotonic() - self.started)
        packet: Leave | Leave2 = Leave(self.client_id, elapsed)
        if statistics is not None:
            packet = Leave2(self.client_id, elapsed, statistics)
        self._link.send(encode(packet, self._source))

    def _statistics(
        self, counters: DownloadCounters, sink: ChunkSink, waits: int
    ) -> ClientStatistics:
        options = self._options
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
            writer_idles=waits,
            lost_blocks=counters.lost_blocks,
            re_requests=counters.re_requests,
        )
