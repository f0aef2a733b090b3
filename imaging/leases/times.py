"""The times that people write: ``14:00``, ``2026-03-01T14:00``, ``+2h``, ``now``. Pure.

A time of day or a date is that of the local clock, whatever the clock does that day: a time that
there is twice, or not at all, is refused and not guessed.
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo

from imaging.errors import ConfigurationError
from imaging.feedback.wording import LATEST_S
from imaging.leases.lease import moment_text

FORMS = "14:00, 2026-03-01T14:00, +2h30m or now"
MINUTE_S = 60
LONGEST = timedelta(days=3660)

_TIME_OF_DAY = re.compile(r"([0-9]{1,2}):([0-9]{2})")
_DATE = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})(?:[T ]([0-9]{2}):([0-9]{2}))?(Z|[+-].*)?")
_OFFSET = re.compile(r"([+-])([0-9]{2}):?([0-9]{2})")
_DURATION = re.compile(r"\+(?:([0-9]{1,5})d)?(?:([0-9]{1,6})h)?(?:([0-9]{1,7})m)?")


@dataclass(frozen=True, slots=True)
class Moment:
    """A time in seconds since the epoch; not ``exact`` when it was told by another one."""

    at: float
    exact: bool = True


def parse_moment(
    text: str, now: float, *, since: float | None = None, zone: tzinfo | None = None
) -> Moment:
    """What a user means. Raises ConfigurationError.

    A duration counts from ``since``, and a time of day is of the same day; both are seconds since
    the epoch, and ``since`` is ``now`` when it is not given. ``zone`` None is this host's.
    """
    base = now if since is None else since
    try:
        if text == "now":
            return Moment(now, exact=False)
        if text.startswith("+"):
            return Moment(_bounded(base + _duration(text).total_seconds()), exact=False)
        found = _TIME_OF_DAY.fullmatch(text)
        if found is not None:
            day = datetime.fromtimestamp(base, zone).replace(tzinfo=None, fold=0)
            hour, minute = map(int, found.groups())
            return Moment(_at(day.replace(hour=hour, minute=minute, second=0, microsecond=0), zone))
        return Moment(_date(text, zone))
    except (ValueError, OverflowError, OSError) as error:
        raise ConfigurationError(f"{text!r} is not a time: {error}", hint=FORMS) from None


def check_span(start: Moment, end: Moment, now: float, granularity_s: float) -> tuple[float, float]:
    """When a lease begins and ends, in seconds since the epoch. Raises ConfigurationError.

    Both are multiples of ``granularity_s``: a time that is none is refused when the user has said
    it exactly, and else the lease is as much longer. The past cannot be booked.
    """
    begins = aligned(start, granularity_s, up=False)
    ends = aligned(end, granularity_s, up=True)
    if ends <= begins:
        raise ConfigurationError(
            f"a lease from {moment_text(begins)} cannot end at {moment_text(ends)}",
            hint="a time of day is of the same day: say +4h, or the date",
        )
    if begins < now - max(granularity_s, MINUTE_S):
        raise ConfigurationError(
            f"{moment_text(begins)} is past (it is {moment_text(now)})",
            hint="say the date, or now",
        )
    return begins, ends


def aligned(moment: Moment, granularity_s: float, *, up: bool) -> float:
    """The multiple of ``granularity_s`` that a moment is, or is next to. Raises as check_span."""
    below = moment.at // granularity_s * granularity_s
    if below == moment.at:
        return moment.at
    above = below + granularity_s
    if moment.exact:
        raise ConfigurationError(
            f"leases begin and end at multiples of {granularity_s:g} s here: "
            f"{moment_text(below)} or {moment_text(above)}, not {moment_text(moment.at)}"
        )
    return above if up else below


def _duration(text: str) -> timedelta:
    found = _DURATION.fullmatch(text)
    if found is None or text == "+":
        raise ValueError("a duration is like +2h, +90m or +1d12h")
    days, hours, minutes = (int(part or 0) for part in found.groups())
    duration = timedelta(days=days, hours=hours, minutes=minutes)
    if not timedelta() < duration <= LONGEST:
        raise ValueError(f"a duration is at least a minute, and at most {LONGEST.days} days")
    return duration


def _date(text: str, zone: tzinfo | None) -> float:
    found = _DATE.fullmatch(text)
    if found is None:
        raise ValueError("it has none of the known forms")
    year, month, day, hour, minute = (int(part or 0) for part in found.groups()[:5])
    naive = datetime(year, month, day, hour, minute)  # noqa: DTZ001 - its zone comes below
    if found[6] is None:
        return _at(naive, zone)
    if found[4] is None:
        raise ValueError("an offset wants a time of day")
    return _bounded((naive - datetime(1970, 1, 1) - _offset(found[6])).total_seconds())  # noqa: DTZ001


def _offset(text: str) -> timedelta:
    if text == "Z":
        return timedelta()
    found = _OFFSET.fullmatch(text)
    if found is None or int(found[2]) > 23 or int(found[3]) > 59:
        raise ValueError(f"{text!r} is no offset like +01:00")
    offset = timedelta(hours=int(found[2]), minutes=int(found[3]))
    return offset if found[1] == "+" else -offset


def _at(naive: datetime, zone: tzinfo | None) -> float:
    """The one moment at which the local clock shows this. Raises ValueError."""
    candidates = {_bounded(naive.replace(tzinfo=zone, fold=fold).timestamp()) for fold in (0, 1)}
    real = [
        at
        for at in candidates
        if datetime.fromtimestamp(at, zone).replace(tzinfo=None, fold=0) == naive
    ]
    if not real:
        raise ValueError("the clock skips it that day")
    if len(real) > 1:
        raise ValueError("the clock shows it twice that day; add an offset, as in ...+01:00")
    return real[0]


def _bounded(at: float) -> float:
    if not 0 <= at < LATEST_S:
        raise ValueError("no calendar has it")
    return at
