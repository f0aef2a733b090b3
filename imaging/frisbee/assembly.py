"""Where the packets of a chunk are put together.

Packets lie in a buffer as they came, headers included, each at its place: a whole run of them is
copied at once. What they carry is picked out when the chunk is complete.
"""

from imaging.frisbee.packets import BLOCK_PACKET_SIZE, BLOCK_SIZE, BLOCKS_PER_CHUNK
from imaging.frisbee.trains import BlockRun


class ChunkBuffer:
    """Room for the packets of one chunk.

    Attributes:
        blocks: what the packets carry, block by block.
    """

    __slots__ = ("_packets", "blocks")

    def __init__(self) -> None:
        """Take the memory."""
        self._packets = memoryview(bytearray(BLOCK_PACKET_SIZE * BLOCKS_PER_CHUNK))
        self.blocks = [
            self._packets[end - BLOCK_SIZE : end]
            for end in range(
                BLOCK_PACKET_SIZE, BLOCK_PACKET_SIZE * (BLOCKS_PER_CHUNK + 1), BLOCK_PACKET_SIZE
            )
        ]

    def put(self, run: BlockRun) -> None:
        """Keep a run."""
        start = run.first * BLOCK_PACKET_SIZE
        self._packets[start : start + len(run.packets)] = run.packets


class BufferPool:
    """Buffers for use again, the last one first: it is still in the processor's cache."""

    def __init__(self) -> None:
        """Begin with none; how many there can be is for the user to bound."""
        self._free: list[ChunkBuffer] = []

    def take(self) -> ChunkBuffer:
        """A buffer; its content is of no meaning."""
        return self._free.pop() if self._free else ChunkBuffer()

    def give_back(self, buffer: ChunkBuffer) -> None:
        """A buffer is not needed any more."""
        self._free.append(buffer)
