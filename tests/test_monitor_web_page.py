"""The page and its changes, asked for by real clients over real sockets."""

import json
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from html.parser import HTMLParser
from typing import Any

import httpx
import pytest
import trio

from imaging.monitor.observations import (
    ImageSeen,
    LoadedImage,
    Observation,
    Power,
    PowerSeen,
    Ramdisk,
    ReachSeen,
    Ssh,
    System,
)
from imaging.monitor.testbed import Testbed
from imaging.monitor.web.address import listen, parse_place, url_of
from imaging.monitor.web.page import page_text
from imaging.monitor.web.page_face import BACKLOG, PageFace

EVIL = "\"><script>alert(1)</script>&'<img src=x onerror=alert(1)>\udcff"


def new_testbed() -> Testbed:
    testbed = Testbed.of(["fit01", "fit02"])
    testbed.fold(PowerSeen(1.0, "fit01", Power.ON))
    testbed.fold(ReachSeen(1.0, "fit01", Ssh.UP, Ramdisk.ABSENT, system=System("Fedora 21")))
    testbed.fold(PowerSeen(1.0, "fit02", Power.OFF))
    return testbed


def see(testbed: Testbed, face: PageFace, seen: Observation) -> None:
    before = testbed.nodes[seen.node]
    after = testbed.fold(seen)
    if after is not None:
        face.take(seen.at, before, after)


