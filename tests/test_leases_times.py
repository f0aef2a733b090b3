"""The times that people write, on days of every kind."""

import contextlib
import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaging.errors import ConfigurationError
from imaging.feedback.wording import LATEST_S
from imaging.leases.times import Moment, aligned, check_span, parse_moment

PARIS = ZoneInfo("Europe/Paris")
NOW = datetime(2026, 3, 1, 12, 34, 56, tzinfo=PARIS).timestamp()
MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0


def at(text: str, now: float = NOW, since: float | None = None) -> float:
    return parse_moment(text, now, since=since, zone=PARIS).at


def in_paris(text: str) -> float:
    """A time with its offset, as ISO 8601 has it."""
    return datetime.fromisoformat(text).timestamp()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("14:00", "2026-03-01T14:00+01:00"),
        ("9:05", "2026-03-01T09:05+01:00"),
        ("2026-03-01T14:00", "2026-03-01T14:00+01:00"),
        ("2026-03-02 14:00", "2026-03-02T14:00+01:00"),
        ("2026-07-01T14:00", "2026-07-01T14:00+02:00"),
        ("2026-03-02", "2026-03-02T00:00+01:00"),
        ("2026-03-01T14:00Z", "2026-03-01T14:00+00:00"),
        ("2026-03-01T14:00+05:30", "2026-03-01T14:00+05:30"),
        ("2026-03-01T14:00-0800", "2026-03-01T14:00-08:00"),
    ],
)
def test_what_people_write(text: str, expected: str) -> None:
    assert parse_moment(text, NOW, zone=PARIS) == Moment(in_paris(expected))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("+2h", 2 * HOUR), ("+90m", 90 * MINUTE), ("+1d12h", 1.5 * DAY), ("+1d2h3m", 93780.0)],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_moment(text, NOW, zone=PARIS) == Moment(NOW + seconds, exact=False)
    assert at(text, since=NOW + DAY) == NOW + DAY + seconds


def test_now() -> None:
    assert parse_moment("now", NOW, since=NOW + DAY) == Moment(NOW, exact=False)


def test_a_time_of_day_is_of_the_day_of_the_other_time() -> None:
    tomorrow = in_paris("2026-03-02T22:00+01:00")
    assert at("23:00", since=tomorrow) == in_paris("2026-03-02T23:00+01:00")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("2026-03-29T02:30", "the clock skips it that day"),
        ("2026-10-25T02:30", "the clock shows it twice that day"),
    ],
)
def test_what_the_clock_skips_or_shows_twice_is_not_guessed(text: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        at(text)
    # with an offset there is nothing to guess
    assert at(f"{text}+01:00") == in_paris(f"{text}+01:00")
    assert at(f"{text}+02:00") == in_paris(f"{text}+02:00")


def test_durations_are_real_hours_when_the_clock_changes() -> None:
    before = in_paris("2026-03-29T01:00+01:00")
    assert at("+2h", since=before) == in_paris("2026-03-29T04:00+02:00")
    assert at("04:00", since=before) == in_paris("2026-03-29T04:00+02:00")


def test_around_the_change_every_other_time_is_one() -> None:
    assert at("2026-10-25T01:59") == in_paris("2026-10-25T01:59+02:00")
    assert at("2026-10-25T03:00") == in_paris("2026-10-25T03:00+01:00")
    assert at("2026-03-29T01:59") == in_paris("2026-03-29T01:59+01:00")
    assert at("2026-03-29T03:00") == in_paris("2026-03-29T03:00+02:00")


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "14", "14h", "25:00", "14:60", "14:00:30", "-2h", "+", "+0m", "+2", "+2s"),
        *("+1h1d", "+99999d", "2026-13-01", "2026-02-30", "2026-03-01T24:00", "2026-3-1"),
        *("2026-03-01T14:00+99:00", "2026-03-01T14:00+1", "2026-03-01Z", "tomorrow", "0000-01-01"),
        *("1969-12-31T23:00Z", "9999-12-31T23:59", "\u0661\u0664:\u0660\u0660", "14:00\n", "NOW"),
    ],
)
def test_what_is_no_time_is_refused_with_the_known_forms(text: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(repr(text))) as caught:
        at(text)
    assert "+2h30m" in str(caught.value)


