"""The leases of a virtual testbed, by the rules of R2lab's service: requests in, answers out.

Whoever is named is a slice of its own: ``alice@testbed`` may book for ``alice``, and
``admin@testbed`` for all.
"""

import json
import os
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

RESOURCES = {"testbed": (1, 60), "elsewhere": (2, 3600)}
"""What can be leased, by name: its number, and the granularity in seconds."""

ADMIN = "admin"
SECONDS_LIMIT = 253_370_764_800  # since the epoch: the year 9999

Answer = tuple[int, object]
"""HTTP status, and the document; None is no body."""


@dataclass(frozen=True, slots=True)
class BookedLease:
    """One lease; times in seconds since the epoch."""

    lease_id: int
    resource_id: int
    slice_name: str
    start: float
    end: float

    def as_row(self) -> dict[str, object]:
        """The lease as the service sends it."""
        return {
            "id": self.lease_id,
            "resource_id": self.resource_id,
            "slice_id": sum(self.slice_name.encode()),
            "t_from": iso(self.start),
            "t_until": iso(self.end),
            "created_at": iso(0),
            "slice_name": self.slice_name,
        }


class RefusedError(Exception):
    """A request that is answered with an error."""

    def __init__(self, status: int, detail: str) -> None:
        """Keep both."""
        super().__init__(detail)
        self.status, self.detail = status, detail


class LeaseBook:
    """All leases, in a file."""

    def __init__(self, file: Path) -> None:
        """``file`` holds a JSON list, and is made when there is something to keep."""
        self._file = file
        self._leases: dict[int, BookedLease] = {}
        if file.exists():
            rows = (BookedLease(*row) for row in json.loads(file.read_text()))
            self._leases = {lease.lease_id: lease for lease in rows}

    def resource(self, name: str) -> Answer:
        """``GET /resources/by-name/{name}``."""
        number, granularity = _resource(name)
        return 200, {"id": number, "name": name, "granularity": granularity}

    def find(self, asked: Mapping[str, str]) -> list[dict[str, object]]:
        """``GET /leases`` with ``alive``, ``after``, ``before``, in the order of their start."""
        found = list(self._leases.values())
        if "alive" in asked:
            alive = whole_number(asked["alive"])
            found = [lease for lease in found if lease.start <= alive < lease.end]
        if "after" in asked:
            after = moment(asked["after"])
            found = [lease for lease in found if lease.end > after]
        if "before" in asked:
            before = moment(asked["before"])
            found = [lease for lease in found if lease.start < before]
        return [lease.as_row() for lease in sorted(found, key=lambda lease: lease.start)]

    def book(self, user: str, told: Mapping[str, object]) -> Answer:
        """``POST /leases``."""
        number, granularity = _resource(_text(told, "resource_name"))
        slice_name = _text(told, "slice_name")
        _refuse_stranger(user, slice_name)
        lease_id = max(self._leases, default=0) + 1
        start, end = moment(_text(told, "t_from")), moment(_text(told, "t_until"))
        lease = BookedLease(lease_id, number, slice_name, start, end)
        self._keep(lease, granularity)
        return 201, lease.as_row()

    def change(self, user: str, lease_id: str, told: Mapping[str, object]) -> Answer:
        """``PATCH /leases/{id}``."""
        lease = self._own(user, lease_id)
        start = moment(_text(told, "t_from")) if "t_from" in told else lease.start
        end = moment(_text(told, "t_until")) if "t_until" in told else lease.end
        changed = replace(lease, start=start, end=end)
        self._keep(changed, _granularity(lease))
        return 200, changed.as_row()

    def cancel(self, user: str, lease_id: str) -> Answer:
        """``DELETE /leases/{id}``: what is coming goes, what is at work ends.

        Raises RefusedError when it is over, or not that user's.
        """
        lease, now = self._own(user, lease_id), time.time()
        if lease.end <= now:
            raise RefusedError(409, "Cannot delete a past lease")
        if lease.start >= now:
            del self._leases[lease.lease_id]
            self._write()
            return 204, None
        granularity = _granularity(lease)
        end = max(now // granularity * granularity, lease.start + granularity)
        ended = self._leases[lease.lease_id] = replace(lease, end=end)
        self._write()
        return 200, ended.as_row()

    def _own(self, user: str, lease_id: str) -> BookedLease:
        lease = self._leases.get(whole_number(lease_id))
        if lease is None:
            raise RefusedError(404, "Lease not found")
        _refuse_stranger(user, lease.slice_name)
        return lease

    def _keep(self, lease: BookedLease, granularity: int) -> None:
        if lease.start >= lease.end:
            raise RefusedError(422, "t_from must be before t_until")
        if lease.start % granularity or lease.end % granularity:
            raise RefusedError(422, f"Lease times must be aligned to {granularity}s granularity")
        for other in self._leases.values():
            same = other.resource_id == lease.resource_id and other.lease_id != lease.lease_id
            if same and other.start < lease.end and lease.start < other.end:
                span = f"{iso(other.start)} - {iso(other.end)}"
                raise RefusedError(
                    409, f"Overlaps with lease {other.lease_id} ({other.slice_name}, {span})"
                )
        self._leases[lease.lease_id] = lease
        self._write()

    def _write(self) -> None:
        rows = [
            [lease.lease_id, lease.resource_id, lease.slice_name, lease.start, lease.end]
            for lease in self._leases.values()
        ]
        descriptor, name = tempfile.mkstemp(prefix=".leases-", dir=self._file.parent)
        with os.fdopen(descriptor, "w") as stream:
            json.dump(rows, stream)
        Path(name).replace(self._file)


def iso(at: float) -> str:
    """A time as the service sends it."""
    return datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")


def moment(text: str) -> float:
    """A time as the service takes it. Raises RefusedError."""
    try:
        found = datetime.fromisoformat(text)
        if found.tzinfo is None:
            raise ValueError("no zone")
        at = found.timestamp()
    except (ValueError, OverflowError):
        raise RefusedError(422, "must be an ISO datetime with its zone") from None
    if not 0 <= at < SECONDS_LIMIT:
        raise RefusedError(422, "must be after 1970")
    return at


def _resource(name: str) -> tuple[int, int]:
    if name not in RESOURCES:
        raise RefusedError(404, "Resource not found")
    return RESOURCES[name]


def _granularity(lease: BookedLease) -> int:
    return next(grain for number, grain in RESOURCES.values() if number == lease.resource_id)


def _refuse_stranger(user: str, slice_name: str) -> None:
    if user not in (ADMIN, slice_name):
        raise RefusedError(403, "You are not a member of this slice")


def whole_number(text: str) -> int:
    """A number in a request. Raises RefusedError."""
    if not (text.isascii() and text.isdecimal() and len(text) < 16):
        raise RefusedError(422, "must be a number")
    return int(text)


def _text(told: Mapping[str, object], key: str) -> str:
    value = told.get(key)
    if not isinstance(value, str):
        raise RefusedError(422, f"{key}: must be a text")
    return value
