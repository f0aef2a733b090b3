"""What keeps the leases of a site: one interface, whatever it is."""

from dataclasses import dataclass, field
from typing import Protocol

from imaging.leases.lease import Lease


@dataclass(frozen=True, slots=True)
class Actor:
    """Who books, extends and cancels; the ``privileged`` do so for others."""

    login: str
    privileged: bool = False


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a service lets somebody in with."""

    email: str
    password: str = field(repr=False)


class LeaseBackend(Protocol):
    """What keeps leases. All methods raise LeaseServiceError when it does not answer.

    Times are in seconds since the epoch. A caller's scope bounds how long a method may take.
    """

    @property
    def place(self) -> str:
        """Where the leases are: a file, or a URL."""

    async def current(self, now: float) -> list[Lease]:
        """The leases that give a right now, the longest ones first."""

    async def between(self, start: float, end: float) -> list[Lease]:
        """The leases that give a right at any moment between the two, by their start."""

    async def granularity(self) -> float:
        """Leases begin and end at multiples of so many seconds."""

    async def book(
        self, actor: Actor, holder: str, start: float, end: float, nodes: tuple[str, ...] | None
    ) -> Lease:
        """Make a lease. Raises LeaseRefusedError, as when the nodes are somebody's then."""

    async def extend(self, actor: Actor, lease_id: str, end: float) -> Lease:
        """Have a lease last longer. Raises LeaseRefusedError."""

    async def cancel(self, actor: Actor, lease_id: str, now: float) -> Lease | None:
        """Remove a lease; one that is at work ends now, and is returned.

        Raises LeaseRefusedError.
        """
