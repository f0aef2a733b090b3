"""Telling changes to a websocket server, as long as it wants to hear them.

Each connection begins with all nodes as they are, so nothing has to be kept for a server that is
away, or too slow: it gets everything anew.
"""

import logging
import re
import ssl
import urllib.parse

import h11
import trio
import wsproto.utilities
from trio_websocket import (
    ConnectionClosed,
    HandshakeError,
    WebSocketConnection,
    wrap_client_stream,
)

from imaging.errors import ConfigurationError, first_leaf
from imaging.feedback.wording import printable
from imaging.jitter import jittered
from imaging.monitor.documents import changed_line, leases_line, testbed_line
from imaging.monitor.testbed import NodeState, Testbed
from imaging.node.connection import words
from imaging.site.schema import is_host

Stream = trio.SocketStream | trio.SSLStream[trio.SocketStream]

log = logging.getLogger(__name__)

BACKLOG = 1000  # changes; a server that is so far behind gets everything anew
CONNECT_LIMIT_S = 10.0
SEND_LIMIT_S = 10.0  # for one message to be taken, or one ping to be answered
PING_S = 20.0
PROTOCOL_ERRORS = (h11.ProtocolError, wsproto.utilities.ProtocolError, trio.BrokenResourceError)
ANSWER_LIMIT = 65536  # bytes of what it says, which is read and forgotten


def check_url(option: str, url: str) -> str:
    """The URL, if it is one of a websocket. Raises ConfigurationError, which quotes no part of it.

    What is no host, or holds what a request cannot, would be met at each connection otherwise.
    """
    try:
        parts = urllib.parse.urlsplit(url)
        is_fine = is_host(parts.hostname or "") and parts.port != 0
    except ValueError:
        is_fine = False
    if not is_fine or parts.scheme not in ("ws", "wss") or not re.fullmatch("[!-~]+", url):
        raise ConfigurationError(
            f"{option}: this is no URL of a websocket", hint="as in ws://127.0.0.1:8765/"
        )
    if "#" in url:
        raise ConfigurationError(f"{option}: a fragment (#) would not be sent to the server")
    if parts.username is not None:
        raise ConfigurationError(f"{option}: a user in the URL would not be sent to the server")
    return url


def told_url(url: str) -> str:
    """What is told of a URL: no query, which may hold a secret."""
    parts = urllib.parse.urlsplit(url)
    return urllib.parse.urlunsplit((parts.scheme, parts.netloc, parts.path, "", ""))


