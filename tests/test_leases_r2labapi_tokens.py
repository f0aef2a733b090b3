"""Whom R2lab's REST service lets in, and what stays secret of that."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from imaging.errors import ConfigurationError, ImagingError
from imaging.leases.backend import Credentials, LeaseBackend
from imaging.leases.lease import Lease, LeaseRefusedError
from imaging.leases.opening import ask_leases, open_leases
from imaging.leases.r2labapi import credentials_of
from tests.lease_services import (
    ALICE,
    BAD_ANSWERS,
    TOKEN,
    ServedLeases,
    book,
    hour,
    served_leases,
)


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[ServedLeases]:
    async with served_leases(tmp_path) as served:
        yield served


async def test_a_token_that_has_expired(service: ServedLeases) -> None:
    service.fault("expired-token*1")
    with pytest.raises(LeaseRefusedError, match="does not take the token: it may have expired"):
        await book(service, 0, 1)
    service.fault("expired-token*1")
    login = Credentials("alice@testbed", "testbed")
    lease = await ask_leases(
        service.settings,
        lambda leases: leases.book(ALICE, "alice", hour(0), hour(1), None),
        login,
    )
    assert lease.holder == "alice"


async def test_without_a_token_there_is_a_login(service: ServedLeases) -> None:
    settings = service.with_settings(token="")
    asked: Callable[[LeaseBackend], Awaitable[Lease]] = lambda leases: leases.book(  # noqa: E731
        ALICE, "alice", hour(0), hour(1), None
    )
    with pytest.raises(ConfigurationError, match="wants a token"):
        await ask_leases(settings, asked)
    with pytest.raises(LeaseRefusedError, match="lets nobody in as a@b: Invalid credentials"):
        await ask_leases(settings, asked, Credentials("a@b", "wrong"))
    with pytest.raises(LeaseRefusedError, match="You are not a member of this slice"):
        await ask_leases(settings, asked, Credentials("bob@testbed", "testbed"))
    assert (await ask_leases(settings, asked, Credentials("alice@testbed", "testbed"))).end


def test_the_credentials_of_the_environment() -> None:
    both = {"R2LABAPI_EMAIL": "a@b", "R2LABAPI_PASSWORD": "hunter2"}
    assert credentials_of(both) == Credentials("a@b", "hunter2")
    assert credentials_of({"R2LABAPI_EMAIL": "a@b"}) is None
    assert credentials_of({**both, "R2LABAPI_PASSWORD": ""}) is None
    assert "hunter2" not in repr(credentials_of(both))


async def test_secrets_are_never_told(
    service: ServedLeases, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG, "imaging")
    told: list[str] = []

    async def gather(question: Awaitable[object]) -> None:
        try:
            await question
        except ImagingError as error:
            told.append(f"{error} {error!r} {error.__cause__!r}")

    echo = {"detail": f"you sent Bearer {TOKEN} and testbed-password \x1b[2J"}
    monkeypatch.setattr(
        "imaging.testbed.lease_service.LeaseService._log_in", lambda *_: (400, echo)
    )
    login = Credentials("alice@testbed", "testbed-password")
    for fault in ("expired-token", *(fault for fault, _ in BAD_ANSWERS)):
        service.fault(fault)
        await gather(book(service, 0, 1))
        await gather(
            ask_leases(
                service.settings,
                lambda leases: leases.book(ALICE, "alice", hour(0), hour(1), None),
                login,
            )
        )
    text = "\n".join(told) + caplog.text
    assert "you sent Bearer ******** and ********" in text
    assert TOKEN not in text
    assert "testbed-password" not in text
    assert "\x1b" not in text
    async with open_leases(service.settings, login) as leases:
        assert TOKEN not in repr(leases)


@pytest.mark.parametrize(
    ("token", "login", "holder", "words"),
    [
        ("", Credentials("alice@testbed", "geheim\udcff"), "alice", "the password for"),
        ("", Credentials("geheim\udcff", "testbed"), "alice", "the email for"),
        (TOKEN, None, "geheim\udcff", "the slice_name for"),
    ],
)
async def test_what_is_no_text_is_refused_and_not_told(
    service: ServedLeases, token: str, login: Credentials | None, holder: str, words: str
) -> None:
    with pytest.raises(ConfigurationError, match=f"{words} .* is not UTF-8 text") as caught:
        await ask_leases(
            service.with_settings(token=token),
            lambda leases: leases.book(ALICE, holder, hour(0), hour(1), None),
            login,
        )
    assert "geh" not in str(caught.value)
    assert caught.value.__context__ is None


async def test_secrets_are_not_sent_in_the_clear(service: ServedLeases) -> None:
    far = service.with_settings(url="http://leases.example.org")
    with pytest.raises(ConfigurationError, match="would be sent in the clear"):
        await ask_leases(far, lambda leases: leases.cancel(ALICE, "1", hour(0)))
