"""A frisbee server and up to a thousand clients, on virtual time, by runs of blocks.

The participants are the product's own, as far as they are pure: ServerSession decides what is
sent and when, Download what is asked for and when. Only what lies between them is made up: how
long a packet is on its way, which ones are lost, and how soon a process looks at what has come.
tests/simulated_network.py does the same packet by packet, for few clients and worse networks.
"""

import heapq
import math
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import groupby

from imaging.frisbee.download import Download, Pace
from imaging.frisbee.packets import (
    BLOCK_SIZE,
    BLOCKS_PER_CHUNK,
    Join,
    Leave,
    PartialRequest,
    Request,
)
from imaging.frisbee.server_session import ServerOptions, ServerSession
from imaging.frisbee.work_queue import Run
from tests.bench.loss import Losses

BLOCKS_PER_CALL = 62
CALLS_PER_TURN = 8
TURN_S = 50e-6  # no loop of a process goes round faster
BUFFERS = 64  # chunks


@dataclass(frozen=True, slots=True)
class Site:
    """What is simulated; times in seconds.

    Attributes:
        clients: how many nodes.
        chunks: size of the image, in MiB.
        bandwidth: the server's limit in bits/s on the wire.
        loss: the share of packets that is lost.
        shared: whether a burst is lost by all clients, at the server; else each link loses
            packets by itself, requests included.
        boot_spread_s: clients begin at random within so long.
        travel_s: how long a packet is on its way.
        look_s: a client looks at what has come within so long, at random.
        request_s: the server's time for one request, during which it sends nothing.
        call_s: the server's time for one call that sends a run.
        write_s: a client's disk's time for a chunk of the image.
        seed: of all that is random.
    """

    clients: int
    chunks: int = 64
    bandwidth: float = 900e6
    loss: float = 0.0
    shared: bool = False
    boot_spread_s: float = 0.005
    travel_s: float = 0.0001
    look_s: float = 0.002
    request_s: float = 12e-6
    call_s: float = 20e-6
    write_s: float = 0.004
    seed: int = 1
    pace: Pace = field(default_factory=Pace)


class Clock:
    """Virtual time, and what is to happen."""

    def __init__(self) -> None:
        """Begin at 0 s."""
        self.now = 0.0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0

    def at(self, when: float, action: Callable[[], None]) -> None:
        """Do something at a time, not before now."""
        self._count += 1
        heapq.heappush(self._events, (max(when, self.now), self._count, action))

    def run(self, until: Callable[[], bool], limit_s: float) -> bool:
        """Go on until it is so; False when nothing more happens, or the limit comes before."""
        while not until():
            if not self._events or self._events[0][0] > limit_s:
                return False
            self.now, _, action = heapq.heappop(self._events)
            action()
        return True


class Group:
    """One session: the server, the clients, and the network between them."""

    def __init__(self, site: Site) -> None:
        """Everybody begins when the clock is run."""
        self.site = site
        self.clock = Clock()
        self.random = random.Random(site.seed)
        self.server = SimulatedServer(self)
        self.members: list[SimulatedClient] = []
        self.finished: list[float] = []  # seconds that each client took, in order of the end
        self._bursts = Losses(site.loss if site.shared else 0.0, self.random)
        self._requests = Losses(0.0 if site.shared else site.loss, self.random)
        for number in range(site.clients):
            SimulatedClient(self, number, self.random.uniform(0, site.boot_spread_s))

    def run(self, limit_s: float) -> bool:
        """Go on until all clients have the image; False when they have not within the limit."""
        return self.clock.run(lambda: len(self.finished) == self.site.clients, limit_s)

    def multicast_blocks(self, runs: list[Run]) -> None:
        """The server's blocks travel to all clients."""
        bursts = [
            _Burst(chunk, [*of_chunk])
            for chunk, of_chunk in groupby(
                (run for run in runs if not self._bursts.of(1)), key=lambda run: run.chunk
            )
        ]
        self.clock.at(self.clock.now + self.site.travel_s, lambda: self._arrive(bursts))

    def _arrive(self, bursts: list["_Burst"]) -> None:
        for client in self.members.copy():
            for burst in bursts:
                client.hear_blocks(burst.chunk, burst.without(client.losses.of(burst.count)))

    def multicast_request(
        self, request: Request | PartialRequest, sender: "SimulatedClient"
    ) -> None:
        """A client's request travels to the server, and to all other clients."""
        self.clock.at(self.clock.now + self.site.travel_s, lambda: self._ask(request, sender))

    def _ask(self, request: Request | PartialRequest, sender: "SimulatedClient") -> None:
        if not self._requests.of(1):
            self.server.hear(request, sender.host)
        lost = self._requests.of(len(self.members))
        now = self.clock.now
        for place, client in enumerate(self.members):
            if client is not sender and not lost >> place & 1:
                client.hear_request(request, now)


class _Burst:
    """Blocks of one chunk that travel together."""

    __slots__ = ("_bitmap", "_runs", "chunk", "count")

    def __init__(self, chunk: int, runs: list[Run]) -> None:
        self.chunk = chunk
        self.count = sum(run.count for run in runs)
        self._runs = runs
        self._bitmap = 0
        for run in runs:
            self._bitmap |= ((1 << run.count) - 1) << run.first

    def without(self, lost: int) -> int:
        """What is left of it; bit n of ``lost`` is the nth block that was sent."""
        if not lost:
            return self._bitmap
        left = self._bitmap
        for run in self._runs:
            left &= ~((lost & ((1 << run.count) - 1)) << run.first)
            lost >>= run.count
        return left


