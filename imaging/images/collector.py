"""The collector: where the image of a node arrives, over one TCP connection of that node.

Every chunk is checked as it arrives: its header continues the image, and its data expands to what
the header says. So what is on the disk in the end is known to be restorable. The connection stays
open both ways until the node's end of stream: busybox's nc would take a half-close for the end.
"""

import hashlib
import logging
from collections.abc import Callable
from dataclasses import replace

import trio

from imaging.errors import InfrastructureError, NodeError, Reason
from imaging.frisbee.errors import ImageError
from imaging.frisbee.image import ImageSummary, ImageWalk
from imaging.frisbee.ndz import CHUNK_SIZE, inflate_pieces
from imaging.images.partial import PartialImage

AGAIN = "save it again; when that does not help, its transcript has what its tools said"
READ_SIZE = 256 * 1024  # bytes
CHUNKS_HELD = 8  # that have arrived but are not on the disk yet; TCP slows the node beyond

log = logging.getLogger(__name__)


class Collector:
    """Receives one image of one node into a partial file.

    Attributes:
        received: bytes so far.
        covered_bytes: of the node's disk, that the image speaks for so far.
        connected: whether the node has connected.
        finished: set at the end of the stream, when all that came is on its way to the disk and
            has been checked, or when ``failure`` says why not.
    """

    def __init__(
        self, partial: PartialImage, node: str, address: str, on_progress: Callable[[], None]
    ) -> None:
        """Wait for ``node``, at ``address``; ``on_progress`` is called at all news."""
        self.received = 0
        self.connected = False
        self.finished = trio.Event()
        self.failure: NodeError | InfrastructureError | None = None
        self._partial = partial
        self._node = node
        self._address = address
        self._on_progress = on_progress
        self._walk = ImageWalk(partial.image.name)
        self._digest = hashlib.sha256()
        self._rest = 0

    @property
    def covered_bytes(self) -> int:
        """Bytes of the node's disk that the image speaks for so far."""
        return self._walk.covered_bytes

    def summary(self) -> ImageSummary:
        """What has been received, with its sha256. Raises NodeError ``incomplete-image``."""
        if self._rest:
            raise self._incomplete(
                f"the stream ended after {self._rest} of the {CHUNK_SIZE} bytes of chunk "
                f"{self._walk.chunks}"
            )
        try:
            return replace(self._walk.finish(), sha256=self._digest.hexdigest())
        except ImageError as error:
            raise self._incomplete(str(error)) from error

    async def run(
        self, local_address: str, *, task_status: "trio.TaskStatus[int]" = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Listen at an ephemeral port of ``local_address``, whose number is the started value.

        Raises InfrastructureError when that is not possible; later failures are left in
        ``failure``.
        """
        try:
            (listener,) = await trio.open_tcp_listeners(0, host=local_address)
        except OSError as error:
            raise InfrastructureError(
                f"cannot listen at {local_address}: {error.strerror}",
                reason=Reason.SERVER_FAILED,
                hint="set [multicast] address to this host's address on the nodes' network",
            ) from error
        async with listener:
            task_status.started(listener.socket.getsockname()[1])
            stream = await self._accept(listener)
        self.connected = True
        self._on_progress()
        await self._receive(stream)
        self.finished.set()

    async def _accept(self, listener: trio.SocketListener) -> trio.SocketStream:
        while True:
            stream = await listener.accept()
            try:
                peer = stream.socket.getpeername()[0]
            except OSError as error:  # reset already
                peer = error.strerror
            if peer == self._address:
                return stream
            log.warning("%s collector: refused a connection from %s", self._node, peer)
            await trio.aclose_forcefully(stream)

    async def _receive(self, stream: trio.SocketStream) -> None:
        send, receive = trio.open_memory_channel[bytes](CHUNKS_HELD)
        # closing the stream while data comes resets the connection: the node's tools end too
        async with stream, trio.open_nursery() as nursery:
            nursery.start_soon(self._store_all, receive, nursery.cancel_scope)
            with send:
                await self._read_all(stream, send)

    async def _read_all(
        self, stream: trio.SocketStream, chunks: "trio.MemorySendChannel[bytes]"
    ) -> None:
        pending = bytearray()
        while True:
            try:
                data = await stream.receive_some(READ_SIZE)
            except trio.BrokenResourceError as error:
                cause = error.__cause__
                words = getattr(cause, "strerror", None) or "reset"
                self.failure = self._incomplete(f"the connection broke: {words.lower()}")
                self._on_progress()
                return
            if not data:
                self._rest = len(pending)
                return
            self.received += len(data)
            self._on_progress()
            pending += data
            while len(pending) >= CHUNK_SIZE:
                await chunks.send(bytes(pending[:CHUNK_SIZE]))
                del pending[:CHUNK_SIZE]

    async def _store_all(
        self, chunks: "trio.MemoryReceiveChannel[bytes]", scope: trio.CancelScope
    ) -> None:
        async for chunk in chunks:
            try:
                await self._partial.in_thread(self._store, chunk)
            except ImageError as error:
                self.failure = self._incomplete(str(error))
            except InfrastructureError as error:
                self.failure = error
            self._on_progress()
            if self.failure is not None:
                scope.cancel(reason="the image cannot be kept")
                return

    def _store(self, chunk: bytes) -> None:
        """Prove a chunk, and write it; in a thread."""
        header = self._walk.feed(chunk)
        for _ in inflate_pieces(chunk, header):
            pass
        self._digest.update(chunk)
        self._partial.write(chunk)

    def _incomplete(self, what: str) -> NodeError:
        return NodeError(
            f"{self._node}: what arrived is no whole image: {what}",
            reason=Reason.INCOMPLETE_IMAGE,
            hint=AGAIN,
        )
