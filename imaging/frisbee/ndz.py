"""The .ndz image format: one chunk's header and its compressed data. Pure: bytes in, values out.

A file is a sequence of independent chunks of 1 MiB: a header of 4096 bytes, one zlib stream of
exactly `compressed_size` bytes, padding. The stream holds the sectors of the header's regions,
one region after the other. All integers are little-endian, all positions are 512-byte sectors.
"""

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, cast

from isal import isal_zlib

from imaging.frisbee.errors import ImageError

CHUNK_SIZE = 1 << 20
HEADER_SIZE = 4096
SECTOR_SIZE = 512
MAX_COMPRESSED = CHUNK_SIZE - HEADER_SIZE
"""Room for compressed data in a chunk, in bytes."""

WRITER_REGIONS = 469
"""imagezip starts a new chunk at this many regions, whatever the version."""

PIECE_SIZE = 1 << 20
"""No piece of expanded data is longer, in bytes: a chunk of zeros expands to about a gigabyte."""

SHORT_SECTOR = 6
"""Type of the relocation that says how many bytes of the last sector are meant."""

MAX_SECTOR = 1 << 32

Buffer = bytes | bytearray | memoryview

_MAGIC = 0x69696969
_COMMON = struct.Struct("<IIiiii")  # magic, size, blockindex, blocktotal, regionsize, regioncount
_COVERAGE = struct.Struct("<IIi")  # firstsect, lastsect, reloccount
_REGION = struct.Struct("<II")
_RELOCATION = struct.Struct("<IIII")
_UUID_OFFSET = 328
_INFLATE_ERROR = cast(type[Exception], isal_zlib.error)  # the stubs know only an instance
_HEADER_LENGTH = {1: 24, 2: 36, 3: 36, 4: 344}


class Region(NamedTuple):
    """A run of sectors that hold data: `start`, and how many."""

    start: int
    count: int  # type: ignore[assignment]  # a tuple, for speed; its own count() is not missed

    @property
    def end(self) -> int:
        """One past the last sector."""
        return self.start + self.count


class Relocation(NamedTuple):
    """A place that depends on where the image goes: type, sector, offset and size in bytes."""

    type: int
    sector: int
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class ChunkHeader:
    """What a chunk says about itself.

    Attributes:
        version: 1 to 4.
        compressed_size: exact length of the zlib stream, in bytes.
        index: number of the chunk in its file, from 0; readers of single chunks ignore it.
        total: number of chunks in the file, or 0 when the writer did not say.
        regions: ascending, with at least one sector between two of them.
        first_sector: the first sector that the chunk speaks for; None in version 1.
        last_sector: one past the last sector that it speaks for; None in version 1.
        relocations: only in images of a slice or of a file of odd length.
        uuid: 16 bytes that all chunks of a version 4 image share; None in the others.
    """

    version: int
    compressed_size: int
    index: int
    total: int
    regions: tuple[Region, ...]
    first_sector: int | None
    last_sector: int | None
    relocations: tuple[Relocation, ...] = ()
    uuid: bytes | None = None

    @property
    def start(self) -> int:
        """The first sector spoken for, free or not."""
        return self.regions[0].start if self.first_sector is None else self.first_sector

    @property
    def end(self) -> int:
        """One past the last sector spoken for, free or not."""
        return self.regions[-1].end if self.last_sector is None else self.last_sector

    @property
    def covered_bytes(self) -> int:
        """Bytes of disk spoken for, data and free space."""
        return (self.end - self.start) * SECTOR_SIZE

    @property
    def data_bytes(self) -> int:
        """Length of the expanded data."""
        return sum(region.count for region in self.regions) * SECTOR_SIZE

    @property
    def short_bytes(self) -> int:
        """How many bytes at the end of the data are not meant to be written, 0 to 511.

        The C reader looks for relocations where only version 4 has them, so a file of odd length
        comes out of an image of version 2 or 3 rounded up to whole sectors; that is kept.
        """
        if self.version != 4:
            return 0
        last = self.regions[-1].end - 1
        for relocation in self.relocations:
            if relocation.type == SHORT_SECTOR and relocation.sector == last:
                return max(SECTOR_SIZE - relocation.size, 0)
        return 0


