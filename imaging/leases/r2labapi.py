"""The leases of R2lab's REST service.

``GET`` is for everybody; booking wants a token: that of the settings, or the one that a login
gives. A lease belongs to a slice, and a user holds it when the slice has the name of his login.
"""

import math
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar

import trio

from imaging.errors import ConfigurationError
from imaging.feedback.wording import LATEST_S
from imaging.leases.backend import Actor, Credentials
from imaging.leases.lease import (
    Lease,
    LeaseRefusedError,
    LeaseServiceError,
    TokenRefusedError,
    current,
)
from imaging.leases.r2labapi_rows import (
    LeaseRow,
    Resource,
    lease_of,
    read_detail,
    read_lease,
    read_resource,
    read_rows,
    read_token,
)
from imaging.leases.rest import Reply, Service, open_service
from imaging.site.schema import LeasesSettings

T = TypeVar("T")

EMAIL, PASSWORD = "R2LABAPI_EMAIL", "R2LABAPI_PASSWORD"
PAGES = 200  # that one answer may have
OK, CREATED, NO_CONTENT, UNAUTHORIZED = 200, 201, 204, 401
REFUSALS = range(400, 500)


def credentials_of(environment: Mapping[str, str] | None = None) -> Credentials | None:
    """Those of the environment, when both are there."""
    environment = os.environ if environment is None else environment
    email, password = environment.get(EMAIL), environment.get(PASSWORD)
    return Credentials(email, password) if email and password else None


@asynccontextmanager
async def open_r2labapi(
    settings: LeasesSettings, credentials: Credentials | None
) -> AsyncIterator["R2labLeases"]:
    """The service's leases, for the block."""
    async with open_service(settings) as service:
        if settings.token:
            service.secrets.add(settings.token)
        if credentials is not None:
            service.secrets.add(credentials.password)
        yield R2labLeases(service, settings, credentials)


