"""Serving an ASGI application with hypercorn's trio worker, in bounds.

hypercorn shields what it sends from cancellation, without a limit: a client that reads no more
would hold up the end of the monitor. So its worker gets streams which give up by themselves, and
which are closed under it at the end.
"""

import logging
import socket
from typing import cast

import trio
from hypercorn.config import Config
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ASGIFramework, ConnectionState, LifespanState
from hypercorn.utils import wrap_app

log = logging.getLogger(__name__)

SEND_LIMIT_S = 5.0  # for one piece of an answer
HEADER_LIMIT = 16 * 1024  # bytes
BODY_LIMIT = 64 * 1024  # bytes; nobody has a reason to send any
REQUESTS_LIMIT_S = 10.0  # a connection without a request in progress is closed after so long


class BoundedStream:
    """A connection as hypercorn wants it, on which no sending takes for ever."""

    def __init__(self, stream: trio.SocketStream, send_limit_s: float) -> None:
        """``stream`` is ours from now on."""
        self.socket = stream.socket
        self._stream = stream
        self._send_limit_s = send_limit_s

    async def send_all(self, data: bytes) -> None:
        """Send it within the limit. Raises trio.BrokenResourceError."""
        try:
            with trio.fail_after(self._send_limit_s):
                await self._stream.send_all(data)
        except trio.TooSlowError as error:
            raise trio.BrokenResourceError("the client reads no more") from error

    async def receive_some(self, limit: int) -> bytes:
        """What has come."""
        return bytes(await self._stream.receive_some(limit))

    async def send_eof(self) -> None:
        """Nothing more is sent."""
        await self._stream.send_eof()

    async def aclose(self) -> None:
        """Close it."""
        await self._stream.aclose()

    def close(self) -> None:
        """Close it at once: whoever is at it learns that."""
        self.socket.close()


class WebServer:
    """Serves one application at one address."""

    def __init__(
        self,
        application: ASGIFramework,
        listening: socket.socket,
        limit: int,
        send_limit_s: float = SEND_LIMIT_S,
    ) -> None:
        """``limit`` is how many connections there may be; ``listening`` is ours from now on.

        A client that does not take a piece of an answer in ``send_limit_s`` seconds is let go.
        """
        self._send_limit_s = send_limit_s
        self._application = wrap_app(application, BODY_LIMIT, "asgi")
        self._listening = listening
        self._places = trio.CapacityLimiter(limit)
        self._open: set[BoundedStream] = set()
        self._config = Config()
        self._config.accesslog = None
        self._config.errorlog = log
        self._config.include_server_header = False
        self._config.h11_max_incomplete_size = HEADER_LIMIT
        self._config.keep_alive_timeout = REQUESTS_LIMIT_S
        self._context = WorkerContext(None)

    async def run(self) -> None:
        """Serve until cancelled."""
        listener = trio.SocketListener(trio.socket.from_stdlib_socket(self._listening))
        async with listener, trio.open_nursery() as connections:
            try:
                await trio.serve_listeners(self._serve, [listener], handler_nursery=connections)
            finally:
                for stream in self._open:
                    stream.close()

    async def _serve(self, stream: trio.SocketStream) -> None:
        """One connection; one too many is closed at once."""
        try:
            self._places.acquire_on_behalf_of_nowait(stream)
        except trio.WouldBlock:
            stream.socket.close()
            return
        bounded = BoundedStream(stream, self._send_limit_s)
        self._open.add(bounded)
        try:
            state = ConnectionState(cast(LifespanState, {}))
            # it asks no more of a stream than ours has
            await TCPServer(
                self._application,
                self._config,
                self._context,
                state,
                cast("trio.SSLStream[trio.SocketStream]", bounded),
            )
        finally:
            self._open.discard(bounded)
            bounded.close()
            self._places.release_on_behalf_of(stream)
