"""Compress stretches of data piece by piece, so that several threads can do it. Pure.

Each piece is raw deflate data that ends at a byte border: pieces that follow one another on the
disk follow one another in a zlib stream, whoever compressed them. A piece may refer to the 32 KiB
before it, which costs nothing and saves a percent; the stream must then hold these.
"""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Protocol, cast

from isal import isal_zlib
from isal.isal_zlib import adler32

from imaging.frisbee.ndz import SECTOR_SIZE

PIECE_SIZE = 1 << 17
"""Bytes of data in a piece, a multiple of the sector; the last one of a stretch may have fewer."""

HISTORY = 1 << 15
"""How far back deflate can refer, in bytes."""

LEFT_OUT = 64
"""Zeros are left out, when that is wanted, in runs of so many sectors."""

STREAM_BEGIN = b"\x78\x01"
STREAM_END_SIZE = 6
"""An empty last block and the checksum, in bytes."""

_LAST_BLOCK = b"\x03\x00"
_ADLER_BASE = 65521
_RAW = -15
_ISAL_LEVELS = {1: 2, 2: 2, 3: 2, 4: 3, 5: 3}
_ZEROS = bytes(PIECE_SIZE)
_LEFT_OUT_ZEROS = bytes(LEFT_OUT * SECTOR_SIZE)


class _Deflater(Protocol):
    def compress(self, data: memoryview, /) -> bytes: ...

    def flush(self, mode: int = ..., /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class DeflatedPiece:
    """Some sectors, and what they are compressed.

    Attributes:
        sector: where they begin.
        data: their content.
        history: bytes right before `data` that the stream must hold already: 0 or `HISTORY`.
        before: these bytes.
        deflated: raw deflate data that ends with a sync flush.
        adler: Adler-32 of `data`.
    """

    sector: int
    data: memoryview = field(repr=False)
    before: bytes = field(repr=False)
    deflated: bytes = field(repr=False)
    adler: int

    @property
    def history(self) -> int:
        """Bytes that must be in the stream right before this piece."""
        return len(self.before)

    @property
    def sectors(self) -> int:
        """How many sectors."""
        return len(self.data) // SECTOR_SIZE

    def head(self, sectors: int, level: int) -> "DeflatedPiece":
        """Its first sectors, compressed again."""
        return _piece(self.sector, self.data[: sectors * SECTOR_SIZE], self.before, level)

    def tail(self, sectors: int, level: int) -> "DeflatedPiece":
        """All but its first sectors, without history: the beginning of a stream."""
        if not sectors and not self.before:
            return self
        return _piece(self.sector + sectors, self.data[sectors * SECTOR_SIZE :], b"", level)


def deflate_pieces(
    data: bytes, sector: int, level: int, *, leave_out_zeros: bool = False
) -> Iterator[DeflatedPiece]:
    """Compress whole sectors, the first of which is `sector`.

    Zeros are data as others, but cost next to nothing: a piece of them is compressed once.

    Args:
        data: to be compressed.
        sector: place of its beginning.
        level: imagezip's, 0 to 9. 1 to 5 are ISA-L's levels 2, 2, 2, 3, 3, several times as fast
            as zlib's for images that are a few percent larger; 6 to 9 are zlib's own, for who
            wants the smallest image; 0 stores.
        leave_out_zeros: give no piece where `LEFT_OUT` sectors, counted from the beginning of
            `data`, are all zero.
    """
    view = memoryview(data)
    end_of_last = -1
    for begin, end in _stretches(data, leave_out_zeros):
        sector_here = sector + begin // SECTOR_SIZE
        if end - begin == PIECE_SIZE and data.startswith(_ZEROS, begin):
            adler, deflated = _deflated_zeros(level)
            yield DeflatedPiece(sector_here, view[begin:end], b"", deflated, adler)
            continue
        has_history = end_of_last == begin and begin >= HISTORY and level > 0
        before = data[begin - HISTORY : begin] if has_history else b""
        yield _piece(sector_here, view[begin:end], before, level)
        end_of_last = end if end - begin >= HISTORY else -1


def _stretches(data: bytes, leave_out_zeros: bool) -> Iterator[tuple[int, int]]:
    """Begin and end of each piece."""
    for begin in range(0, len(data), PIECE_SIZE):
        end = min(begin + PIECE_SIZE, len(data))
        if not leave_out_zeros:
            yield begin, end
            continue
        first = begin
        for place in range(begin, end, len(_LEFT_OUT_ZEROS)):
            if data.startswith(_LEFT_OUT_ZEROS, place):
                if first < place:
                    yield first, place
                first = place + len(_LEFT_OUT_ZEROS)
        if first < end:
            yield first, end


def _piece(sector: int, data: memoryview, before: bytes, level: int) -> DeflatedPiece:
    return DeflatedPiece(sector, data, before, _deflate(data, before, level), adler32(data))


def _deflate(data: memoryview, before: bytes, level: int) -> bytes:
    deflater = _deflater(level, before)
    return deflater.compress(data) + deflater.flush(zlib.Z_SYNC_FLUSH)


def _deflater(level: int, before: bytes) -> _Deflater:
    if level in _ISAL_LEVELS:
        fast = isal_zlib.compressobj(_ISAL_LEVELS[level], wbits=_RAW, zdict=before)
        return cast(_Deflater, fast)
    return cast(_Deflater, zlib.compressobj(level, wbits=_RAW, zdict=before))


@cache
def _deflated_zeros(level: int) -> tuple[int, bytes]:
    return adler32(_ZEROS), _deflate(memoryview(_ZEROS), b"", level)


def stream_end(adler: int) -> bytes:
    """What ends a zlib stream: an empty last block, and the checksum of all its data."""
    return _LAST_BLOCK + adler.to_bytes(4, "big")


def joined_adler(first: int, second: int, second_length: int) -> int:
    """Adler-32 of two pieces of data from theirs, the second of `second_length` bytes.

    Source: the definition in RFC 1950, as zlib's adler32_combine.
    """
    low = (first & 0xFFFF) + (second & 0xFFFF) - 1
    high = (first >> 16) + (second >> 16) + second_length * ((first & 0xFFFF) - 1)
    return (high % _ADLER_BASE) << 16 | low % _ADLER_BASE
