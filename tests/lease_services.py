"""The testbed's lease service, served for a test on a port of its own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import trio

from imaging.site.schema import LeasesSettings
from imaging.testbed.fault_file import FaultFile
from imaging.testbed.faults import SITE, parse_what, with_kind
from imaging.testbed.lease_book import LeaseBook
from imaging.testbed.lease_service import LeaseService

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