class Follower:
    """A browser that follows the changes."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._received = b""

    async def next(self) -> dict[str, Any]:
        """The next message."""
        with trio.fail_after(5):
            while True:
                message, end, rest = self._received.partition(b"\n\n")
                if end:
                    self._received = rest
                    data = message.partition(b"\ndata: ")[2]
                    found: dict[str, Any] = json.loads(data)
                    return found
                data = await self._stream.receive_some()
                assert data, self._received
                self._received += data


class Served:
    """A page that is served."""

    def __init__(self, testbed: Testbed, face: PageFace, url: str) -> None:
        self.testbed, self.face, self.url = testbed, face, url

    def switch(self, power: Power, message: str = "") -> None:
        """A node's power changes."""
        see(self.testbed, self.face, PowerSeen(2.0, "fit02", power, message))

    async def connect(self) -> trio.SocketStream:
        """A connection, for what a library would not send."""
        host, port = self.url.removeprefix("http://").rstrip("/").split(":")
        return await trio.open_tcp_stream(host, int(port))

    @asynccontextmanager
    async def follower(self) -> AsyncIterator["Follower"]:
        """Follow the changes."""
        async with await self.connect() as stream:
            await stream.send_all(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            yield Follower(stream)

    async def ask(self, path: str, method: str = "GET", **headers: str) -> httpx.Response:
        """Ask for something."""
        async with httpx.AsyncClient(trust_env=False, timeout=5) as client:
            return await client.request(method, f"{self.url}{path}", headers=headers)


@asynccontextmanager
async def serving(
    followers: int = 4, send_limit_s: float = 5.0, heartbeat_s: float = 15.0
) -> AsyncIterator[Served]:
    testbed = new_testbed()
    listening = listen("--web", parse_place("--web", "0"))
    url = url_of(listening)
    face = PageFace(testbed, listening, ("faraday",), followers, send_limit_s, heartbeat_s)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(face.run)
        yield Served(testbed, face, url)
        nursery.cancel_scope.cancel()


class Tags(HTMLParser):
    """All tags of a page, with their attributes, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_is_whole_without_scripts() -> None:
    page = Tags()
    page.feed(page_text(new_testbed(), 61.0))
    assert ("meta", {"http-equiv": "refresh", "content": "5"}) in page.tags
    assert [attributes["data-node"] for tag, attributes in page.tags if tag == "tr" and attributes]
    for word in ("1 of 2 nodes up", "fit01", "Fedora 21", "60 s", "off"):
        assert word in page.text


def test_whatever_nodes_say_is_text() -> None:
    plain, evil = Tags(), Tags()
    testbed = new_testbed()
    plain.feed(page_text(testbed, 61.0))
    testbed.fold(PowerSeen(2.0, "fit02", Power.NO_CMC, EVIL))
    testbed.fold(ImageSeen(2.0, "fit02", LoadedImage(EVIL, 1.0, EVIL)))
    testbed.fold(ReachSeen(2.0, "fit02", Ssh.UP, Ramdisk.ABSENT, system=System(EVIL, EVIL, 1.0)))
    evil.feed(page_text(testbed, 61.0))
    assert [tag for tag, _ in evil.tags] == [tag for tag, _ in plain.tags]
    assert "<script>alert(1)</script>" in evil.text


def test_the_page_says_that_leases_are_not_known() -> None:
    known, unknown = new_testbed(), new_testbed()
    known.leases_problem, unknown.leases_problem = "", EVIL
    texts = {}
    for name, testbed in {"known": known, "unknown": unknown}.items():
        page = Tags()
        page.feed(page_text(testbed, 61.0))
        (shown,) = (attributes for _, attributes in page.tags if attributes.get("id") == "leases")
        texts[name] = ("hidden" in shown, "who holds the nodes is not known: " in page.text)
        assert "img" not in [tag for tag, _ in page.tags]
    assert texts == {"known": (True, False), "unknown": (False, True)}


async def test_those_who_follow_are_told_that_leases_are_not_known() -> None:
    async with serving() as served, served.follower() as follower:
        assert (await follower.next())["leases"] is None
        served.face.take_leases(2.0, "out of reach")
        line = await follower.next()
        assert (line["event"], line["leases"]["problem"]) == ("leases", "out of reach")


async def test_the_page_and_what_belongs_to_it() -> None:
    async with serving() as served:
        for path, kind in {
            "": "text/html",
            "monitor.css": "text/css",
            "monitor.js": "text/javascript",
            "icon.svg": "image/svg+xml",
        }.items():
            response = await served.ask(path)
            assert response.status_code == 200
            assert response.headers["content-type"].partition(";")[0] == kind
            head = await served.ask(path, "HEAD")
            assert (head.status_code, head.content) == (200, b"")
            assert head.headers["content-length"] == str(len(response.content))
        assert (await served.ask("../../etc/passwd")).status_code == 404
        assert (await served.ask("monitor.py")).status_code == 404


async def test_every_answer_binds_the_browser() -> None:
    async with serving() as served:
        for response in (
            await served.ask(""),
            await served.ask("nowhere"),
            await served.ask("", "POST"),
            await served.ask("", Host="evil.example"),
        ):
            policy = response.headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert "frame-ancestors 'none'" in policy
            assert response.headers["x-content-type-options"] == "nosniff"
            assert "access-control-allow-origin" not in response.headers
            assert "server" not in response.headers


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
async def test_it_can_only_be_read(method: str) -> None:
    async with serving() as served:
        response = await served.ask("", method)
        assert response.status_code == 405
        assert response.headers["allow"] == "GET, HEAD"


async def test_a_name_that_is_not_ours_gets_nothing() -> None:
    async with serving() as served:
        for path in ("", "events", "monitor.js"):
            response = await served.ask(path, Host="evil.example:80")
            assert response.status_code == 421
            assert "fit01" not in response.text
        assert (await served.ask("", Host="faraday:80")).status_code == 200


async def test_those_who_follow_get_all_nodes_and_then_changes() -> None:
    async with serving() as served, served.follower() as follower:
        first = await follower.next()
        assert first["event"] == "testbed"
        assert [node["condition"] for node in first["nodes"]] == ["up", "off"]
        served.switch(Power.NO_CMC, "line\n\ndata: two")
        change = await follower.next()
        assert (change["event"], change["node"]["power"]) == ("changed", "no-cmc")
        served.switch(Power.OFF)
        change = await follower.next()
        assert (change["node"]["name"], change["node"]["condition"]) == ("fit02", "off")


async def test_those_who_follow_hear_something_when_nothing_changes() -> None:
    """With the time of that moment: browsers set their clocks by it."""
    async with serving(heartbeat_s=0.8) as served, served.follower() as follower:
        await follower.next()
        for _ in range(2):
            line = await follower.next()
            assert line["event"] == "at"
            told = datetime.fromisoformat(line["at"]).timestamp()
            assert abs(time.time() - told) < 0.5


async def test_one_follower_too_many_is_sent_away() -> None:
    async with serving(followers=2) as served:
        async with served.follower() as one, served.follower() as two:
            await one.next()
            await two.next()
            refused = await served.ask("events")
            assert refused.status_code == 503
            assert int(refused.headers["retry-after"]) > 0
            assert (await served.ask("")).status_code == 200
        await has_followers(served, 0)
        async with served.follower() as three:
            await three.next()


async def has_followers(served: Served, count: int) -> None:
    """Wait until so many follow."""
    with trio.fail_after(5):
        while served.face.application.followers != count:  # noqa: ASYNC110 - it has no event
            await trio.sleep(0.01)


@asynccontextmanager
async def sleeper(served: Served) -> AsyncIterator[trio.SocketStream]:
    """A browser that follows, and reads nothing."""
    host, port = served.url.removeprefix("http://").rstrip("/").split(":")
    with trio.socket.socket(socket.AF_INET, socket.SOCK_STREAM) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        await connection.connect((host, int(port)))
        stream = trio.SocketStream(connection)
        await stream.send_all(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await has_followers(served, 1)
        yield stream


async def fill(served: Served) -> None:
    """More changes than any buffer holds."""
    for number in range(20 * BACKLOG):
        served.switch(Power.NO_CMC, f"{number} " + "x" * 2000)
        if number % 16 == 0:
            await trio.lowlevel.checkpoint()


async def test_a_browser_that_does_not_read_is_let_go() -> None:
    async with serving(send_limit_s=0.2) as served, sleeper(served):
        await fill(served)
        await has_followers(served, 0)
        assert (await served.ask("")).status_code == 200


async def test_a_browser_that_does_not_read_holds_up_no_end() -> None:
    with trio.fail_after(20):
        async with serving(send_limit_s=60) as served, sleeper(served):
            await fill(served)
            started = trio.current_time()
        assert trio.current_time() - started < 0.5


async def test_what_is_no_http_is_closed() -> None:
    async with serving() as served:
        for noise in (b"\0" * 100 + b"\r\n\r\n", b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 9000):
            async with await served.connect() as stream:
                await stream.send_all(noise)
                with trio.fail_after(5):
                    answered = bytes(await stream.receive_some(65536))
                    assert answered == b"" or answered.startswith(b"HTTP/1.1 4")
        assert (await served.ask("")).status_code == 200


async def test_a_websocket_is_refused() -> None:
    async with serving() as served:
        response = await served.ask(
            "events",
            Connection="Upgrade",
            Upgrade="websocket",
            **{"Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="},
        )
        assert response.status_code == 403
