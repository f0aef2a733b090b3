"""Changes on their way to a real websocket server, which may come and go."""

import json
import socket
import ssl
import urllib.parse
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import h11
import pytest
import trio
import trio_websocket
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from imaging.errors import ConfigurationError
from imaging.monitor.observations import Power, PowerSeen
from imaging.monitor.sidecar import BACKLOG, SidecarFace, check_url
from imaging.monitor.testbed import Testbed

HOST = "127.0.0.1"


class Server:
    """A websocket server that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        self.connections = 0
        self._news = trio.Event()

    async def serve(self, request: trio_websocket.WebSocketRequest) -> None:
        """One connection."""
        connection = await request.accept()
        self.connections += 1
        try:
            while True:
                self.told.append(json.loads(await connection.get_message()))
                self._news.set()
        except trio_websocket.ConnectionClosed:
            pass

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until it has been told so."""
        with trio.fail_after(5):
            while not condition():
                self._news = trio.Event()
                await self._news.wait()


def free_port() -> int:
    with socket.create_server((HOST, 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


@asynccontextmanager
async def listening(
    handler: Callable[[trio_websocket.WebSocketRequest], Awaitable[None]], port: int = 0
) -> AsyncIterator[int]:
    async with trio.open_nursery() as nursery:
        serve = partial(trio_websocket.serve_websocket, handler, HOST, port, ssl_context=None)
        server = await nursery.start(serve)
        yield server.port
        nursery.cancel_scope.cancel()


class Told:
    """A testbed of one node whose changes go to a sidecar."""

    def __init__(self, port: int, retry_s: float = 0.02) -> None:
        self.testbed = Testbed.of(["fit01"])
        self.face = SidecarFace(self.testbed, f"ws://{HOST}:{port}/", retry_s, 0.1, 0.05)

    def see(self, power: Power, message: str = "") -> None:
        """The node's power changes."""
        before = self.testbed.nodes["fit01"]
        after = self.testbed.fold(PowerSeen(1.0, "fit01", power, message))
        if after is not None:
            self.face.take(1.0, before, after)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The face at work; its end takes no time."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.face.run)
            yield
            nursery.cancel_scope.cancel()
            ended = trio.current_time()
        assert trio.current_time() - ended < 0.5


async def test_it_is_told_all_nodes_and_then_changes() -> None:
    server = Server()
    async with listening(server.serve) as port:
        told = Told(port)
        told.see(Power.ON)
        async with told.running():
            await server.until(lambda: len(server.told) == 1)
            told.see(Power.OFF)
            await server.until(lambda: len(server.told) == 2)
            assert told.face.end(0) is None
    first, second = server.told
    assert (first["event"], first["nodes"][0]["power"]) == ("testbed", "on")
    assert (second["event"], second["node"]["power"]) == ("changed", "off")


async def test_it_is_told_that_leases_are_not_known() -> None:
    server = Server()
    async with listening(server.serve) as port:
        told = Told(port)
        told.face.take_leases(1.0, "nobody is connected yet")
        async with told.running():
            await server.until(lambda: len(server.told) == 1)
            told.face.take_leases(1.0, "out of reach")
            await server.until(lambda: len(server.told) == 2)
    assert server.told[1]["leases"] == {"known": False, "problem": "out of reach"}


async def test_a_server_that_comes_late_and_goes_is_told_everything_anew() -> None:
    port = free_port()
    told = Told(port)
    async with told.running():
        await trio.sleep(0.1)
        assert (told.face.end(0) or "").endswith("/ was not told: connection refused")
        for power in (Power.ON, Power.OFF):
            told.see(power)  # while nobody is there
            server = Server()
            async with listening(server.serve, port):
                await server.until(lambda: bool(server.told))  # noqa: B023 - awaited at once
            assert server.told[0]["nodes"][0]["power"] == power
            assert server.connections == 1


async def test_it_is_asked_more_and_more_rarely() -> None:
    attempts: list[float] = []

    async def refuse(stream: trio.SocketStream) -> None:
        attempts.append(trio.current_time())
        await stream.receive_some(65536)
        await stream.send_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        await stream.aclose()

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, refuse, 0, host=HOST))
        told = Told(listeners[0].socket.getsockname()[1], retry_s=0.01)
        async with told.running():
            await trio.sleep(1.0)
        nursery.cancel_scope.cancel()
    assert 5 <= len(attempts) <= 20  # 0.01, 0.02, 0.04, 0.08, then 0.1 s


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"\0\xff" * 1000,
        b"SSH-2.0-OpenSSH_9.2\r\n",
    ],
)
async def test_what_is_no_websocket_is_told_at_the_end(said: bytes) -> None:
    async def say(stream: trio.SocketStream) -> None:
        await stream.receive_some(65536)
        await stream.send_all(said)
        await stream.aclose()

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, say, 0, host=HOST))
        told = Told(listeners[0].socket.getsockname()[1])
        async with told.running():
            await trio.sleep(0.15)
        nursery.cancel_scope.cancel()
    assert (told.face.end(0) or "").startswith(f"the sidecar ws://{HOST}:")


