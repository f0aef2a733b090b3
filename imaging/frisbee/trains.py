"""Trains of packets: what the kernel hands over in one piece, of one sender. Pure.

Blocks are by far the most of what a client hears. A whole train of them, consecutive blocks of one
chunk, is checked in a few comparisons and is one unit from then on.
"""

from array import array
from collections.abc import Iterator
from typing import NamedTuple

from imaging.frisbee.packets import (
    BLOCK,
    BLOCK_HEADER,
    BLOCK_PACKET_SIZE,
    BLOCKS_PER_CHUNK,
    HEADER_SIZE,
    PACKET_LIMIT,
    REQUEST_TYPE,
)

# a block's header, as the three 64-bit and six 32-bit words that it is
_QUADS, _WORDS = BLOCK_PACKET_SIZE // 8, BLOCK_PACKET_SIZE // 4
_CHUNK_WORD, _BLOCK_WORD = 4, 5
_COMMON_QUADS = (0, 1)  # type and subtype, length and source
_KIND = (REQUEST_TYPE, BLOCK, BLOCK_PACKET_SIZE - HEADER_SIZE)
_NUMBERS = memoryview(array("i", range(BLOCKS_PER_CHUNK)))


class Train(NamedTuple):
    """Packets of ``packet_size`` bytes, but perhaps the last; ``sender`` has 4 bytes."""

    data: memoryview
    packet_size: int
    sender: bytes
    port: int

    def packets(self) -> Iterator[memoryview]:
        """Each packet, cut to the largest size that the protocol knows."""
        size = len(self.data)
        for start in range(0, size, self.packet_size or 1):
            yield self.data[start : min(start + self.packet_size, size)][:PACKET_LIMIT]


class BlockRun(NamedTuple):
    """Consecutive blocks of one chunk, with their packets one behind the other."""

    chunk: int
    first: int
    length: int
    packets: memoryview

    @property
    def bitmap(self) -> int:
        """The blocks, bit n for block n."""
        return ((1 << self.length) - 1) << self.first


class BlockReader:
    """Recognizes runs of blocks."""

    def __init__(self, port: int, chunks: int, only_server: bytes | None = None) -> None:
        """``port`` is the session's, ``chunks`` the image's; other servers are not listened to."""
        self._port = port
        self._chunks = chunks
        self._only = only_server

    def read(self, packets: memoryview, sender: bytes, port: int) -> BlockRun | None:
        """The run that these packets are; None when they are anything else, or not in order."""
        count, rest = divmod(len(packets), BLOCK_PACKET_SIZE)
        if rest or not count or port != self._port or (self._only or sender) != sender:
            return None
        kind, subtype, length, source, chunk, first = BLOCK_HEADER.unpack_from(packets)
        if (
            (kind, subtype, length) == _KIND
            and source == sender
            and 0 <= chunk < self._chunks
            and 0 <= first <= BLOCKS_PER_CHUNK - count
            and (count == 1 or _is_in_order(packets, first, count))
        ):
            return BlockRun(chunk, first, count, packets)
        return None


def _is_in_order(packets: memoryview, first: int, count: int) -> bool:
    """Whether all headers are as the first one, but for the numbers of the blocks."""
    quads, words = packets.cast("q"), packets.cast("i")
    return (
        words[_BLOCK_WORD::_WORDS] == _NUMBERS[first : first + count]
        and words[_CHUNK_WORD::_WORDS] == memoryview(array("i", [words[_CHUNK_WORD]]) * count)
        and all(
            quads[field::_QUADS] == memoryview(array("q", [quads[field]]) * count)
            for field in _COMMON_QUADS
        )
    )
