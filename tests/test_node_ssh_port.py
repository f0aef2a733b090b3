"""The ssh port of a node, without a login: real sockets."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from imaging.node.ssh_port import LINES_LIMIT, find_banner, ssh_banner

HOST = "127.0.0.1"


@asynccontextmanager
async def listening(*pieces: bytes) -> AsyncIterator[int]:
    """A port that says these pieces and closes."""

    async def say(stream: trio.SocketStream) -> None:
        async with stream:
            for piece in pieces:
                await stream.send_all(piece)
                await trio.sleep(0.01)

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, say, 0, host=HOST))
        yield listeners[0].socket.getsockname()[1]
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("pieces", "banner"),
    [
        ((b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n",), "SSH-2.0-OpenSSH_9.2p1 Debian-2"),
        ((b"SSH-2.0-", b"dropbear\n"), "SSH-2.0-dropbear"),
        ((b"go away\r\nor not\r\nSSH-2.0-x\r\n",), "SSH-2.0-x"),
        ((b"SSH-2.0-without an end",), "SSH-2.0-without an end"),
        ((b"HTTP/1.1 400 Bad Request\r\n\r\n",), None),
        ((), None),
        ((b"x" * (LINES_LIMIT + 1), b"\nSSH-2.0-late\n"), None),
        ((b"SSH-2.0-\xff\xfe\n",), "SSH-2.0-\ufffd\ufffd"),
    ],
)
async def test_the_line_of_a_server(pieces: tuple[bytes, ...], banner: str | None) -> None:
    async with listening(*pieces) as port:
        with trio.fail_after(5):
            assert await ssh_banner(HOST, port) == banner


@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_have_a_banner_or_not(received: bytes, is_whole: bool) -> None:
    banner = find_banner(received, is_whole=is_whole)
    if banner is not None:
        assert banner.startswith("SSH-")
        assert "\n" not in banner
        assert b"SSH-" in received


@given(st.binary(max_size=50).filter(lambda text: b"SSH-" not in text))
def test_a_banner_is_found_behind_any_lines(before: bytes) -> None:
    received = before + b"\nSSH-2.0-x\r\nmore"
    assert find_banner(received, is_whole=False) == "SSH-2.0-x"


async def test_where_nobody_listens() -> None:
    async with listening() as port:
        pass
    with pytest.raises(ConnectionRefusedError):
        await ssh_banner(HOST, port)


async def test_a_port_that_says_nothing_is_left_at_once() -> None:
    async def say_nothing(stream: trio.SocketStream) -> None:
        assert await stream.receive_some(1) == b""
        closed.set()

    closed = trio.Event()
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, say_nothing, 0, host=HOST))
        with trio.move_on_after(0.05) as patience:
            await ssh_banner(HOST, listeners[0].socket.getsockname()[1])
        assert patience.cancelled_caught
        with trio.fail_after(5):
            await closed.wait()  # the connection is not left behind
        nursery.cancel_scope.cancel()
