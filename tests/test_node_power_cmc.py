"""The CMC card over real connections: what it answers is checked, never trusted."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial

import pytest
import trio

from imaging.errors import NodeError, Reason
from imaging.node.power import PowerState
from imaging.node.power.asking import Asking
from imaging.node.power.cmc import CmcCard

Answer = Callable[[trio.SocketStream, bytes], Awaitable[None]]


@asynccontextmanager
async def card_answering(
    answer: Answer, attempts: int = 2
) -> AsyncIterator[tuple[CmcCard, list[bytes]]]:
    """A card whose server gives each connection to ``answer``, and the requests it got."""
    requests: list[bytes] = []

    async def handle(stream: trio.SocketStream) -> None:
        request = await stream.receive_some(4096)
        requests.append(bytes(request).split(b"\r\n")[0])
        with suppress(trio.BrokenResourceError):
            await answer(stream, bytes(request))
        await stream.aclose()

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, handle, 0, host="127.0.0.1"))
        port = listeners[0].socket.getsockname()[1]
        asking = Asking("fit01", f"its CMC 127.0.0.1:{port}", attempts, 0.2, 0.001)
        yield CmcCard("127.0.0.1", port, asking), requests
        nursery.cancel_scope.cancel()


def http(body: bytes, status: str = "200 OK") -> Answer:
    async def answer(stream: trio.SocketStream, request: bytes) -> None:
        head = f"HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
        await stream.send_all(head.encode() + body)

    return answer


def raw(data: bytes) -> Answer:
    async def answer(stream: trio.SocketStream, request: bytes) -> None:
        await stream.send_all(data)

    return answer


async def silence(stream: trio.SocketStream, request: bytes) -> None:
    await trio.sleep_forever()


@pytest.mark.parametrize(("body", "state"), [(b"on", "on"), (b"off\r\n", "off"), (b" ON ", "on")])
async def test_status(body: bytes, state: str) -> None:
    async with card_answering(http(body)) as (card, requests):
        assert await card.status() is PowerState(state)
    assert requests == [b"GET /status HTTP/1.1"]


async def test_orders_are_one_request_each() -> None:
    async with card_answering(http(b"ok\n")) as (card, requests):
        await card.reset()
        await card.turn_on()
        await card.turn_off()
    verbs = [request.split()[1] for request in requests]
    assert verbs == [b"/reset", b"/on", b"/off"]


@pytest.mark.parametrize(
    ("answer", "reason", "words"),
    [
        pytest.param(http(b"<html>"), Reason.POWER_REFUSED, "'<html>'", id="error-page"),
        pytest.param(http(b""), Reason.POWER_REFUSED, "''", id="empty"),
        pytest.param(http(b"on"), Reason.POWER_REFUSED, "not ok", id="other-word"),
        pytest.param(http(b"ok", "500 No"), Reason.POWER_REFUSED, "HTTP 500", id="http-500"),
        pytest.param(http(b"ok", "302 Go"), Reason.POWER_REFUSED, "HTTP 302", id="redirect"),
        pytest.param(http(b"x" * 9999), Reason.POWER_REFUSED, "4096 bytes", id="endless"),
        pytest.param(raw(b"\xff\x00garbage\r\n\r\n"), Reason.NO_CMC, "reset", id="garbage"),
        pytest.param(raw(b""), Reason.NO_CMC, "reset", id="closes"),
        pytest.param(raw(b"HTTP/1.1 200 OK\r\nx: " + b"y" * 99999), Reason.NO_CMC, "reset",
                     id="endless-head"),
        pytest.param(raw(b"HTTP/1.1 100 Continue\r\n\r\n"), Reason.NO_CMC, "without an answer",
                     id="never-more"),
        pytest.param(raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok"), Reason.NO_CMC, "reset",
                     id="short"),
        pytest.param(silence, Reason.NO_CMC, "within 0.2 s", id="hangs"),
    ],
)  # fmt: skip
async def test_bad_answers(answer: Answer, reason: Reason, words: str) -> None:
    with trio.fail_after(5):
        async with card_answering(answer) as (card, _):
            with pytest.raises(NodeError, match="fit01: its CMC") as caught:
                await card.reset()
    assert caught.value.reason is reason
    assert words in str(caught.value)


async def test_a_refused_connection_is_tried_again_and_then_told() -> None:
    with trio.fail_after(5):
        asking = Asking("fit01", "its CMC 127.0.0.1:1", 3, 0.2, 0.001)
        card = CmcCard("127.0.0.1", 1, asking)
        with pytest.raises(NodeError, match="does not answer to status") as caught:
            await card.status()
    assert "connection refused" in str(caught.value)
    assert caught.value.reason is Reason.NO_CMC


async def test_a_card_that_answers_the_second_time_is_fine() -> None:
    tries = 0

    async def answer(stream: trio.SocketStream, request: bytes) -> None:
        nonlocal tries
        tries += 1
        if tries > 1:
            await http(b"ok")(stream, request)

    async with card_answering(answer) as (card, requests):
        await card.reset()
    assert len(requests) == 2


async def test_a_status_that_is_none_and_what_it_cannot_do() -> None:
    with trio.fail_after(5):
        async with card_answering(http(b"maybe")) as (card, _):
            with pytest.raises(NodeError, match="answered 'maybe', neither on nor off"):
                await card.status()
            with pytest.raises(NodeError, match="asked for shutdown, knows no such thing"):
                await card.shut_down()