@dataclass(slots=True)
class R2labLeases:
    """The leases of one resource of the service. See LeaseBackend."""

    service: Service
    settings: LeasesSettings
    credentials: Credentials | None
    _token: str = field(default="", repr=False)
    _resource: Resource | None = None

    def __post_init__(self) -> None:
        """Begin with the token of the settings, if there is one."""
        self._token = self.settings.token

    @property
    def place(self) -> str:
        """The URL."""
        return self.service.place

    async def current(self, now: float) -> list[Lease]:
        """The leases that give a right now, the longest ones first."""
        return current(await self._leases({"alive": str(math.floor(now))}), now)

    async def between(self, start: float, end: float) -> list[Lease]:
        """The leases that give a right at any moment between the two, by their start."""
        asked = {}
        if start > 0:
            asked["after"] = _iso(math.floor(start))
        if end < LATEST_S:
            asked["before"] = _iso(math.ceil(end))
        # what was not asked for is left out, whatever the service makes of the question
        found = [lease for lease in await self._leases(asked) if lease.meets(start, end)]
        return sorted(found, key=lambda lease: lease.start)

    async def granularity(self) -> float:
        """What the service says of the resource."""
        return (await self._the_resource()).granularity_s

    async def book(
        self,
        actor: Actor,  # noqa: ARG002 - the service knows who has the token
        holder: str,
        start: float,
        end: float,
        nodes: tuple[str, ...] | None,
    ) -> Lease:
        """Make a lease. Raises ConfigurationError unless it is of the whole testbed."""
        if nodes is not None:
            raise ConfigurationError(
                f"leases of {self.place} are of the whole testbed, not of nodes",
                hint="give no nodes",
            )
        document = {
            "resource_name": self.settings.resource,
            "slice_name": holder,
            "t_from": _iso(start),
            "t_until": _iso(end),
        }
        return self._lease(await self._change("POST", "/leases", document))

    async def extend(self, actor: Actor, lease_id: str, end: float) -> Lease:  # noqa: ARG002
        """Have a lease last longer."""
        path = f"/leases/{_number(lease_id)}"
        return self._lease(await self._change("PATCH", path, {"t_until": _iso(end)}))

    async def cancel(self, actor: Actor, lease_id: str, now: float) -> Lease | None:  # noqa: ARG002
        """Remove a lease; the service ends one that is at work, by its granularity."""
        reply = await self._change("DELETE", f"/leases/{_number(lease_id)}")
        return None if reply.status == NO_CONTENT else self._lease(reply)

    async def _leases(self, asked: Mapping[str, str]) -> list[Lease]:
        resource = await self._the_resource()
        try:
            rows = await self._rows(asked)
            # in a thread, as all that grows with the answer: the other nodes go on meanwhile
            return await _in_thread(
                lambda: [lease_of(row) for row in rows if row.resource_id == resource.resource_id]
            )
        except ValueError as error:
            raise self._garbage(error) from error

    async def _rows(self, asked: Mapping[str, str]) -> list[LeaseRow]:
        """All pages of an answer: half of the leases would be worse than none."""
        reply = self._fine(await self.service.get("/leases", asked))
        received, total = len(reply.body), reply.total
        rows = await _in_thread(partial(read_rows, reply.body))
        for _ in range(PAGES):
            if reply.next_url is None:
                break
            reply = self._fine(await self.service.follow(reply.next_url, received))
            received += len(reply.body)
            rows += await _in_thread(partial(read_rows, reply.body))
        if reply.next_url is not None or (total is not None and total > len(rows)):
            raise self.service.failed(f"has more leases than the {len(rows)} that it sent")
        return rows

    async def _the_resource(self) -> Resource:
        if self._resource is None:
            name = self.settings.resource
            reply = self._fine(await self.service.get(f"/resources/by-name/{name}"))
            try:
                self._resource = read_resource(reply.body, name)
            except ValueError as error:
                raise self._garbage(error) from error
        return self._resource

    async def _change(
        self, method: str, path: str, document: Mapping[str, object] | None = None
    ) -> Reply:
        """Have something changed, with a token; one that has expired is replaced once."""
        repeatable = method == "PATCH"  # the same twice is the same
        fresh = not self._token
        if fresh:
            await self._log_in()
        reply = await self.service.send(
            method, path, document, token=self._token, repeatable=repeatable
        )
        if reply.status == UNAUTHORIZED and not fresh and self.credentials is not None:
            await self._log_in()
            reply = await self.service.send(
                method, path, document, token=self._token, repeatable=repeatable
            )
        if reply.status in (OK, CREATED, NO_CONTENT):
            return reply
        if reply.status == UNAUTHORIZED:
            raise TokenRefusedError(
                f"the lease service {self.place} does not take the token: it may have expired",
                hint=f"see [leases] token, or set ${EMAIL} and ${PASSWORD}",
            )
        if reply.status not in REFUSALS:
            raise self._strange(reply)
        said = self.service.told(read_detail(reply.body)) or f"HTTP {reply.status}"
        raise LeaseRefusedError(f"the lease service {self.place} refuses: {said}")

    async def _log_in(self) -> None:
        if self.credentials is None:
            raise ConfigurationError(
                f"booking at {self.place} wants a token",
                hint=f"set [leases] token, or ${EMAIL} and ${PASSWORD}",
            )
        document = {"email": self.credentials.email, "password": self.credentials.password}
        reply = await self.service.send("POST", "/auth/login", document, repeatable=True)
        if reply.status != OK:
            said = self.service.told(read_detail(reply.body)) or f"HTTP {reply.status}"
            raise LeaseRefusedError(
                f"the lease service {self.place} lets nobody in as {document['email']}: {said}",
                hint=f"see ${EMAIL} and ${PASSWORD}",
            )
        try:
            self._token = read_token(reply.body)
        except ValueError as error:
            raise self._garbage(error) from error
        self.service.secrets.add(self._token)

    def _fine(self, reply: Reply) -> Reply:
        if reply.status == OK:
            return reply
        raise self._strange(reply)

    def _strange(self, reply: Reply) -> LeaseServiceError:
        said = read_detail(reply.body)
        return self.service.failed(f"answers HTTP {reply.status}{f': {said}' if said else ''}")

    def _lease(self, reply: Reply) -> Lease:
        try:
            return read_lease(reply.body)
        except ValueError as error:
            raise self._garbage(error) from error

    def _garbage(self, error: ValueError) -> LeaseServiceError:
        return self.service.failed(f"sends what makes no sense: {error}")


async def _in_thread(work: Callable[[], T]) -> T:
    """What is made of an answer does not outlast the caller's patience."""
    return await trio.to_thread.run_sync(work, abandon_on_cancel=True)


def _number(lease_id: str) -> int:
    """The number of a lease, which becomes part of a path."""
    if not (lease_id.isascii() and lease_id.isdecimal() and len(lease_id) < 19):
        raise LeaseRefusedError(f"there is no lease {lease_id!r}", hint="imaging-leases has them")
    return int(lease_id)


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat()
