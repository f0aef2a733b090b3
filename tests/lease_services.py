"""The testbed's lease service, served for a test on a port of its own."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import trio

from imaging.feedback.wording import LATEST_S
from imaging.leases.backend import Actor
from imaging.leases.lease import Lease
from imaging.leases.opening import ask_leases
from imaging.site.schema import LeasesSettings
from imaging.testbed.fault_file import FaultFile
from imaging.testbed.faults import SITE, parse_what, with_kind
from imaging.testbed.lease_book import LeaseBook
from imaging.testbed.lease_service import LeaseService

ALICE = Actor("alice")
MINUTE, HOUR = 60.0, 3600.0
BAD_ANSWERS = [
    ("down", "does not answer: "),
    ("hang", "does not answer: no answer within 0.3 s"),
    ("slow:5", "does not answer: no answer within 0.3 s"),
    ("http-500", "does not answer: HTTP 500"),
    ("garbage", "does not answer: "),
    ("no-json", "sends what makes no sense: it is not JSON"),
    ("redirect", "redirects to http://127.0.0.1:9/leases, which is not followed"),
    ("redirect-nonsense", "redirects to http://xn--a/leases, which is not followed"),
    ("wrong-types", "sends what makes no sense: Expected `int`, got `str`"),
    ("no-zone", "sends what makes no sense: Expected `datetime` with a timezone"),
]
TOKEN = "a-token-that-nobody-may-see"


@dataclass
class ServedLeases:
    """A running service, the settings for it, and what goes wrong with it."""

    settings: LeasesSettings
    faults: FaultFile
    requests: list[str]

    def fault(self, what: str) -> None:
        """Have it misbehave from now on."""
        self.faults.change(
            lambda faults: with_kind(faults, SITE, "leases", parse_what("leases", what))
        )

    def with_settings(self, **changes: object) -> LeasesSettings:
        """The settings with changes."""
        return msgspec.structs.replace(self.settings, **changes)


@asynccontextmanager
async def served_leases(directory: Path) -> AsyncIterator[ServedLeases]:
    """Serve leases that are kept in a directory, for the block."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    url = f"http://127.0.0.1:{listener.socket.getsockname()[1]}"
    faults = FaultFile(directory / "faults.json")
    service = LeaseService(LeaseBook(directory / "leases.json"), faults, url, TOKEN)
    settings = LeasesSettings(
        backend="r2labapi",
        privileged="",
        url=url,
        resource="testbed",
        token=TOKEN,
        timeout_s=5,
        request_timeout_s=0.3,
        retry_delay_s=0.01,
    )
    served = ServedLeases(settings, faults, [])

    async def serve(stream: trio.SocketStream) -> None:
        served.requests.append("connection")
        await service.serve(stream)

    async with trio.open_nursery() as nursery:
        await nursery.start(trio.serve_listeners, serve, [listener])
        yield served
        nursery.cancel_scope.cancel()


def hour(number: float) -> float:
    """So many hours from the beginning of this minute."""
    return time.time() // MINUTE * MINUTE + number * HOUR


async def book(
    service: ServedLeases, start: float, end: float, holder: str = "alice", **settings: object
) -> Lease:
    """Alice books, from so many hours from now until so many."""
    return await ask_leases(
        service.with_settings(**settings),
        lambda leases: leases.book(ALICE, holder, hour(start), hour(end), None),
    )


async def held(settings: LeasesSettings) -> list[Lease]:
    """All leases that the service has."""
    return await ask_leases(settings, lambda leases: leases.between(0, LATEST_S))
