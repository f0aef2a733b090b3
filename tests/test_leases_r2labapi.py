"""Leases of R2lab's REST service, as the virtual testbed serves it, and as it should not be."""

import os
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio

from imaging.errors import ConfigurationError
from imaging.feedback.wording import LATEST_S
from imaging.leases.lease import Lease, LeaseRefusedError, LeaseServiceError
from imaging.leases.opening import ask_leases, open_leases
from imaging.site.schema import LeasesSettings
from tests.lease_services import (
    ALICE,
    BAD_ANSWERS,
    HOUR,
    MINUTE,
    ServedLeases,
    book,
    held,
    hour,
    served_leases,
)

if TYPE_CHECKING:
    from imaging.leases.backend import LeaseBackend

LATE_S = 1.5  # two shared cores are not a stopwatch


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[ServedLeases]:
    async with served_leases(tmp_path) as served:
        yield served


async def test_a_lease_from_booking_to_cancelling(service: ServedLeases) -> None:
    async with open_leases(service.settings) as leases:
        assert leases is not None
        assert leases.place == service.settings.url
        assert await leases.granularity() == MINUTE
        now = hour(0)
        running = await leases.book(ALICE, "alice", now - HOUR, now + HOUR, None)
        coming = await leases.book(ALICE, "bob", now + 2 * HOUR, now + 3 * HOUR, None)
        assert running == Lease("1", "alice", now - HOUR, now + HOUR)
        assert await leases.between(0, LATEST_S) == [running, coming]
        assert await leases.between(now + HOUR, now + 2 * HOUR + 1) == [coming]
        assert await leases.current(time.time()) == [running]
        longer = await leases.extend(ALICE, "1", now + 2 * HOUR)
        assert longer == Lease("1", "alice", now - HOUR, now + 2 * HOUR)
        assert await leases.cancel(ALICE, "2", time.time()) is None
        ended = await leases.cancel(ALICE, "1", time.time())
        assert ended is not None
        assert ended.end <= time.time()
        assert await leases.current(time.time()) == []


async def test_what_the_service_refuses_is_refused_in_its_words(service: ServedLeases) -> None:
    await book(service, 0, 2)
    changes: list[tuple[Callable[[LeaseBackend], Awaitable[object]], str]] = [
        (
            lambda one: one.book(ALICE, "bob", hour(1), hour(3), None),
            r"Overlaps with lease 1 \(ali",
        ),
        (lambda one: one.book(ALICE, "bob", hour(3) + 1, hour(4), None), "aligned to 60s"),
        (lambda one: one.extend(ALICE, "7", hour(5)), "Lease not found"),
        (lambda one: one.extend(ALICE, "1", hour(-1)), "t_from must be before t_until"),
        (
            lambda one: one.cancel(ALICE, "../resources", hour(0)),
            "there is no lease '../resources'",
        ),
        (lambda one: one.cancel(ALICE, "1" * 50, hour(0)), "there is no lease"),
    ]
    for change, words in changes:
        with pytest.raises(LeaseRefusedError, match=words):
            await ask_leases(service.settings, change)
    with pytest.raises(ConfigurationError, match="of the whole testbed, not of nodes"):
        await ask_leases(
            service.settings, lambda one: one.book(ALICE, "a", hour(3), hour(4), ("fit01",))
        )
    assert len(await held(service.settings)) == 1


async def test_leases_of_other_resources_do_not_count(service: ServedLeases) -> None:
    start = time.time() // HOUR * HOUR
    await ask_leases(
        service.with_settings(resource="elsewhere"),
        lambda leases: leases.book(ALICE, "alice", start, start + HOUR, None),
    )
    assert await held(service.settings) == []
    assert len(await held(service.with_settings(resource="elsewhere"))) == 1


async def test_a_resource_that_is_not_there(service: ServedLeases) -> None:
    with pytest.raises(LeaseServiceError, match="answers HTTP 404: Resource not found"):
        await held(service.with_settings(resource="nowhere"))


# what httpx makes a request of, or else an error of one kind or another
NO_PLACES = ["http://xn--a/x", "http://[::1", "http://a:b/", "//[", "?" * 3000, ""]


