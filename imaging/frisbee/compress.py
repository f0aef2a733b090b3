"""Write an image: sectors of a disk in, chunks out.

Each chunk holds one zlib stream. How much fits is known only when it is compressed: data is fed
as long as it fits even if it does not shrink at all, then a sync flush tells what room is left,
and so on until the rest is not worth it.
"""

import os
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol, cast

from isal import isal_zlib

from imaging.frisbee.disk import is_seekable
from imaging.frisbee.errors import DiskError, ImageError
from imaging.frisbee.ndz import (
    CHUNK_SIZE,
    MAX_COMPRESSED,
    SECTOR_SIZE,
    SHORT_SECTOR,
    WRITER_REGIONS,
    ChunkHeader,
    Region,
    Relocation,
    encode_header,
)

DEFAULT_LEVEL = 4

READ_SIZE = 1 << 17
"""Bytes read at once, a multiple of the sector."""

FULL = 8192
"""A chunk with less room than this, in bytes, is finished."""

_TOTAL_OFFSET = 12
_ISAL_LEVELS = {1: 1, 2: 2, 3: 2, 4: 3, 5: 3}


class _Deflater(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...

    def flush(self, mode: int = ..., /) -> bytes: ...


def _deflater(level: int) -> _Deflater:
    """Make the compressor for imagezip's level 0 to 9.

    1 to 5 are ISA-L's levels 1, 2, 2, 3, 3, several times as fast as zlib's for images that are
    a few percent larger; 6 to 9 are zlib's own, for who wants the smallest image; 0 stores.
    """
    if level in _ISAL_LEVELS:
        return cast(_Deflater, isal_zlib.compressobj(_ISAL_LEVELS[level]))
    return cast(_Deflater, zlib.compressobj(level))


@dataclass(frozen=True, slots=True)
class ImageFormat:
    """How the image is to be written.

    Attributes:
        level: imagezip's, 0 to 9.
        version: of the format: 1, 3, or 4.
        uuid: 16 bytes, with version 4 and only there.
        short_bytes: bytes of the last sector, 0 to 511, that the source does not have.
        relocations: whether to tell that in the image.
    """

    level: int = DEFAULT_LEVEL
    version: int = 3
    uuid: bytes | None = None
    short_bytes: int = 0
    relocations: bool = True


@dataclass(frozen=True, slots=True)
class WrittenImage:
    """What was written; bytes.

    Attributes:
        chunks: how many, each of 1 MiB.
        input_end: byte of the source where the last data ended.
        data_bytes: data read from the source.
    """

    chunks: int
    input_end: int
    data_bytes: int

    @property
    def size(self) -> int:
        """Size of the image."""
        return self.chunks * CHUNK_SIZE


def _ignore_progress(input_offset: int) -> None:
    del input_offset


def write_image(
    source_fd: int,
    out_fd: int,
    *,
    regions: Iterable[Region],
    end_sector: int,
    base: int = 0,
    image_format: ImageFormat | None = None,
    progress: Callable[[int], None] = _ignore_progress,
) -> WrittenImage:
    """Write the image of a disk.

    Args:
        source_fd: the disk, or a file in its place.
        out_fd: a file (which should be empty) or a pipe.
        regions: data to save, ascending, relative to `base`; regions that touch are joined.
        end_sector: one past the last sector that the image speaks for.
        base: the source's sector where the image begins.
        image_format: level, version and such.
        progress: called after each chunk but the last, with the byte of the source reached.

    Raises:
        DiskError: the source cannot be read up to the end of the last region, or the image
            cannot be written. What was written is then no image.
        ImageError: the regions make no image.
        BrokenPipeError: whoever read the pipe has gone.
    """
    writer = _ImageWriter(
        source_fd, out_fd, base * SECTOR_SIZE, image_format or ImageFormat(), progress
    )
    for region in _joined(regions):
        writer.add(region)
    return writer.finish(end_sector)


def _joined(regions: Iterable[Region]) -> list[Region]:
    joined: list[Region] = []
    for region in regions:
        if joined and joined[-1].end == region.start:
            joined[-1] = Region(joined[-1].start, joined[-1].count + region.count)
        else:
            joined.append(region)
    return joined


@dataclass(slots=True)
class _Stream:
    """The compressed data of one chunk."""

    deflater: _Deflater
    parts: list[bytes] = field(default_factory=list)
    length: int = 0
    pending: int = 0

    def room(self) -> int:
        """Bytes of data that fit for certain, in whole sectors; 0 when the chunk is full."""
        room = self._worst_room()
        if room < FULL and self.pending:
            self._keep(self.deflater.flush(zlib.Z_SYNC_FLUSH))
            self.pending = 0
            room = self._worst_room()
        if room < FULL:
            return 0
        return room // SECTOR_SIZE * SECTOR_SIZE

    def add(self, data: bytes) -> None:
        self.pending += len(data)
        self._keep(self.deflater.compress(data))

    def finish(self) -> bytes:
        self._keep(self.deflater.flush(zlib.Z_FINISH))
        return b"".join(self.parts)

    def _worst_room(self) -> int:
        # incompressible data grows by less than a thousandth, flushes and trailer by some bytes
        return MAX_COMPRESSED - self.length - self.pending - (self.pending >> 8) - 1024

    def _keep(self, part: bytes) -> None:
        self.parts.append(part)
        self.length += len(part)


class _ImageWriter:
    def __init__(
        self,
        source_fd: int,
        out_fd: int,
        base: int,
        image_format: ImageFormat,
        progress: Callable[[int], None],
    ) -> None:
        self._source = source_fd
        self._out = out_fd
        self._base = base
        self._format = image_format
        self._progress = progress
        # room for the one relocation there can be
        self._max_regions = WRITER_REGIONS - (2 if image_format.short_bytes else 0)
        self._stream = _Stream(_deflater(image_format.level))
        self._regions: list[Region] = []
        self._chunks = 0
        self._first = 0
        self._data = 0

    def add(self, region: Region) -> None:
        position = region.start
        while position < region.end:
            room = self._stream.room()
            if not room or len(self._regions) == self._max_regions:
                self._end_chunk(self._regions[-1].end)
                self._progress(self._base + self._first * SECTOR_SIZE)
                continue
            length = min(room, READ_SIZE, (region.end - position) * SECTOR_SIZE)
            self._stream.add(self._read(position, length))
            self._data += length
            position += self._cover(position, length // SECTOR_SIZE)

    def finish(self, end_sector: int) -> WrittenImage:
        if not self._regions:
            raise ImageError("there is nothing to save")
        short = self._format.short_bytes
        last = self._regions[-1].end
        relocations: tuple[Relocation, ...] = ()
        if short and self._format.relocations and self._format.version > 1:
            relocations = (Relocation(SHORT_SECTOR, last - 1, 0, SECTOR_SIZE - short),)
        self._end_chunk(end_sector, relocations)
        if self._format.version == 1:
            self._write_totals()
        return WrittenImage(self._chunks, self._base + last * SECTOR_SIZE, self._data)

    def _cover(self, position: int, count: int) -> int:
        if self._regions and self._regions[-1].end == position:
            count_before = self._regions[-1].count
            self._regions[-1] = Region(self._regions[-1].start, count_before + count)
        else:
            self._regions.append(Region(position, count))
        return count

    def _read(self, sector: int, length: int) -> bytes:
        offset = self._base + sector * SECTOR_SIZE
        data = b""
        while len(data) < length:
            try:
                part = os.pread(self._source, length - len(data), offset + len(data))
            except OSError as error:
                raise DiskError(f"reading input file: {error.strerror}") from error
            if not part:
                break
            data = data + part if data else part
        missing = length - len(data)
        if missing and missing != self._format.short_bytes:
            raise DiskError(f"reading input file: it ends at byte {offset + len(data)}, too early")
        return data + bytes(missing)

    def _end_chunk(self, last: int, relocations: tuple[Relocation, ...] = ()) -> None:
        data = self._stream.finish()
        old = self._format.version == 1
        header = ChunkHeader(
            version=self._format.version,
            compressed_size=len(data),
            index=self._chunks,
            total=0,
            regions=tuple(self._regions),
            first_sector=None if old else self._first,
            last_sector=None if old else last,
            relocations=relocations,
            uuid=self._format.uuid,
        )
        padding = bytes(MAX_COMPRESSED - len(data))
        self._write(b"".join([encode_header(header), data, padding]))
        self._chunks += 1
        self._first = last
        self._regions = []
        self._stream = _Stream(_deflater(self._format.level))

    def _write(self, chunk: bytes) -> None:
        view = memoryview(chunk)
        try:
            while view:
                view = view[os.write(self._out, view) :]
        except BrokenPipeError:
            raise
        except OSError as error:
            raise DiskError(f"chunk write: {error.strerror}") from error

    def _write_totals(self) -> None:
        """Say in each chunk how many there are; the C tool too does it in files only."""
        if not is_seekable(self._out):
            return
        begin = os.lseek(self._out, 0, os.SEEK_CUR) - self._chunks * CHUNK_SIZE
        total = self._chunks.to_bytes(4, "little")
        try:
            for number in range(self._chunks):
                os.pwrite(self._out, total, begin + number * CHUNK_SIZE + _TOTAL_OFFSET)
        except OSError as error:
            raise DiskError(f"chunk write: {error.strerror}") from error
