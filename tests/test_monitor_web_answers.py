"""What the page and the metrics refuse alike, asked over real sockets."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import h2.config
import h2.connection
import h2.events
import h2.settings
import pytest
import trio

from imaging.monitor.faces import Face
from imaging.monitor.records import HistoryProbe
from imaging.monitor.testbed import Testbed
from imaging.monitor.web.address import listen, parse_place
from imaging.monitor.web.metrics import MetricsFace
from imaging.monitor.web.page_face import PageFace

REQUESTS = 70  # more than any setting lets follow by default
UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\n"
    b"Upgrade: h2c\r\nHTTP2-Settings: %s\r\n\r\n"
)


def page() -> tuple[Face, int]:
    listening = listen("--web", parse_place("--web", "0"))
    return PageFace(Testbed.of(["fit01"]), listening, (), 64), listening.getsockname()[1]


def metrics() -> tuple[Face, int]:
    listening = listen("--prometheus", parse_place("--prometheus", "0"))
    history = HistoryProbe(Path("nowhere"), [], lambda _: None)
    face = MetricsFace(Testbed.of(["fit01"]), history, listening, ())
    return face, listening.getsockname()[1]


@asynccontextmanager
async def connected(serve: Callable[[], tuple[Face, int]]) -> AsyncIterator[trio.SocketStream]:
    face, port = serve()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(face.run)
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            yield stream
        nursery.cancel_scope.cancel()


def client_without_window() -> h2.connection.H2Connection:
    """It takes no byte of any body, ever."""
    client = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    window = {h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 0}
    client.local_settings = h2.settings.Settings(client=True, initial_values=window)
    return client


async def answers(
    stream: trio.SocketStream, client: h2.connection.H2Connection, count: int, received: bytes = b""
) -> list[bytes]:
    """The status of each answer, when so many have ended."""
    statuses: list[bytes] = []
    ended = 0
    with trio.fail_after(5):
        while True:
            for event in client.receive_data(received):
                if isinstance(event, h2.events.ResponseReceived):
                    assert event.headers is not None
                    statuses += [
                        bytes(value) for name, value in event.headers if name == b":status"
                    ]
                ended += isinstance(event, h2.events.StreamEnded)
            if ended == count:
                return statuses
            await stream.send_all(client.data_to_send())
            received = bytes(await stream.receive_some())
            assert received


@pytest.mark.parametrize("path", ["/", "/events", "/metrics"])
@pytest.mark.parametrize("serve", [page, metrics])
async def test_no_answer_waits_for_a_window_of_http_2(
    serve: Callable[[], tuple[Face, int]], path: str
) -> None:
    client = client_without_window()
    client.initiate_connection()
    for number in range(REQUESTS):
        request = [(":method", "GET"), (":path", path), (":scheme", "http")]
        client.send_headers(
            2 * number + 1, [*request, (":authority", "localhost")], end_stream=True
        )
    async with connected(serve) as stream:
        assert await answers(stream, client, REQUESTS) == [b"505"] * REQUESTS


@pytest.mark.parametrize("serve", [page, metrics])
async def test_no_request_becomes_one_of_http_2(serve: Callable[[], tuple[Face, int]]) -> None:
    client = client_without_window()
    settings = client.initiate_upgrade_connection()
    assert settings is not None
    async with connected(serve) as stream:
        await stream.send_all(UPGRADE % settings)
        switched, end, rest = bytes(await stream.receive_some()).partition(b"\r\n\r\n")
        assert (switched[:12], end) == (b"HTTP/1.1 101", b"\r\n\r\n")
        assert await answers(stream, client, 1, rest) == [b"505"]
