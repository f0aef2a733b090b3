"""Leases booked behind the commands' back, in the file of a site that keeps its own."""

import time
from pathlib import Path

import trio

from imaging.leases.backend import Actor
from imaging.leases.local import LocalLeases
from imaging.site.user import login_name

ME = login_name({})  # that of the commands, which know nothing of a sudo
SOMEBODY = "somebody-else"
MINUTE, HOUR = 60, 3600


def minute(offset_s: float = 0) -> float:
    """So many seconds after the beginning of this minute, since the epoch."""
    return time.time() // MINUTE * MINUTE + offset_s


def book(directory: Path, holder: str, start_s: float, end_s: float, *nodes: str) -> str:
    """Somebody's lease, in seconds from now; without nodes, of the whole testbed."""

    async def booking() -> str:
        leases = LocalLeases(directory / "leases.sqlite")
        actor = Actor("root", privileged=True)
        span = (minute(start_s), minute(end_s))
        return (await leases.book(actor, holder, *span, nodes or None)).lease_id

    return trio.run(booking)
