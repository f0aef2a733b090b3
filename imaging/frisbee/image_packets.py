"""An image file as ready-made BLOCK packets.

The packets of one chunk lie in one buffer, headers prefilled; a chunk is read from the file
straight into the places of their data.
"""

import os
from array import array
from collections import OrderedDict

from imaging.frisbee.errors import FrisbeeError
from imaging.frisbee.packets import (
    BLOCK,
    BLOCK_HEADER,
    BLOCK_PACKET_SIZE,
    BLOCK_SIZE,
    BLOCKS_PER_CHUNK,
    REQUEST_TYPE,
    blocks_of_chunk,
)
from imaging.frisbee.work_queue import Run

CHUNK_BYTES = BLOCK_SIZE * BLOCKS_PER_CHUNK
CHUNKS_HELD = 8
"""Chunks in memory: what was lost is asked for again while the next ones are being sent."""

_CHUNK_FIELD = 16 // 4  # the place of the chunk number in a packet, in 32-bit words
_WORDS = BLOCK_PACKET_SIZE // 4
READ_STATUS = 255


class _PacketBuffer:
    """The packets of one chunk; ``data`` are the places of what they carry."""

    __slots__ = ("data", "packets")

    def __init__(self, template: bytearray) -> None:
        self.packets = memoryview(bytearray(template))
        self.data = [
            self.packets[end - BLOCK_SIZE : end]
            for end in range(BLOCK_PACKET_SIZE, len(template) + 1, BLOCK_PACKET_SIZE)
        ]

    def set_chunk(self, chunk: int) -> None:
        numbers = memoryview(array("i", [chunk]) * BLOCKS_PER_CHUNK)
        self.packets.cast("i")[_CHUNK_FIELD::_WORDS] = numbers


class ImagePackets:
    """The image of one session; holds the packets of a few chunks in memory."""

    def __init__(
        self, fd: int, size: int, source: bytes, *, chunks_held: int = CHUNKS_HELD
    ) -> None:
        """``size`` of the image in bytes; ``source`` is the server's address, 4 bytes."""
        self._fd = fd
        self._size = size
        self._held: OrderedDict[int, _PacketBuffer] = OrderedDict()
        self._limit = chunks_held
        self.blocks = -(-size // BLOCK_SIZE)
        self.chunks = -(-self.blocks // BLOCKS_PER_CHUNK)
        self.reads = 0
        self._template = bytearray(BLOCK_PACKET_SIZE * BLOCKS_PER_CHUNK)
        for block in range(BLOCKS_PER_CHUNK):
            BLOCK_HEADER.pack_into(
                self._template,
                block * BLOCK_PACKET_SIZE,
                REQUEST_TYPE,
                BLOCK,
                BLOCK_PACKET_SIZE - 16,
                source,
                0,
                block,
            )

    def packets(self, run: Run) -> memoryview:
        """The packets of a run, until that of a chunk that is not held is asked for.

        Raises FrisbeeError when the file cannot be read.
        """
        buffer = self._held.get(run.chunk)
        if buffer is None:
            buffer = self._load(run.chunk)
        start = run.first * BLOCK_PACKET_SIZE
        return buffer.packets[start : start + run.count * BLOCK_PACKET_SIZE]

    def _load(self, chunk: int) -> _PacketBuffer:
        if len(self._held) >= self._limit:
            _, buffer = self._held.popitem(last=False)
        else:
            buffer = _PacketBuffer(self._template)
        buffer.set_chunk(chunk)
        self._read(chunk, buffer)
        self._held[chunk] = buffer
        return buffer

    def _read(self, chunk: int, buffer: _PacketBuffer) -> None:
        """Scatter one chunk of the file over the data of its packets; a short end is zeros."""
        offset = chunk * CHUNK_BYTES
        expected = min(CHUNK_BYTES, self._size - offset)
        places, rest = buffer.data[: blocks_of_chunk(chunk, self.blocks)], expected % BLOCK_SIZE
        if rest:
            places[-1][rest:] = bytes(BLOCK_SIZE - rest)
            places[-1] = places[-1][:rest]
        self.reads += 1
        try:
            got = os.preadv(self._fd, places, offset)
        except OSError as error:
            raise FrisbeeError(f"Reading File : {error.strerror}", exit_status=READ_STATUS) from (
                error
            )
        if got < expected:
            raise FrisbeeError("EOF on file", exit_status=READ_STATUS)