@pytest.mark.parametrize("place", NO_PLACES, ids=lambda place: place[:20])
async def test_where_a_redirect_goes_is_not_even_looked_at(
    service: ServedLeases, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imaging.testbed.lease_service.NO_PLACE", place)
    service.fault("redirect-nonsense")
    with pytest.raises(LeaseServiceError) as caught:
        await held(service.settings)
    told = f"the lease service {service.settings.url} redirects to {place}"
    assert str(caught.value).startswith(told[:150])


@pytest.mark.parametrize("place", ["http://xn--a", "http://xn--zz--", "http://a:b", "http://[x]"])
async def test_pages_that_go_on_at_no_place(
    service: ServedLeases, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await book(service, 0, 1)
    await book(service, 1, 2)
    rows = "imaging.testbed.lease_service.LeaseService._page"
    monkeypatch.setattr(rows, lambda *_: (200, [], [("Link", f'<{place}/>; rel="next"')]))
    with pytest.raises(LeaseServiceError, match="goes on at what is no URL"):
        await held(service.settings)


@pytest.mark.parametrize(("fault", "words"), BAD_ANSWERS)
async def test_a_service_that_misbehaves_is_an_error_and_never_no_lease(
    service: ServedLeases, fault: str, words: str
) -> None:
    await book(service, 0, 2)
    service.fault(fault)
    started = trio.current_time()
    with pytest.raises(LeaseServiceError) as caught:
        await held(service.settings)
    assert str(caught.value).startswith(f"the lease service {service.settings.url} {words}")
    assert str(caught.value).isprintable()
    assert trio.current_time() - started < 3 * 0.3 + LATE_S


async def test_an_endless_answer_is_bounded_in_time_and_size(
    service: ServedLeases, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.fault("flood")
    with pytest.raises(LeaseServiceError, match="does not answer: no answer within"):
        await held(service.settings)
    monkeypatch.setattr("imaging.leases.rest.ANSWER_LIMIT", 10_000)
    with pytest.raises(LeaseServiceError, match="sent more than 10000 bytes"):
        await held(service.with_settings(request_timeout_s=3.0))


async def test_all_pages_together_are_bounded_in_size(
    service: ServedLeases, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(9):
        await book(service, number, number + 1)
    whole = await held(service.settings)
    monkeypatch.setattr("imaging.leases.rest.ANSWER_LIMIT", 1000)  # six leases, but not nine
    service.fault("pages:3")
    with pytest.raises(LeaseServiceError, match="sent more than 1000 bytes"):
        await held(service.settings)
    monkeypatch.setattr("imaging.leases.rest.ANSWER_LIMIT", 4000)
    assert await held(service.settings) == whole


async def test_the_whole_question_has_its_time(service: ServedLeases) -> None:
    service.fault("hang")
    started = trio.current_time()
    with pytest.raises(LeaseServiceError, match=r"do not answer within 0\.2 s"):
        await held(service.with_settings(timeout_s=0.2, request_timeout_s=3.0))
    assert trio.current_time() - started < LATE_S


@pytest.mark.parametrize("fault", ["down*2", "http-500*2", "garbage*2", "hang*2"])
async def test_questions_are_repeated(service: ServedLeases, fault: str) -> None:
    await book(service, 0, 2)
    service.fault(fault)
    assert len(await held(service.settings)) == 1
    service.fault(fault)
    with pytest.raises(LeaseServiceError):
        await held(service.with_settings(attempts=2))


@pytest.mark.parametrize("fault", ["hang", "garbage", "http-500"])
async def test_a_booking_is_sent_once_and_its_failure_says_what_is_not_known(
    service: ServedLeases, fault: str
) -> None:
    async with open_leases(service.settings) as leases:
        assert leases is not None
        service.fault(f"{fault}*1")
        before = len(service.requests)
        with pytest.raises(LeaseServiceError) as caught:
            await leases.book(ALICE, "alice", hour(0), hour(1), None)
    assert len(service.requests) == before + 1
    if fault != "http-500":
        assert "it may have done it: imaging-leases tells" in str(caught.value)


async def test_an_extension_is_repeated_since_twice_is_once(service: ServedLeases) -> None:
    await book(service, 0, 1)
    service.fault("hang*1")
    longer = await ask_leases(service.settings, lambda leases: leases.extend(ALICE, "1", hour(2)))
    assert longer.end == hour(2)


async def test_a_port_at_which_nobody_is(service: ServedLeases) -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    await listener.aclose()
    settings = service.with_settings(url=f"http://127.0.0.1:{port}")
    with pytest.raises(LeaseServiceError, match="does not answer: connection refused") as caught:
        await held(settings)
    assert settings.url in str(caught.value)
    # what was never sent cannot have been done
    with pytest.raises(LeaseServiceError) as caught:
        await ask_leases(settings, lambda one: one.book(ALICE, "alice", hour(0), hour(1), None))
    assert "may have done it" not in str(caught.value)


async def test_all_pages_are_read(service: ServedLeases) -> None:
    for number in range(7):
        await book(service, number, number + 1)
    whole = await held(service.settings)
    for size in (1, 3, 7, 100):
        service.fault(f"pages:{size}")
        assert await held(service.settings) == whole


async def test_half_of_the_pages_are_no_answer(
    service: ServedLeases, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        await book(service, number, number + 1)
    monkeypatch.setattr("imaging.leases.r2labapi.PAGES", 2)
    service.fault("pages:1")
    with pytest.raises(LeaseServiceError, match="has more leases than the 3 that it sent"):
        await held(service.settings)
    monkeypatch.setattr("httpx.Response.links", {})  # as if it did not say where they go on
    service.fault("pages:3")
    with pytest.raises(LeaseServiceError, match="has more leases than the 3 that it sent"):
        await held(service.settings)


async def test_pages_elsewhere_are_not_followed(service: ServedLeases) -> None:
    for number in range(2):
        await book(service, number, number + 1)
    service.fault("pages:1")
    other = service.settings.url.replace("127.0.0.1", "localhost")
    with pytest.raises(LeaseServiceError, match="goes on elsewhere, which is not followed"):
        await held(service.with_settings(url=other))


async def test_certificates_that_are_none(service: ServedLeases, tmp_path: Path) -> None:
    (tmp_path / "none.pem").write_text("nothing")
    for name in ("none.pem", "missing.pem"):
        settings = service.with_settings(url="https://localhost:1", ca_file=tmp_path / name)
        with pytest.raises(ConfigurationError, match=f"ca_file .*{name}"):
            await held(settings)


async def test_certificates_that_cannot_be_read_in_time(
    service: ServedLeases, tmp_path: Path
) -> None:
    hanging = tmp_path / "hanging.pem"
    os.mkfifo(hanging)  # as a file on a server that is gone
    settings = service.with_settings(url="https://localhost:1", ca_file=hanging, timeout_s=0.3)
    late = threading.Timer(5, hanging.write_text, [""])  # ends the wait, and lets the test fail
    late.start()
    started = time.monotonic()
    try:
        with pytest.raises(LeaseServiceError, match="do not answer within 0.3 s"):
            await held(settings)
        assert time.monotonic() - started < LATE_S
    finally:
        late.cancel()
        with suppress(OSError):  # nobody waits any more
            os.close(os.open(hanging, os.O_WRONLY | os.O_NONBLOCK))


async def test_a_service_that_cannot_be_proven_is_not_believed(service: ServedLeases) -> None:
    with pytest.raises(LeaseServiceError, match="does not answer: "):
        await held(service.with_settings(url=service.settings.url.replace("http:", "https:")))


async def test_a_question_that_is_cancelled_leaves_nothing(service: ServedLeases) -> None:
    service.fault("hang")
    with trio.move_on_after(0.1) as scope:
        await held(service.with_settings(request_timeout_s=3.0))
    assert scope.cancelled_caught


async def test_a_site_without_leases() -> None:
    async with open_leases(LeasesSettings()) as leases:
        assert leases is None
    with pytest.raises(ConfigurationError, match="this site has no leases"):
        await held(LeasesSettings())
