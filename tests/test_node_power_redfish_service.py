"""The Redfish service of a BMC: logins, sessions that are ended, and where nothing is followed."""

import base64
import json
import re
from contextlib import AsyncExitStack

import pytest
import trio

from imaging.errors import ConfigurationError, NodeError
from imaging.guard import NO_GUARD
from imaging.node.power import PowerState
from imaging.node.power.opening import open_card
from imaging.node.power.readiness import ready_cards
from tests.power_cards import (
    PASSWORD,
    SYSTEM,
    answering,
    document,
    http,
    node_with,
    quick_settings,
    redfish_card,
)


class Sessions:
    """A BMC with sessions; ``forbidden`` is what it says to a reader who has logged in."""

    def __init__(self, host: str = "", *, forbidden: str = "") -> None:
        self.live: list[str] = []
        self.made = 0
        self._host = host
        self._forbidden = forbidden

    def answer(self, request: bytes) -> bytes:
        head, _, body = request.decode().partition("\r\n\r\n")
        found = re.search("x-auth-token: ([^\r]*)", head, re.IGNORECASE)
        token = found[1] if found else ""
        match head.split()[:2]:
            case ["POST", "/redfish/v1/SessionService/Sessions"]:
                if json.loads(body) != {"UserName": "admin", "Password": PASSWORD}:
                    return http("401 No", b"")
                self.made += 1
                self.live.append(f"token-{self.made}")
                place = f"{self._host}/redfish/v1/SessionService/Sessions/{self.made}"
                return http("201 Made", b"{}", f"X-Auth-Token: token-{self.made}",
                            f"Location: {place}")  # fmt: skip
            case ["GET", _] if self._forbidden:
                return http(self._forbidden, b"")
            case ["DELETE", place] if token in self.live and place.startswith("/redfish/"):
                self.live.remove(token)
                return http("204 Gone", b"")
            case ["GET", _] if token in self.live:
                return http("200 OK", json.dumps(SYSTEM).encode())
        return http("401 No", b"")


async def test_a_session_is_used_made_again_and_ended() -> None:
    bmc = Sessions()
    with trio.fail_after(10):
        async with AsyncExitStack() as stack:
            login = {"authentication": "session", "user": "admin", "password": PASSWORD}
            card = await redfish_card(stack, bmc.answer, **login)
            assert await card.status() is PowerState.ON
            assert await card.status() is PowerState.ON
            assert (bmc.made, bmc.live) == (1, ["token-1"])
            bmc.live.clear()
            assert await card.status() is PowerState.ON
            assert (bmc.made, bmc.live) == (2, ["token-2"])
            assert PASSWORD not in repr(card)
            assert "token-2" not in repr(card)
            await stack.aclose()
    assert bmc.live == []


async def test_a_session_is_ended_when_the_run_is_cancelled() -> None:
    bmc = Sessions()
    async with AsyncExitStack() as stack:
        login = {"authentication": "session", "user": "admin", "password": PASSWORD}
        port, _ = await stack.enter_async_context(answering(bmc.answer))
        site = quick_settings(power_redfish={"scheme": "http", "port": port, **login})
        node = node_with("redfish", system="1")
        cards = ready_cards([node], site)
        with trio.CancelScope() as scope:
            async with open_card(node, cards, NO_GUARD) as card:
                await card.status()
                scope.cancel()
                await trio.sleep_forever()
    assert (bmc.made, bmc.live) == (1, [])


@pytest.mark.parametrize("host", ["https://127.0.0.1", "HTTPS://bmc01.example:443"])
async def test_a_session_is_ended_whatever_name_the_bmc_gives_itself(host: str) -> None:
    bmc = Sessions(host)
    with trio.fail_after(10):
        async with AsyncExitStack() as stack:
            login = {"authentication": "session", "user": "admin", "password": PASSWORD}
            card = await redfish_card(stack, bmc.answer, **login)
            assert await card.status() is PowerState.ON
            await stack.aclose()
    assert (bmc.made, bmc.live) == (1, [])


