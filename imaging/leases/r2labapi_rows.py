"""What R2lab's lease service sends, as leases: pure, and nothing of it is believed before it fits.

The format is that of https://github.com/fit-r2lab/r2lab-api: lists of rows, times in ISO 8601 with
their zone, errors as ``{"detail": ...}``.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from imaging.feedback.wording import LATEST_S
from imaging.leases.lease import Lease

Moment = Annotated[datetime, Meta(tz=True)]
Name = Annotated[str, Meta(max_length=1000)]


class LeaseRow(msgspec.Struct, frozen=True):
    """A lease as the service has it; ``slice_name`` is null when the slice is gone."""

    id: int
    resource_id: int
    slice_id: int
    t_from: Moment
    t_until: Moment
    slice_name: Name | None = None


class _ResourceRow(msgspec.Struct, frozen=True):
    id: int
    name: Name
    granularity: Annotated[int, Meta(ge=1, le=86400)]


class _TokenRow(msgspec.Struct, frozen=True):
    access_token: Annotated[str, Meta(min_length=1, max_length=10_000, pattern="^[!-~]+$")]


@dataclass(frozen=True, slots=True)
class Resource:
    """What can be leased; leases begin and end at multiples of ``granularity_s`` seconds."""

    resource_id: int
    granularity_s: float


def read_rows(body: bytes) -> list[LeaseRow]:
    """A list of leases. Raises ValueError saying what is wrong with it."""
    rows: list[LeaseRow] = _decoded(body, list[LeaseRow])
    return rows


def read_lease(body: bytes) -> Lease:
    """One lease. Raises ValueError."""
    row: LeaseRow = _decoded(body, LeaseRow)
    return lease_of(row)


def lease_of(row: LeaseRow) -> Lease:
    """A row as a lease of the whole testbed. Raises ValueError."""
    start, end = (_seconds(moment) for moment in (row.t_from, row.t_until))
    holder = f"slice {row.slice_id}" if row.slice_name is None else row.slice_name
    return Lease(str(row.id), holder, start, end)


def read_resource(body: bytes, name: str) -> Resource:
    """The resource of that name. Raises ValueError."""
    row: _ResourceRow = _decoded(body, _ResourceRow)
    if row.name != name:
        raise ValueError("it is about another resource")
    return Resource(row.id, row.granularity)


def read_token(body: bytes) -> str:
    """The token that a login gives. Raises ValueError, which does not tell it."""
    row: _TokenRow = _decoded(body, _TokenRow)
    return row.access_token


def read_detail(body: bytes) -> str:
    """What an error says of itself; "" when it says nothing that makes sense."""
    try:
        told = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        return ""
    detail = told.get("detail") if isinstance(told, dict) else None
    if isinstance(detail, list):  # of what does not fit the service's own types
        messages = [part.get("msg") for part in detail if isinstance(part, dict)]
        detail = "; ".join(text for text in messages if isinstance(text, str))
    return detail if isinstance(detail, str) else ""


def _decoded(body: bytes, kind: Any) -> Any:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from None
    except (ValueError, RecursionError):  # not its words: they may quote what was sent
        raise ValueError("it is not JSON") from None


def _seconds(moment: datetime) -> float:
    try:
        at = moment.timestamp()
    except OverflowError:
        at = -1.0
    if not 0 <= at < LATEST_S:
        raise ValueError("it holds a time that no calendar has")
    return at
