"""The page and its stream of changes: server-sent events, to a bounded number of browsers."""

import socket
import time
from collections.abc import Collection
from importlib.resources import files

import trio
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, HTTPScope, Scope

from imaging.monitor.documents import at_line, changed_line, leases_line, testbed_line
from imaging.monitor.testbed import NodeState, Testbed
from imaging.monitor.web.answers import TEXT, ReadersOnly, answer, start
from imaging.monitor.web.page import page_text
from imaging.monitor.web.server import SEND_LIMIT_S, WebServer

HEARTBEAT_S = 15.0  # a browser that hears nothing for much longer connects again
BACKLOG = 256  # changes; a browser that is so far behind gets everything anew
SPARE_CONNECTIONS = 32  # besides those that follow the changes
STREAM_KIND = "text/event-stream; charset=utf-8"
UNBUFFERED = (b"x-accel-buffering", b"no")  # nginx would gather changes
ASSETS = {
    "/monitor.css": "text/css; charset=utf-8",
    "/monitor.js": "text/javascript; charset=utf-8",
    "/icon.svg": "image/svg+xml",
}


def message(line: bytes) -> bytes:
    """A line of JSON as a server-sent event."""
    return b"data: " + line.rstrip(b"\n") + b"\n\n"


class PageApplication:
    """Answers browsers; ``publish`` tells those that follow of a change."""

    def __init__(self, testbed: Testbed, followers: int, heartbeat_s: float = HEARTBEAT_S) -> None:
        """``followers`` is how many browsers may follow the changes at once.

        Those who do hear something at least every ``heartbeat_s`` seconds.
        """
        self._heartbeat_s = heartbeat_s
        self._testbed = testbed
        self._limit = followers
        self._followers: set[trio.MemorySendChannel[bytes]] = set()
        here = files("imaging.monitor.web")
        self._assets = {path: (here / path[1:]).read_bytes() for path in ASSETS}

    def publish(self, line: bytes) -> None:
        """Tell all who follow; who is too far behind is let go, and comes back."""
        text = message(line)
        for channel in list(self._followers):
            try:
                channel.send_nowait(text)
            except (trio.WouldBlock, trio.BrokenResourceError):
                self._followers.discard(channel)
                channel.close()

    @property
    def followers(self) -> int:
        """How many browsers follow now."""
        return len(self._followers)

    async def __call__(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        """Answer one request."""
        assert scope["type"] == "http"
        path = scope["path"]
        if path == "/":
            text = page_text(self._testbed, time.time())
            await answer(scope, send, 200, "text/html; charset=utf-8", text.encode())
        elif path in ASSETS:
            await answer(scope, send, 200, ASSETS[path], self._assets[path])
        elif path == "/events":
            await self._follow(scope, receive, send)
        else:
            await answer(scope, send, 404, TEXT, b"there is no such page\n")

    async def _follow(
        self, scope: HTTPScope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        """Send all nodes, then each change, until the browser goes away or is let go."""
        if scope["method"] == "HEAD":
            await answer(scope, send, 200, STREAM_KIND, b"")
            return
        if len(self._followers) >= self._limit:
            retry = (b"retry-after", b"10")
            await answer(scope, send, 503, TEXT, b"too many browsers follow already\n", [retry])
            return
        sending, receiving = trio.open_memory_channel[bytes](BACKLOG)
        self._followers.add(sending)
        try:
            with sending, receiving:
                await start(send, 200, STREAM_KIND, [UNBUFFERED])
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(_until_gone, receive, nursery.cancel_scope)
                    await self._send_all(send, receiving)
                    nursery.cancel_scope.cancel(reason="the browser is too far behind")
        finally:
            self._followers.discard(sending)

    async def _send_all(
        self, send: ASGISendCallable, changes: trio.MemoryReceiveChannel[bytes]
    ) -> None:
        """Send until the channel is closed."""
        text: bytes | None = message(testbed_line(self._testbed))
        while True:
            # the time of that line is when it is sent
            body = message(at_line()) if text is None else text
            await send({"type": "http.response.body", "body": body, "more_body": True})
            text = None
            with trio.move_on_after(self._heartbeat_s):
                try:
                    text = await changes.receive()
                except trio.EndOfChannel:
                    return


async def _until_gone(receive: ASGIReceiveCallable, scope: trio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel(reason="the browser has gone")


class PageFace:
    """Serves the page."""

    def __init__(
        self,
        testbed: Testbed,
        listening: socket.socket,
        names: Collection[str],
        followers: int,
        send_limit_s: float = SEND_LIMIT_S,
        heartbeat_s: float = HEARTBEAT_S,
    ) -> None:
        """``listening`` is ours from now on; ``followers`` is how many browsers may follow."""
        self.application = PageApplication(testbed, followers, heartbeat_s)
        guarded = ReadersOnly(self.application, names)
        self._server = WebServer(guarded, listening, followers + SPARE_CONNECTIONS, send_limit_s)

    def take(self, at: float, before: NodeState, after: NodeState) -> None:
        """Tell the browsers."""
        line = changed_line(at, before, after)
        if line is not None:
            self.application.publish(line)

    def take_leases(self, at: float, problem: str) -> None:
        """Tell the browsers."""
        self.application.publish(leases_line(at, problem))

    async def run(self) -> None:
        """Serve until cancelled."""
        await self._server.run()

    def end(self, patience_s: float) -> str | None:
        """The browsers see that the connection is gone."""
        del patience_s
        return None