def has_magic(beginning: Buffer) -> bool:
    """Say whether a file that begins so may be an image."""
    return len(beginning) >= 4 and _version(int.from_bytes(beginning[:4], "little")) is not None


def _version(magic: int) -> int | None:
    version = magic - _MAGIC + 1
    return version if version in _HEADER_LENGTH else None


def parse_header(chunk: Buffer) -> ChunkHeader:
    """Read and check the header at the beginning of `chunk` (4096 bytes of it are enough).

    Raises:
        ImageError: the header is not one that the format allows.
    """
    if len(chunk) < HEADER_SIZE:
        raise ImageError(f"truncated header: {len(chunk)} bytes instead of {HEADER_SIZE}")
    magic, size, index, total, _, region_count = _COMMON.unpack_from(chunk)
    version = _version(magic)
    if version is None:
        raise ImageError("Bad Magic Number!")
    first: int | None = None
    last: int | None = None
    relocation_count = 0
    if version > 1:
        first, last, relocation_count = _COVERAGE.unpack_from(chunk, _COMMON.size)
    _check_counts(version, size, region_count, relocation_count)
    table = _HEADER_LENGTH[version]
    relocation_table = table + region_count * _REGION.size
    end = relocation_table + relocation_count * _RELOCATION.size
    header = ChunkHeader(
        version=version,
        compressed_size=size,
        index=index,
        total=total,
        regions=tuple(map(Region._make, _REGION.iter_unpack(chunk[table:relocation_table]))),
        first_sector=first,
        last_sector=last,
        relocations=tuple(
            map(Relocation._make, _RELOCATION.iter_unpack(chunk[relocation_table:end]))
        ),
        uuid=bytes(chunk[_UUID_OFFSET : _UUID_OFFSET + 16]) if version == 4 else None,
    )
    _check_regions(header)
    return header


def encode_header(header: ChunkHeader) -> bytes:
    """Write the 4096 bytes that :func:`parse_header` reads back as `header`.

    Raises:
        ImageError: the format does not allow such a header.
    """
    if header.version not in _HEADER_LENGTH:
        raise ImageError(f"there is no version {header.version} of the format")
    _check_counts(
        header.version, header.compressed_size, len(header.regions), len(header.relocations)
    )
    _check_regions(header)
    data = bytearray(HEADER_SIZE)
    magic = _MAGIC + header.version - 1
    try:
        _COMMON.pack_into(
            data,
            0,
            magic,
            header.compressed_size,
            header.index,
            header.total,
            HEADER_SIZE,
            len(header.regions),
        )
        if header.version > 1:
            _COVERAGE.pack_into(
                data, _COMMON.size, header.start, header.end, len(header.relocations)
            )
        if header.version == 4:
            struct.pack_into("16s", data, _UUID_OFFSET, header.uuid or b"")
        tables = b"".join(
            [_REGION.pack(*region) for region in header.regions]
            + [_RELOCATION.pack(*relocation) for relocation in header.relocations]
        )
    except struct.error as error:
        raise ImageError(f"a header cannot hold these numbers: {error}") from error
    table = _HEADER_LENGTH[header.version]
    data[table : table + len(tables)] = tables
    return bytes(data)


def _check_counts(version: int, size: int, regions: int, relocations: int) -> None:
    if not 0 < size <= MAX_COMPRESSED:
        raise ImageError(f"compressed size {size} is not between 1 and {MAX_COMPRESSED} bytes")
    if regions < 1 or relocations < 0 or (relocations and version == 1):
        raise ImageError(f"{regions} regions and {relocations} relocations are not possible")
    room = HEADER_SIZE - _HEADER_LENGTH[version]
    if regions * _REGION.size + relocations * _RELOCATION.size > room:
        raise ImageError(f"{regions} regions and {relocations} relocations do not fit in a header")