async def test_a_server_that_takes_nothing_is_let_be() -> None:
    connected = trio.Event()

    async def sleep(request: trio_websocket.WebSocketRequest) -> None:
        await request.accept()
        connected.set()
        await trio.sleep_forever()

    async with listening(sleep) as port:
        told = Told(port)
        async with told.running():
            with trio.fail_after(5):
                await connected.wait()
            await trio.sleep(0.05)
            for number in range(20 * BACKLOG):  # more than any buffer holds
                told.see(Power.NO_CMC, f"{number} " + "x" * 500)
                if number % 64 == 0:
                    await trio.lowlevel.checkpoint()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for localhost with its key, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("certificate") / "both.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.write_bytes(private + built.public_bytes(Encoding.PEM))
    return file


@asynccontextmanager
async def listening_securely(server: Server, certificate: Path) -> AsyncIterator[int]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    async with trio.open_nursery() as nursery:
        serve = partial(trio_websocket.serve_websocket, server.serve, HOST, 0, ssl_context=context)
        started = await nursery.start(serve)
        yield started.port
        nursery.cancel_scope.cancel()


async def test_a_server_is_told_over_tls(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    server = Server()
    async with listening_securely(server, certificate) as port:
        face = SidecarFace(Testbed.of(["fit01"]), f"wss://localhost:{port}/", 0.02, 0.1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(face.run)
            await server.until(lambda: bool(server.told))
            nursery.cancel_scope.cancel()
    assert server.told[0]["event"] == "testbed"


async def test_a_certificate_that_nobody_vouches_for_is_not_believed(certificate: Path) -> None:
    server = Server()
    async with listening_securely(server, certificate) as port:
        face = SidecarFace(Testbed.of(["fit01"]), f"wss://localhost:{port}/", 0.02, 0.1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(face.run)
            await trio.sleep(0.3)
            nursery.cancel_scope.cancel()
    assert (face.end(0) or "").endswith("TLS: certificate verify failed")
    assert server.told == []


async def test_changes_come_while_a_connection_ends() -> None:
    async def leave(request: trio_websocket.WebSocketRequest) -> None:
        connection = await request.accept()
        await connection.get_message()

    async with listening(leave) as port:
        told = Told(port, retry_s=0.001)
        async with told.running():
            with trio.move_on_after(0.5):
                while True:
                    for power in (Power.ON, Power.OFF):
                        told.see(power)
                        await trio.lowlevel.checkpoint()


async def test_what_it_says_is_forgotten() -> None:
    server = Server()

    async def chat(request: trio_websocket.WebSocketRequest) -> None:
        connection = await request.accept()
        for _ in range(50):
            await connection.send_message("x" * 60000)
        server.told.append(json.loads(await connection.get_message()))
        await connection.get_message()

    async with listening(chat) as port:
        told = Told(port)
        async with told.running():
            with trio.fail_after(5):
                while not server.told:  # noqa: ASYNC110 - the server has no event
                    await trio.sleep(0.01)


@pytest.mark.parametrize(
    "url",
    [
        *(
            "",
            "http://host/",
            "ws://",
            "ws://:80/",
            "ws://host:99999/",
            "ws://host:0/",
            "ws://[::1",
        ),
        *("ws://me:x@host/", "ws://@host/", "ws://h/#a", "ws://h/#", "ws://[1:2]/"),
        *(
            "ws://a..b/",
            "ws://.a/",
            f"ws://{'a' * 64}/",
            "ws://a%20b/",
            "ws://a,b/",
            "ws://h\xf6st/",
        ),
        *("ws://host/\xe9", "ws://host/a b", "ws://host/\n", " ws://host/", "ws://host/\udcff"),
    ],
)
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="--sidecar"):
        check_url("--sidecar", url)


@given(st.text(st.sampled_from("aA0.-_:/@[]%?#&= \t\n\xe9\udcff"), max_size=12))
def test_a_url_that_is_not_refused_can_be_connected_to(rest: str) -> None:
    try:
        parts = urllib.parse.urlsplit(check_url("--sidecar", f"ws://{rest}"))
    except ConfigurationError:
        return
    assert parts.hostname
    parts.hostname.encode("idna")
    target = f"{parts.path or '/'}?{parts.query}"
    h11.Request(method="GET", target=target, headers=[("Host", parts.netloc)])


@pytest.mark.parametrize("what", ["ws://h:99999/?token=geheim", "ws://me:geheim@host/"])
def test_a_url_that_is_refused_is_not_told(what: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        check_url("--sidecar", what)
    assert "geheim" not in f"{refused.value}{refused.value.hint}"


async def test_no_secret_of_the_url_is_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    server = Server()
    port = free_port()
    url = f"ws://{HOST}:{port}/place?token=geheim"
    face = SidecarFace(Testbed.of(["fit01"]), url, 0.01, 0.02)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(face.run)
        await trio.sleep(0.1)
        told = face.end(0) or ""
        async with listening(server.serve, port):
            await server.until(lambda: bool(server.told))
        nursery.cancel_scope.cancel()
    assert f"ws://{HOST}:{port}/place" in told
    assert "connected" in caplog.text
    assert "geheim" not in told + caplog.text


def test_urls_of_websockets() -> None:
    for url in ("ws://host", "wss://host:443/path?query", "ws://[::1]:80/"):
        assert check_url("--sidecar", url) == url
