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
)
from imaging.frisbee.work_queue import Run

CHUNK_BYTES = BLOCK_SIZE * BLOCKS_PER_CHUNK
_CHUNK_FIELD = 16 // 4  # the place of the chunk number in a packet, in 32-bit words
_DATA_OFFSET = 24
READ_STATUS = 255


class ImagePackets:
    """The image of one session; holds the packets of a few chunks in memory."""

    def __init__(self, fd: int, size: int, source: bytes, chunks_held: int = 4) -> None:
        """``size`` of the image in bytes; ``source`` is the server's address, 4 bytes."""
        self._fd = fd
        self._size = size
        self._held: OrderedDict[int, memoryview] = OrderedDict()
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

    def blocks_of(self, chunk: int) -> int:
        """How many blocks a chunk has: 1024, but for a short last one."""
        return min(BLOCKS_PER_CHUNK, self.blocks - chunk * BLOCKS_PER_CHUNK)

    def packets(self, run: Run) -> memoryview:
        """The packets of a run. Raises FrisbeeError when the file cannot be read."""
        buffer = self._held.get(run.chunk)
        if buffer is None:
            buffer = self._load(run.chunk)
        start = run.first * BLOCK_PACKET_SIZE
        return buffer[start : start + run.count * BLOCK_PACKET_SIZE]

    def _load(self, chunk: int) -> memoryview:
        if len(self._held) >= self._limit:
            _, buffer = self._held.popitem(last=False)
        else:
            buffer = memoryview(bytearray(self._template))
        numbers = array("i", [chunk]) * BLOCKS_PER_CHUNK
        words = buffer.cast("i")
        words[_CHUNK_FIELD :: BLOCK_PACKET_SIZE // 4] = memoryview(numbers)
        self._read(chunk, buffer)
        self._held[chunk] = buffer
        return buffer

    def _read(self, chunk: int, buffer: memoryview) -> None:
        """Scatter one chunk of the file over the data of its packets; a short end is zeros."""
        offset = chunk * CHUNK_BYTES
        expected = min(CHUNK_BYTES, self._size - offset)
        slots = [
            buffer[start + _DATA_OFFSET : start + BLOCK_PACKET_SIZE]
            for start in range(0, self.blocks_of(chunk) * BLOCK_PACKET_SIZE, BLOCK_PACKET_SIZE)
        ]
        rest = expected % BLOCK_SIZE
        if rest:
            slots[-1][rest:] = bytes(BLOCK_SIZE - rest)
            slots[-1] = slots[-1][:rest]
        self.reads += 1
        try:
            got = os.preadv(self._fd, slots, offset)
        except OSError as error:
            raise FrisbeeError(f"Reading File : {error.strerror}", exit_status=READ_STATUS) from (
                error
            )
        if got < expected:
            raise FrisbeeError("EOF on file", exit_status=READ_STATUS)
