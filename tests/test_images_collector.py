"""The collector over real sockets: who may send, what is kept, and what is left behind."""

import hashlib
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trio
import trio.testing

from imaging.errors import InfrastructureError, NodeError, Reason
from imaging.frisbee.image import ImageSummary
from imaging.frisbee.ndz import CHUNK_SIZE
from imaging.images.collector import Collector
from imaging.images.partial import PartialImage, open_partial
from imaging.images.sidecar import Sidecar
from tests import ndz_samples

NODE, OTHER = "127.0.0.77", "127.0.0.78"


@dataclass
class Arrival:
    """A collector at work, and how often it told that something was new."""

    collector: Collector
    partial: PartialImage
    port: int
    news: list[int]
    failures: list[bool]

    @property
    def failed_at_last(self) -> bool:
        """Whether the last news was that the image cannot be kept."""
        return self.failures[-1]

    async def connect(self, address: str = NODE) -> trio.SocketStream:
        stream = trio.socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            await stream.bind((address, 0))
            await stream.connect(("127.0.0.1", self.port))
        except OSError:
            stream.close()
            raise
        return trio.SocketStream(stream)

    async def send_until_reset(self, stream: trio.SocketStream, data: bytes) -> None:
        """Send for as long as somebody listens."""
        with pytest.raises(trio.BrokenResourceError):
            await send_for_ever(stream, data)

    async def send(self, data: bytes) -> None:
        """As netcat does: send, say that this was all, wait for the other side to close."""
        async with await self.connect() as stream:
            await stream.send_all(data)
            await stream.send_eof()
            assert await stream.receive_some(1) == b""
        await self.collector.finished.wait()


async def send_for_ever(stream: trio.SocketStream, data: bytes) -> None:
    while True:
        await stream.send_all(data)
        await trio.sleep(0.001)


@asynccontextmanager
async def collecting(image: Path) -> AsyncIterator[Arrival]:
    news: list[int] = []
    failures: list[bool] = []
    with trio.fail_after(10), open_partial(image) as partial:

        def tell() -> None:
            news.append(collector.received)
            failures.append(collector.failure is not None)

        collector = Collector(partial, "fit01", NODE, tell)
        async with trio.open_nursery() as nursery:
            port = await nursery.start(collector.run, "127.0.0.1")
            yield Arrival(collector, partial, port, news, failures)
            nursery.cancel_scope.cancel()


def sidecar_of(summary: ImageSummary) -> Sidecar:
    return Sidecar(
        name="new",
        date=datetime(2026, 1, 2, tzinfo=UTC),
        size=summary.size,
        covered_bytes=summary.covered_bytes,
        data_bytes=summary.data_bytes,
        minimum_disk_size=summary.minimum_disk_size,
        sha256=summary.sha256 or "",
    )


def summary_of(collector: Collector) -> ImageSummary:
    if collector.failure is not None:
        raise collector.failure
    return collector.summary()


@pytest.fixture
def image(tmp_path: Path) -> Path:
    return tmp_path / "new.ndz"


async def test_a_whole_image_arrives_and_is_proven(image: Path) -> None:
    data = ndz_samples.RAW.read()
    async with collecting(image) as arrival:
        await arrival.send(data)
        summary = arrival.collector.summary()
        assert arrival.collector.received == len(data)
        assert arrival.collector.failure is None
        arrival.partial.prepare(sidecar_of(summary))
        arrival.partial.publish(replace=False)
    assert await trio.Path(image).read_bytes() == data
    assert summary.sha256 == hashlib.sha256(data).hexdigest()
    assert arrival.news == sorted(arrival.news)
    assert arrival.news[-1] == len(data)


async def test_only_the_node_may_send(image: Path) -> None:
    async with collecting(image) as arrival:
        async with await arrival.connect(OTHER) as stranger:
            await arrival.send_until_reset(stranger, b"x" * 1000)
        assert not arrival.collector.connected
        await arrival.send(ndz_samples.RAW.read())
        assert arrival.collector.summary().chunks == 1