class SidecarFace:
    """Tells one server, over one connection at a time."""

    def __init__(
        self,
        testbed: Testbed,
        url: str,
        retry_s: float,
        retry_limit_s: float,
        connect_limit_s: float = CONNECT_LIMIT_S,
    ) -> None:
        """It is connected to again after ``retry_s`` seconds, then after twice as long, and so on.

        A connection that has held for as long as the limit makes that begin anew.
        """
        self._testbed = testbed
        self._url = url
        self._name = f"sidecar {told_url(url)}"
        self._retry_s = retry_s
        self._retry_limit_s = retry_limit_s
        self._connect_limit_s = connect_limit_s
        self._changes: trio.MemorySendChannel[bytes] | None = None
        self._problem = "it was not reached yet"

    def take(self, at: float, before: NodeState, after: NodeState) -> None:
        """Have it told, if there is a connection."""
        line = changed_line(at, before, after) if self._changes is not None else None
        if line is not None:
            self._put(line)

    def take_leases(self, at: float, problem: str) -> None:
        """Have it told, if there is a connection."""
        self._put(leases_line(at, problem))

    def _put(self, line: bytes) -> None:
        if self._changes is None:
            return
        try:
            self._changes.send_nowait(line)
        except (trio.WouldBlock, trio.BrokenResourceError):
            self._changes.close()
            self._changes = None

    async def run(self) -> None:
        """Connect, and tell, again and again, until cancelled."""
        pause_s = self._retry_s
        while True:
            started = trio.current_time()
            problem = await self._attempt()
            if problem != self._problem:
                self._problem = problem
                log.warning("%s: %s", self._name, problem)
            if trio.current_time() - started > self._retry_limit_s:
                pause_s = self._retry_s
            await trio.sleep(jittered(pause_s))
            pause_s = min(2 * pause_s, self._retry_limit_s)

    def end(self, patience_s: float) -> str | None:
        """Whoever is connected sees that the connection is gone."""
        del patience_s
        return f"the {self._name} was not told: {self._problem}" if self._problem else None

    async def _attempt(self) -> str:
        """One connection, from its beginning to its end; gives why it has ended."""
        problem = "the connection has ended"
        try:
            with trio.fail_after(self._connect_limit_s):
                stream = await _open_stream(self._url)
            # not open_websocket_url: it leaves the socket open when what answers is no websocket
            async with stream, trio.open_nursery() as nursery:
                with trio.fail_after(self._connect_limit_s):
                    connection = await _shake_hands(nursery, stream, self._url)
                self._problem = ""
                log.info("%s: connected", self._name)
                nursery.start_soon(_forget_answers, connection)
                nursery.start_soon(_ping, connection)
                await self._tell(connection)
        except* (HandshakeError, ConnectionClosed, OSError, *PROTOCOL_ERRORS) as group:
            problem = _words(group)
        except* trio.TooSlowError:
            problem = "it does not answer, or takes nothing"
        return problem

    async def _tell(self, connection: WebSocketConnection) -> None:
        """All nodes, and then changes, again from the beginning when it is too far behind."""
        while True:
            sending, changes = trio.open_memory_channel[bytes](BACKLOG)
            self._changes = sending
            try:
                with sending, changes:
                    await _send(connection, testbed_line(self._testbed))
                    async for line in changes:
                        await _send(connection, line)
            finally:
                # at once: changes come while the connection is being closed, too
                self._changes = None


async def _open_stream(url: str) -> Stream:
    """A connection to the server of a URL. Raises OSError, and BrokenResourceError for TLS."""
    parts = urllib.parse.urlsplit(url)
    assert parts.hostname is not None
    if parts.scheme == "ws":
        return await trio.open_tcp_stream(parts.hostname, parts.port or 80)
    secure = await trio.open_ssl_over_tcp_stream(
        parts.hostname, parts.port or 443, https_compatible=True
    )
    try:
        await secure.do_handshake()
    except BaseException:
        await trio.aclose_forcefully(secure)
        raise
    return secure


async def _shake_hands(nursery: trio.Nursery, stream: Stream, url: str) -> WebSocketConnection:
    """Begin to speak websocket. Raises HandshakeError, and what garbage makes of it."""
    parts = urllib.parse.urlsplit(url)
    return await wrap_client_stream(
        nursery,
        stream,
        parts.netloc,
        urllib.parse.urlunsplit(("", "", parts.path or "/", parts.query, "")),
        message_queue_size=1,
        max_message_size=ANSWER_LIMIT,
    )


async def _send(connection: WebSocketConnection, line: bytes) -> None:
    with trio.fail_after(SEND_LIMIT_S):
        await connection.send_message(line.decode().rstrip("\n"))


async def _ping(connection: WebSocketConnection) -> None:
    """Notice a server that is gone without a word."""
    while True:
        await trio.sleep(jittered(PING_S))
        with trio.fail_after(SEND_LIMIT_S):
            await connection.ping()


async def _forget_answers(connection: WebSocketConnection) -> None:
    while True:
        await connection.get_message()


def _words(group: BaseExceptionGroup[Exception]) -> str:
    """Why a connection could not be made, or has ended."""
    error = first_leaf(group)
    if isinstance(error, ConnectionClosed):
        reason = error.reason
        return f"it has closed the connection ({reason.code})" if reason else "it is gone"
    if isinstance(error.__cause__, ssl.SSLError):
        met = error.__cause__.reason or str(error.__cause__)
        return f"TLS: {met.lower().replace('_', ' ')}"
    if isinstance(error, OSError):
        # trio has tried each address of a name, and keeps what it has met in the cause
        first = first_leaf(error.__cause__) if error.__cause__ is not None else error
        if isinstance(first, OSError) and first.errno:
            return words(first)
    return printable(str(error))[:200] or "the connection was lost"
