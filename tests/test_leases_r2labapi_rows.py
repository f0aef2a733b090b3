"""What the lease service may send: leases, or an error of ours, and nothing else."""

import contextlib
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaging.feedback.wording import LATEST_S
from imaging.leases.lease import Lease
from imaging.leases.r2labapi_rows import (
    Resource,
    lease_of,
    read_detail,
    read_lease,
    read_resource,
    read_rows,
    read_token,
)

ROW: dict[str, Any] = {
    "id": 7,
    "resource_id": 1,
    "slice_id": 3,
    "t_from": "2026-03-01T14:00:00Z",
    "t_until": "2026-03-01T16:30:00+01:00",
    "created_at": "2026-02-01T00:00:00.123456Z",
    "slice_name": "alice",
}
TWO = datetime(2026, 3, 1, 14, tzinfo=UTC).timestamp()


def body(document: object) -> bytes:
    return json.dumps(document).encode()


def test_a_row_is_a_lease() -> None:
    assert read_lease(body(ROW)) == Lease("7", "alice", TWO, TWO + 5400)
    assert [lease_of(row) for row in read_rows(body([ROW]))] == [read_lease(body(ROW))]
    assert read_rows(b"[]") == []


def test_a_slice_that_is_gone_is_nobody_s_login() -> None:
    gone = read_lease(body({**ROW, "slice_name": None}))
    assert gone.holder == "slice 3"
    assert read_lease(body({k: v for k, v in ROW.items() if k != "slice_name"})) == gone


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"id": "7"}, "Expected `int`, got `str`"),
        ({"resource_id": None}, "Expected `int`, got `null`"),
        ({"slice_name": 5}, "Expected `str"),
        ({"slice_name": "x" * 1001}, "length <= 1000"),
        ({"t_from": "2026-03-01T14:00:00"}, "with a timezone component"),
        ({"t_from": 1772372400}, "Expected `datetime`, got `int`"),
        ({"t_until": "soon"}, "Invalid RFC3339"),
        ({"t_until": "2026-02-30T00:00:00Z"}, "Invalid RFC3339"),
        ({"t_from": "1950-01-01T00:00:00Z"}, "no calendar"),
        ({"t_until": "9999-12-31T23:59:59-12:00"}, "no calendar"),
        ({"t_from": "0001-01-01T00:00:00+12:00"}, "no calendar"),
    ],
)
def test_what_is_no_lease_is_told(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_lease(body({**ROW, **change}))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xfe",
        b"null",
        b"{}",
        b"[1]",
        b"[[]]",
        b"<html>",
        b"[" * 100_000,
        b"[{}]",
        b"1e999",
    ],
)
def test_what_is_no_list_of_leases(data: bytes) -> None:
    with pytest.raises(ValueError, match="it is not JSON|Expected|missing|out of range"):
        read_rows(data)


ROWS = st.fixed_dictionaries(
    {
        "id": st.integers(),
        "resource_id": st.integers(-3, 3),
        "slice_id": st.integers(),
        "t_from": st.datetimes(timezones=st.just(UTC)).map(datetime.isoformat),
        "t_until": st.datetimes(timezones=st.just(UTC)).map(datetime.isoformat) | st.text(),
        "slice_name": st.none() | st.text(),
    }
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from([*ROW, "detail", "x"]), inner),
    max_leaves=20,
)


@given(st.lists(ROWS, max_size=3) | ANYTHING)
def test_any_document_is_leases_or_an_error(document: object) -> None:
    with contextlib.suppress(ValueError):
        for row in read_rows(body(document)):
            lease = lease_of(row)
            assert 0 <= lease.start < LATEST_S
            assert 0 <= lease.end < LATEST_S
            assert lease.who.isprintable()
            assert lease.who


@given(st.binary(max_size=300))
def test_any_bytes_are_something_or_an_error(data: bytes) -> None:
    for read in (read_rows, read_lease, read_token):
        with contextlib.suppress(ValueError):
            read(data)
    with contextlib.suppress(ValueError):
        read_resource(data, "r2lab")
    assert isinstance(read_detail(data), str)


@given(ANYTHING)
def test_an_error_says_something_or_nothing(document: object) -> None:
    assert isinstance(read_detail(body(document)), str)


def test_what_errors_say() -> None:
    assert read_detail(body({"detail": "Lease not found"})) == "Lease not found"
    invalid = {"detail": [{"msg": "field required", "loc": ["body"]}, {"msg": "wrong"}, 5]}
    assert read_detail(body(invalid)) == "field required; wrong"
    assert read_detail(b"[" * 100_000) == ""


def test_the_resource_is_the_one_that_was_asked_for() -> None:
    row = {"id": 1, "name": "r2lab", "granularity": 3600}
    assert read_resource(body(row), "r2lab") == Resource(1, 3600)
    for change in ({"name": "other"}, {"granularity": 0}, {"granularity": 1e300}, {"id": "1"}):
        with pytest.raises(ValueError, match="another resource|Expected"):
            read_resource(body({**row, **change}), "r2lab")


def test_a_token_is_one_word_and_its_error_does_not_tell_it() -> None:
    assert read_token(body({"access_token": "abc.def-1", "token_type": "bearer"})) == "abc.def-1"
    for token in ("", "HUNTER2\r\nX-Evil: 1", "HUNTER2 ", "HUNTER2é", 5, None, "HUNTER2" * 5000):
        with pytest.raises(ValueError, match="Expected") as caught:
            read_token(body({"access_token": token}))
        assert "HUNTER2" not in str(caught.value)
