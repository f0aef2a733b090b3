"""The frisbee server's process: sockets and clock around a ServerSession."""

import os
import time
from collections.abc import Callable

from imaging.frisbee.errors import ProtocolError
from imaging.frisbee.image_packets import ImagePackets
from imaging.frisbee.packets import decode, encode, pack_address
from imaging.frisbee.server_session import Say, ServerOptions, ServerSession
from imaging.frisbee.sockets import BLOCKS_PER_CALL, SessionSocket, UnreachableHostError

WAIT_LIMIT_S = 0.05  # a signal is noticed at least so often
UNREACHABLE_LIMIT = 256  # hosts that are told of, so that no stranger fills the log
BLOCKS_PER_TURN = 8 * BLOCKS_PER_CALL  # between two looks at what has come


class Server:
    """Serves one image to one group."""

    def __init__(
        self,
        options: ServerOptions,
        link: SessionSocket,
        packets: ImagePackets,
        size: int,
        say: Say,
    ) -> None:
        """``size`` of the image in bytes; ``say`` is given the lines of the log."""
        self._options = options
        self._link = link
        self._packets = packets
        self._say = say
        self._source = pack_address(link.address.own)
        self._session = ServerSession(options, size, say, time.monotonic())
        self._messages_in = self._messages_out = 0
        self._unreachable: set[str] = set()

    def serve(self, stopping: Callable[[], bool]) -> str:
        """Serve until it is over; returns why, in the C server's words.

        Raises FrisbeeError when the file or the network fails.
        """
        session = self._session
        heard_at = time.monotonic()
        delay = 0.0
        while not stopping():
            heard = self._take_all(delay)
            now = time.monotonic()
            if heard:
                heard_at = now
            ending = session.ending(now)
            if ending is not None:
                return ending
            if 0 < self._options.keepalive_s < now - heard_at:
                heard_at = now
                self._link.renew_membership()
            runs = session.next_runs(now, BLOCKS_PER_TURN)
            if runs:
                self._link.send_blocks([self._packets.packets(run) for run in runs])
                self._messages_out += sum(run.count for run in runs)
            delay = 0.0 if runs else min(session.delay(now), WAIT_LIMIT_S)
        return "Interrupted!"

    def _take_all(self, wait_s: float) -> bool:
        """Take what is there, or comes within ``wait_s`` seconds; whether it was anything."""
        heard = False
        for train in self._link.receive(wait_s):
            heard = True
            for datagram in train.packets():
                self._messages_in += 1
                self._take(datagram, train.sender, train.port)
        return heard

    def _take(self, datagram: memoryview, sender: bytes, sender_port: int) -> None:
        try:
            packet = decode(
                datagram, sender, sender_port, self._link.address.port, self._session.chunks
            )
        except ProtocolError as error:
            self._say(error.message)
            return
        host = ".".join(map(str, sender))
        reply = self._session.take(packet, host)
        if reply is not None:
            self._reply(encode(reply, self._source), host)

    def _reply(self, datagram: bytes, host: str) -> None:
        """Send to one host. That it cannot be reached is told once, and ends nothing."""
        try:
            self._link.send(datagram, host)
            self._messages_out += 1
        except UnreachableHostError as error:
            if host not in self._unreachable and len(self._unreachable) < UNREACHABLE_LIMIT:
                self._unreachable.add(host)
                self._say(error.message)

    def statistics(self, seconds: float) -> list[str]:
        """The lines that the C server prints in the end, as far as they apply."""
        session, times = self._session, os.times()
        counters = session.counters
        requests = counters.requests + counters.partial_requests
        return [
            "Params:",
            "  chunk/block size    1024/1024",
            f"  file:size           {self._options.image}:{session.size}",
            "Stats:",
            f"  service time:      {seconds:.3f} sec",
            f"  user/sys CPU time: {times.user:.3f}/{times.system:.3f}",
            f"  msgs in/out:       {self._messages_in}/{self._messages_out}",
            f"  joins/leaves:      {counters.joins}/{counters.leaves}",
            f"  requests:          {requests} ({session.queue.merged} merged in queue)",
            f"  partial req/blks:  {counters.partial_requests}/{counters.partial_blocks}",
            f"  client re-req:     {counters.re_requests}",
            f"  1k blocks sent:    {counters.blocks_sent}",
            f"  file reads:        {self._packets.reads}",
            f"  max workq size:    {counters.largest_queue} elts",
        ]
