"""Who holds the nodes now: where the monitor asks, and what it makes of the answer."""

import time
from collections.abc import Mapping, Sequence
from typing import Protocol

from imaging.monitor.observations import Lease, LeaseSeen, See


class LeaseBook(Protocol):
    """Somebody who knows who holds what."""

    async def held(self, nodes: Sequence[str]) -> Mapping[str, Lease] | None:
        """Who holds these nodes now; None when that is not known at the moment."""


class NoLeases:
    """A site without leases."""

    async def held(self, _nodes: Sequence[str]) -> Mapping[str, Lease] | None:
        """Nobody holds anything."""
        return {}


class LeaseProbe:
    """Looks who holds the nodes."""

    def __init__(self, book: LeaseBook, nodes: Sequence[str], see: See) -> None:
        """Nothing is known yet."""
        self._book = book
        self._nodes = nodes
        self._see = see

    async def look(self) -> None:
        """Ask once, and tell; what is not known at the moment stays as it was."""
        held = await self._book.held(self._nodes)
        if held is not None:
            for node in self._nodes:
                self._see(LeaseSeen(time.time(), node, held.get(node)))