async def test_no_session_is_left_at_a_bmc_that_refuses_what_it_is_asked() -> None:
    bmc = Sessions(forbidden="401 No")
    with trio.fail_after(10):
        async with AsyncExitStack() as stack:
            login = {"authentication": "session", "user": "admin", "password": PASSWORD}
            card = await redfish_card(stack, bmc.answer, **login)
            for _ in range(2):
                with pytest.raises(NodeError, match="refuses the user 'admin'"):
                    await card.status()
                assert len(bmc.live) == 1
            await stack.aclose()
    assert bmc.live == []


async def test_a_wrong_password_makes_no_session() -> None:
    async with AsyncExitStack() as stack:
        login = {"authentication": "session", "user": "admin", "password": "wrong"}
        card = await redfish_card(stack, Sessions().answer, **login)
        with pytest.raises(NodeError, match="refuses the user 'admin'"):
            await card.status()


async def test_basic_authentication_is_a_header() -> None:
    async with answering(document(SYSTEM)) as (port, requests):
        login = {"scheme": "http", "port": port, "user": "admin", "password": PASSWORD}
        node = node_with("redfish", system="1")
        cards = ready_cards([node], quick_settings(power_redfish=login))
        async with open_card(node, cards, NO_GUARD) as card:
            await card.status()
    told = base64.b64encode(f"admin:{PASSWORD}".encode())
    assert b"authorization: basic " + told.lower() in requests[0].lower()


def test_no_password_goes_over_the_network_in_the_clear() -> None:
    site = quick_settings(power_redfish={"scheme": "http", "password": PASSWORD})
    with pytest.raises(ConfigurationError, match="in the clear to the BMC 10.0.0.1 of fit01"):
        ready_cards([node_with("redfish", "10.0.0.1")], site)


async def test_a_bmc_that_cannot_reset_or_gives_no_session() -> None:
    async with AsyncExitStack() as stack:
        card = await redfish_card(stack, document({"PowerState": "On"}))
        with pytest.raises(NodeError, match=r"asked for reset, has no ComputerSystem\.Reset"):
            await card.reset()
        login = {"authentication": "session", "user": "admin", "password": PASSWORD}
        card = await redfish_card(stack, document(SYSTEM), **login)
        with pytest.raises(NodeError, match="gave no session to who has logged in"):
            await card.status()


@pytest.mark.parametrize("host", ["", "http://bmc01.example"])
async def test_a_bmc_may_want_a_slash_behind_each_path(host: str) -> None:
    asked: list[str] = []

    def answer(request: bytes) -> bytes:
        method, path = request.decode().split()[:2]
        asked.append(f"{method} {path}")
        if not path.endswith("/"):
            return http("308 Elsewhere", b"", f"Location: {host}{path}/")
        return http("200 OK", json.dumps(SYSTEM).encode())

    async with AsyncExitStack() as stack:
        card = await redfish_card(stack, answer)
        await card.reset()
    assert asked == [
        f"{method} /redfish/v1/Systems/1{rest}"
        for method, name in (("GET", ""), ("POST", "/Reset"))
        for rest in (name, f"{name}/")
    ]


@pytest.mark.parametrize(
    "place", ["/redfish/v1/Systems/2", "//127.0.0.1:1/", "/redfish/v1/Systems/1"]
)
async def test_a_bmc_that_leads_elsewhere_is_not_followed(place: str) -> None:
    async with AsyncExitStack() as stack:
        card = await redfish_card(stack, lambda _: http("308 Elsewhere", b"", f"Location: {place}"))
        with pytest.raises(NodeError, match="answered HTTP 308"):
            await card.status()


async def test_a_bmc_that_always_wants_one_more_slash_is_asked_once_more() -> None:
    asked: list[str] = []

    def answer(request: bytes) -> bytes:
        asked.append(request.decode().split()[1])
        return http("308 Elsewhere", b"", f"Location: {asked[-1]}/")

    async with AsyncExitStack() as stack:
        card = await redfish_card(stack, answer)
        with pytest.raises(NodeError, match="answered HTTP 308"):
            await card.status()
    assert asked == ["/redfish/v1/Systems/1", "/redfish/v1/Systems/1/"]