async def test_a_second_connection_finds_nobody(image: Path) -> None:
    async with collecting(image) as arrival:
        await arrival.send(ndz_samples.RAW.read())
        with pytest.raises(OSError, match="refused"):
            await arrival.connect()


async def test_it_does_not_close_before_the_node_has_sent_all(image: Path) -> None:
    data = ndz_samples.RAW.read()
    async with collecting(image) as arrival, await arrival.connect() as stream:
        await stream.send_all(data[:1000])
        with trio.move_on_after(0.2) as patience:
            await stream.receive_some(1)
        assert patience.cancelled_caught
        await stream.send_all(data[1000:])
        await stream.send_eof()
        await arrival.collector.finished.wait()
        assert arrival.collector.summary().size == len(data)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "the image is empty"),
        (ndz_samples.RAW.read()[:-1], "the stream ended after 1048575 of the 1048576 bytes"),
        (b"\0" * CHUNK_SIZE, "Bad Magic Number"),
        (ndz_samples.RAW.read() * 2, "chunk 1 of new.ndz"),
    ],
)
async def test_what_is_no_image_is_told(image: Path, data: bytes, words: str) -> None:
    async with collecting(image) as arrival:
        async with await arrival.connect() as stream:
            await stream.send_all(data)
            await stream.send_eof()
            await arrival.collector.finished.wait()
        with pytest.raises(NodeError, match=words) as caught:
            summary_of(arrival.collector)
        assert caught.value.reason is Reason.INCOMPLETE_IMAGE
    assert list(image.parent.iterdir()) == []


async def test_a_damaged_chunk_ends_the_connection(image: Path) -> None:
    damaged = bytearray(ndz_samples.RAW.read())
    damaged[5000:5016] = b"\xff" * 16
    async with collecting(image) as arrival, await arrival.connect() as stream:
        await arrival.send_until_reset(stream, bytes(damaged))
        await arrival.collector.finished.wait()
        assert isinstance(arrival.collector.failure, NodeError)
        assert "inflate failed" in arrival.collector.failure.message


async def test_a_connection_that_breaks_is_told(image: Path) -> None:
    async with collecting(image) as arrival:
        stream = await arrival.connect()
        await stream.send_all(ndz_samples.RAW.read()[:100_000])
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        await trio.aclose_forcefully(stream)
        await arrival.collector.finished.wait()
        assert arrival.collector.failure is not None
        assert "the connection broke" in arrival.collector.failure.message


async def test_a_connection_that_is_reset_at_once_is_nobody(image: Path) -> None:
    async with collecting(image) as arrival:
        for _ in range(20):
            # by a plain socket: it is reset before the collector has had its turn
            with socket.create_connection(("127.0.0.1", arrival.port)) as stream:
                stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await arrival.send(ndz_samples.RAW.read())
        assert arrival.collector.summary().chunks == 1


async def test_a_failure_is_news(image: Path) -> None:
    async with collecting(image) as arrival, await arrival.connect() as stream:
        await stream.send_all(b"\0" * CHUNK_SIZE)
        await arrival.collector.finished.wait()
        assert arrival.failed_at_last


async def test_an_address_that_is_not_ours_is_told(image: Path) -> None:
    with open_partial(image) as partial:
        collector = Collector(partial, "fit01", NODE, lambda: None)
        async with trio.open_nursery() as nursery:
            with pytest.raises(InfrastructureError, match=r"cannot listen at 192\.0\.2\.1"):
                await nursery.start(collector.run, "192.0.2.1")


async def test_cancelling_leaves_nothing(image: Path) -> None:
    async with collecting(image) as arrival:
        stream = await arrival.connect()
        await stream.send_all(ndz_samples.RAW.read())
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert arrival.collector.received
    assert list(image.parent.iterdir()) == []
    await arrival.send_until_reset(stream, b"more")
    await stream.aclose()