@given(st.text(max_size=30) | st.from_regex(r"[0-9T:+ -]{1,20}"), st.floats(0, LATEST_S - 1))
def test_any_text_is_a_time_or_refused(text: str, now: float) -> None:
    with contextlib.suppress(ConfigurationError):
        assert 0 <= parse_moment(text, now, zone=PARIS).at < LATEST_S


ZONES = [UTC, *map(ZoneInfo, ["Europe/Paris", "Australia/Lord_Howe", "Asia/Kolkata"])]


@given(
    st.datetimes(datetime(1971, 1, 1), datetime(2037, 1, 1)),  # noqa: DTZ001
    st.sampled_from(ZONES),
)
def test_what_is_taken_is_what_the_clock_shows_then(naive: datetime, zone: ZoneInfo) -> None:
    shown = naive.strftime("%Y-%m-%dT%H:%M")
    try:
        found = parse_moment(shown, NOW, zone=zone).at
    except ConfigurationError:
        first, second = (naive.replace(tzinfo=zone, fold=fold).utcoffset() for fold in (0, 1))
        assert first != second, "only days on which the clock changes have such times"
        return
    assert datetime.fromtimestamp(found, zone).strftime("%Y-%m-%dT%H:%M") == shown


@given(st.timedeltas(timedelta(minutes=1), timedelta(days=3000)))
def test_any_duration_is_that_long(duration: timedelta) -> None:
    minutes = int(duration.total_seconds() // 60)
    text = f"+{minutes // 1440}d{minutes // 60 % 24}h{minutes % 60}m"
    assert at(text) == NOW + minutes * 60


def span(start: str, end: str, granularity_s: float = MINUTE) -> tuple[float, float]:
    begins = parse_moment(start, NOW, zone=PARIS)
    ends = parse_moment(end, NOW, since=begins.at, zone=PARIS)
    return check_span(begins, ends, NOW, granularity_s)


def test_a_lease_from_now_covers_now_and_is_at_least_as_long() -> None:
    begins, ends = span("now", "+2h")
    assert begins <= NOW < begins + MINUTE
    assert ends - MINUTE < NOW + 2 * HOUR <= ends
    assert begins % MINUTE == ends % MINUTE == 0
    begins, ends = span("now", "+30m", HOUR)
    assert (begins, ends) == (NOW // HOUR * HOUR, NOW // HOUR * HOUR + 2 * HOUR)


@pytest.mark.parametrize(
    ("start", "end", "granularity", "words"),
    [
        ("14:00", "13:00", MINUTE, "cannot end at"),
        ("14:00", "14:00", MINUTE, "cannot end at"),
        ("22:00", "02:00", MINUTE, "say +4h, or the date"),
        ("12:00", "14:00", MINUTE, "is past"),
        ("2026-02-28T14:00", "+1h", MINUTE, "is past"),
        ("14:05", "15:00", 600.0, "leases begin and end at multiples of 600 s"),
        ("14:00", "15:05", 600.0, "multiples of 600 s here"),
    ],
)
def test_what_cannot_be_booked(start: str, end: str, granularity: float, words: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(words)):
        span(start, end, granularity)


def test_this_minute_is_not_past() -> None:
    assert span("12:34", "13:00")[0] == in_paris("2026-03-01T12:34+01:00")


@given(
    st.integers(0, LATEST_S - 100_000), st.sampled_from([1.0, 60.0, 600.0, 3600.0]), st.booleans()
)
def test_alignment(moment: int, granularity: float, up: bool) -> None:
    found = aligned(Moment(moment, exact=False), granularity, up=up)
    assert found % granularity == 0
    assert 0 <= (found - moment if up else moment - found) < granularity
    assert aligned(Moment(found), granularity, up=up) == found