class SimulatedServer:
    """The server's loop: take all requests, send a run if one may be sent now."""

    def __init__(self, group: Group) -> None:
        """The server is there before the first client."""
        self._group = group
        site = group.site
        options = ServerOptions("image.ndz", idle_s=-1, bandwidth=site.bandwidth)
        size = site.chunks * BLOCKS_PER_CHUNK * BLOCK_SIZE
        self.session = ServerSession(options, size, lambda _: None, 0.0)
        self._waiting: deque[tuple[Request | PartialRequest, str]] = deque()
        self._wake_at = float("inf")
        self.most_waiting = 0
        self.requests = 0
        self.busy_s = 0.0  # with requests

    def hear(self, request: Request | PartialRequest, host: str) -> None:
        """A request has come; it waits in the socket until the server looks."""
        self._waiting.append((request, host))
        self.most_waiting = max(self.most_waiting, len(self._waiting))
        self._wake_by(self._group.clock.now)

    def _wake_by(self, when: float) -> None:
        if when < self._wake_at:
            self._wake_at = when
            self._group.clock.at(when, self._wake)

    def _wake(self) -> None:
        site, now = self._group.site, self._group.clock.now
        if now < self._wake_at:
            return
        self._wake_at = float("inf")
        taken = 0
        while self._waiting:
            self.session.take(*self._waiting.popleft())
            taken += 1
        self.requests += taken
        self.busy_s += taken * site.request_s
        runs: list[Run] = []
        calls = 0
        while calls < CALLS_PER_TURN and (more := self.session.next_runs(now, BLOCKS_PER_CALL)):
            runs += more
            calls += 1
        if runs:
            self._group.multicast_blocks(runs)
        # what comes meanwhile waits, as the server is busy
        busy = taken * site.request_s + calls * site.call_s
        delay = max(busy, self.session.delay(now), TURN_S)
        if delay < math.inf:
            self._busy_until(now + delay)

    def _busy_until(self, when: float) -> None:
        self._wake_at = when
        self._group.clock.at(when, self._wake)


class SimulatedClient:
    """A client's loop: hear what has come, ask for what is missing."""

    __slots__ = (
        "_awake",
        "_disk",
        "_group",
        "_number",
        "_started",
        "_wake_at",
        "download",
        "host",
        "losses",
    )

    def __init__(self, group: Group, number: int, start_at: float) -> None:
        """The client joins at a time."""
        site = group.site
        self._group = group
        self._number = number
        self.host = f"10.0.{number >> 8}.{number & 255}"
        self._started = start_at
        self._disk: deque[float] = deque()  # when each chunk handed over will be written
        self._wake_at = float("inf")
        self._awake = False
        self.losses = Losses(
            0.0 if site.shared else site.loss, random.Random(f"{site.seed}/{number}")
        )
        self.download: Download
        group.clock.at(start_at, self._join)

    def _join(self) -> None:
        group, now = self._group, self._group.clock.now
        group.server.session.take(Join(self._number + 1), self.host)
        self.download = Download(
            group.site.chunks * BLOCKS_PER_CHUNK,
            now,
            buffers=BUFFERS,
            pace=group.site.pace,
            seed=group.site.seed * 1_000_003 + self._number,
        )
        group.members.append(self)
        self._look_soon()

    def _look_soon(self) -> None:
        """Something has come: what waits in the socket wakes the process."""
        if not self._awake:
            self._awake = True
            group = self._group
            self._wake_by(group.clock.now + group.random.random() * group.site.look_s)

    def _wake_by(self, when: float) -> None:
        if when < self._wake_at:
            self._wake_at = when
            self._group.clock.at(when, self._wake)

    def hear_blocks(self, chunk: int, bitmap: int) -> None:
        """Blocks have come, if any of those that were sent."""
        now = self._group.clock.now
        left = self.download.left
        if bitmap:
            self.download.take(chunk, bitmap, now)
        if self.download.left < left:
            begin = max(now, self._disk[-1]) if self._disk else now
            self._disk.append(begin + self._group.site.write_s)
            if not self.download.left:
                self._leave()
                return
        self._look_soon()

    def hear_request(self, request: Request | PartialRequest, now: float) -> None:
        """Another client has asked for blocks."""
        self.download.overheard(request, now)
        if not self._awake:
            self._look_soon()

    def _leave(self) -> None:
        group = self._group
        group.finished.append(group.clock.now - self._started)
        group.members.remove(self)
        group.server.session.take(Leave(self._number + 1, 0), self.host)

    def _wake(self) -> None:
        now = self._group.clock.now
        if now < self._wake_at or not self.download.left:
            return
        self._wake_at = float("inf")
        self._awake = False
        while self._disk and self._disk[0] <= now:
            self._disk.popleft()
            self.download.release(now)
        for request in self.download.requests(now):
            self._group.multicast_request(request, self)
        self._wake_by(now + max(0.0001, min(self.download.delay(now), 0.02)))