def _check_regions(header: ChunkHeader) -> None:
    if (header.first_sector is None) != (header.version == 1) or (header.last_sector is None) != (
        header.version == 1
    ):
        raise ImageError("first and last sector belong to versions 2, 3 and 4, and only there")
    # -1: the first region may begin at the first sector, without a gap
    previous_end = -1 if header.first_sector is None else header.first_sector - 1
    for start, count in header.regions:
        if count == 0:
            raise ImageError(f"the region at sector {start} is empty")
        if start <= previous_end:
            raise ImageError(
                f"the region at sector {start} is out of order, overlaps or touches the one before"
            )
        previous_end = start + count
    last = MAX_SECTOR if header.last_sector is None else header.last_sector
    if previous_end > last:
        raise ImageError(f"a region ends at sector {previous_end}, after the chunk's end {last}")


class Piece(NamedTuple):
    """Expanded data, and the byte of the disk where it goes."""

    offset: int
    data: memoryview


def inflate_pieces(chunk: Buffer, header: ChunkHeader) -> Iterator[bytes]:
    """Expand the chunk's data, at most `PIECE_SIZE` bytes at a time.

    Raises:
        ImageError: the stream is damaged, or is not exactly as long as the header says, before
            or after expansion. Pieces given before that are not to be trusted.
    """
    end = HEADER_SIZE + header.compressed_size
    if len(chunk) < end:
        raise ImageError(f"truncated chunk: {len(chunk)} bytes instead of {end} at least")
    inflater = isal_zlib.decompressobj()
    rest: Buffer = memoryview(chunk)[HEADER_SIZE:end]
    missing = header.data_bytes
    try:
        while not inflater.eof:
            # one byte more than is missing: too much data shows, and the end is always reached
            piece = inflater.decompress(rest, min(PIECE_SIZE, missing + 1))
            stuck = not piece and len(inflater.unconsumed_tail) in (0, len(rest))
            rest = inflater.unconsumed_tail
            missing -= len(piece)
            if missing < 0:
                raise ImageError("inflate failed: more data than the regions hold")
            if piece:
                yield piece
            elif stuck and not inflater.eof:
                raise ImageError("inflate failed: the compressed data ends too early")
    except _INFLATE_ERROR as error:
        raise ImageError("inflate failed, err=-3") from error
    if missing:
        raise ImageError(f"inflate failed: {missing} bytes less than the regions hold")
    if inflater.unused_data:
        raise ImageError(
            f"inflate failed: the compressed data ends {len(inflater.unused_data)} bytes"
            " before the size in the header"
        )


def inflate(chunk: Buffer, header: ChunkHeader) -> bytes:
    """Expand the chunk's data in one go: up to a gigabyte, see :func:`inflate_pieces`.

    Raises:
        ImageError: as :func:`inflate_pieces`.
    """
    return b"".join(inflate_pieces(chunk, header))


def expand(chunk: Buffer, header: ChunkHeader) -> Iterator[Piece]:
    """Give the pieces of `chunk` with their places, in ascending order; pure.

    Raises:
        ImageError: as :func:`inflate_pieces`.
    """
    return _place(inflate_pieces(chunk, header), header)


def _place(data: Iterable[bytes], header: ChunkHeader) -> Iterator[Piece]:
    regions = iter(header.regions)
    offset = room = 0
    held_back = header.short_bytes
    total = header.data_bytes - held_back
    for block in data:
        view = memoryview(block)
        while view and total:
            if not room:
                region = next(regions)
                offset, room = region.start * SECTOR_SIZE, region.count * SECTOR_SIZE
            part = view[: min(room, total)]
            yield Piece(offset, part)
            offset += len(part)
            room -= len(part)
            total -= len(part)
            view = view[len(part) :]
