"""Who holds the nodes now, by the leases of the site.

Leases are asked for rarely, for a while ahead; what follows from the time is known in between. What
keeps them may be out of reach: then what was known holds until it is over.
"""

import logging
import time
from collections.abc import Callable, Sequence

from imaging.errors import ImagingError
from imaging.leases.backend import LeaseBackend
from imaging.leases.lease import Lease, current
from imaging.leases.opening import ask_leases
from imaging.monitor.observations import LeaseSeen, NodeLease, See
from imaging.site.schema import LeasesSettings

log = logging.getLogger(__name__)

NOT_ASKED = "nobody was asked yet"
AHEAD = 3  # intervals: a new lease that begins later is known in time


class LeaseProbe:
    """Looks who holds the nodes."""

    def __init__(
        self,
        settings: LeasesSettings,
        interval_s: float,
        nodes: Sequence[str],
        see: See,
        on_problem: Callable[[str], None],
    ) -> None:
        """The leases are asked for every ``interval_s`` seconds.

        ``on_problem`` is told why they are not known, when that changes; "" when they are.
        """
        self.problem = "" if settings.backend == "none" else NOT_ASKED
        self._on_problem = on_problem
        self._settings = settings
        self._interval_s = interval_s
        self._nodes = nodes
        self._see = see
        self._known: list[Lease] = []
        self._asked: float | None = None
        self._held: dict[str, NodeLease] = {}

    async def look(self) -> None:
        """Ask for the leases when it is time to, and tell who holds what now."""
        if self._settings.backend == "none":
            return
        if self._asked is None or time.monotonic() - self._asked >= self._interval_s:
            self._asked = time.monotonic()
            await self._ask()
        now = time.time()
        held = holders(self._known, self._nodes, now)
        for node in self._nodes:
            if held.get(node) != self._held.get(node):
                self._see(LeaseSeen(now, node, held.get(node)))
        self._held = held

    async def _ask(self) -> None:
        async def question(leases: LeaseBackend) -> list[Lease]:
            now = time.time()
            return await leases.between(now, now + AHEAD * self._interval_s)

        problem = ""
        try:
            self._known = await ask_leases(self._settings, question)
        except ImagingError as error:
            problem = str(error)
        if problem == self.problem:
            return
        if problem:
            log.warning("%s", problem)
        self.problem = problem
        self._on_problem(problem)


def holders(leases: Sequence[Lease], nodes: Sequence[str], now: float) -> dict[str, NodeLease]:
    """The lease of each node that has one now; the one that lasts longest."""
    held: dict[str, NodeLease] = {}
    for lease in current(leases, now):
        for node in nodes:
            if lease.covers(node):
                held.setdefault(node, NodeLease(lease.who, lease.end))
    return held
