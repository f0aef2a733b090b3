"""Leases: whose the nodes are, and until when. Pure."""

import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from imaging.errors import ImagingError
from imaging.feedback.wording import printable
from imaging.site.selection import format_names

HOLDER_SHOWN = 64  # characters; a service may send any


class LeaseServiceError(ImagingError):
    """The leases are not known: what keeps them does not answer, or answers nonsense."""


class LeaseRefusedError(ImagingError):
    """A lease was not booked, extended or cancelled: what keeps the leases says no."""


class TokenRefusedError(LeaseRefusedError):
    """The service does not take the token. Nothing was done: a login may help, and then again."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right of somebody to act on nodes for a while.

    ``start`` and ``end`` are in seconds since the epoch; at ``end`` it is over. ``nodes`` are
    names; None is the whole testbed. ``holder`` is a login, or whatever text a service has sent.
    """

    lease_id: str
    holder: str
    start: float
    end: float
    nodes: tuple[str, ...] | None = None

    def is_current(self, now: float) -> bool:
        """Whether it gives a right now."""
        return self.start <= now < self.end

    def covers(self, node: str) -> bool:
        """Whether it is about this node."""
        return self.nodes is None or node in self.nodes

    def meets(self, start: float, end: float, nodes: Collection[str] | None = None) -> bool:
        """Whether it is in the way of a lease of that time on these nodes, or on all."""
        if not (self.start < end and start < self.end):
            return False
        return self.nodes is None or nodes is None or not set(self.nodes).isdisjoint(nodes)

    @property
    def who(self) -> str:
        """The holder, as it can be shown."""
        return printable(self.holder[:HOLDER_SHOWN]) or "somebody"

    @property
    def what(self) -> str:
        """The nodes, as they can be shown."""
        return "the whole testbed" if self.nodes is None else printable(format_names(self.nodes))


def current(leases: Iterable[Lease], now: float) -> list[Lease]:
    """Those that give a right now, the longest ones first."""
    return sorted((lease for lease in leases if lease.is_current(now)), key=lambda one: -one.end)


def moment_text(at: float) -> str:
    """A time as its reader's clock has it, with the zone: ``2026-03-01 14:00 CET``."""
    whole = time.localtime(at)
    seconds = ":%S" if whole.tm_sec else ""
    return time.strftime(f"%Y-%m-%d %H:%M{seconds} %Z", whole)
