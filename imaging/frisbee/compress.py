"""Write an image: sectors of a disk in, chunks out.

Threads read the disk ahead and compress it piece by piece; the pieces are put into chunks in their
order, so the image does not depend on how many threads there are. Each chunk holds one zlib
stream. How much fits is known only when it is compressed: the piece that does not fit is
compressed again in two parts.
"""

import os
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass, field

from imaging.frisbee.deflate import (
    STREAM_BEGIN,
    STREAM_END_SIZE,
    DeflatedPiece,
    joined_adler,
    stream_end,
)
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
from imaging.frisbee.read_ahead import MAX_THREADS, Source, read_pieces
from imaging.frisbee.resources import keep_freed_memory, worker_threads

DEFAULT_LEVEL = 4

FULL = 8192
"""A chunk with less room than this, in bytes, is finished."""

_TOTAL_OFFSET = 12
_GUESSES = 5


@dataclass(frozen=True, slots=True)
class ImageFormat:
    """How the image is to be written.

    Attributes:
        level: imagezip's, 0 to 9; see :func:`~imaging.frisbee.deflate.deflate_pieces`.
        version: of the format: 1, 3, or 4.
        uuid: 16 bytes, with version 4 and only there.
        short_bytes: bytes of the last sector, 0 to 511, that the source does not have.
        relocations: whether to tell that in the image.
        leave_out_zeros: longer runs of zeros are free space instead of data.
    """

    level: int = DEFAULT_LEVEL
    version: int = 3
    uuid: bytes | None = None
    short_bytes: int = 0
    relocations: bool = True
    leave_out_zeros: bool = False


@dataclass(frozen=True, slots=True)
class WrittenImage:
    """What was written; bytes.

    Attributes:
        chunks: how many, each of 1 MiB.
        input_end: byte of the source where the last data ended.
        data_bytes: data in the image.
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
    threads: int | None = None,
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
        threads: that read and compress; by default one for each core.

    Raises:
        DiskError: the source cannot be read up to the end of the last region, or the image
            cannot be written. What was written is then no image.
        ImageError: the regions make no image.
        BrokenPipeError: whoever read the pipe has gone.
    """
    chosen = image_format or ImageFormat()
    offset = base * SECTOR_SIZE
    source = Source(
        source_fd, offset, chosen.level, chosen.short_bytes, leave_out_zeros=chosen.leave_out_zeros
    )
    writer = _ImageWriter(out_fd, offset, chosen, progress)
    keep_freed_memory()
    with closing(read_pieces(source, regions, threads or worker_threads(MAX_THREADS))) as pieces:
        for piece in pieces:
            writer.add(piece)
    return writer.finish(end_sector)


@dataclass(slots=True)
class _Stream:
    """The zlib stream of one chunk."""

    parts: list[bytes] = field(default_factory=lambda: [STREAM_BEGIN])
    length: int = len(STREAM_BEGIN)
    data_bytes: int = 0
    adler: int = 1

    @property
    def room(self) -> int:
        """Bytes of compressed data that fit."""
        return MAX_COMPRESSED - self.length - STREAM_END_SIZE

    def add(self, piece: DeflatedPiece) -> None:
        self.parts.append(piece.deflated)
        self.length += len(piece.deflated)
        self.data_bytes += len(piece.data)
        self.adler = joined_adler(self.adler, piece.adler, len(piece.data))

    def finish(self) -> None:
        self.parts.append(stream_end(self.adler))
        self.length += STREAM_END_SIZE


class _ImageWriter:
    """Puts pieces into chunks, and writes these."""

    def __init__(
        self,
        out_fd: int,
        base: int,
        image_format: ImageFormat,
        progress: Callable[[int], None],
    ) -> None:
        self._out = out_fd
        self._base = base
        self._format = image_format
        self._progress = progress
        # room for the one relocation there can be
        self._max_regions = WRITER_REGIONS - (2 if image_format.short_bytes else 0)
        self._stream = _Stream()
        self._regions: list[Region] = []
        self._chunks = 0
        self._first = 0
        self._data = 0

    def add(self, piece: DeflatedPiece) -> None:
        """Put a piece into the chunk, or what fits of it, and the rest into the next one."""
        if self._is_full(piece):
            self._next_chunk()
        if piece.history > self._stream.data_bytes:
            piece = piece.tail(0, self._format.level)
        if len(piece.deflated) > self._stream.room:
            sectors = self._fill_up(piece)
            self._next_chunk()
            piece = piece.tail(sectors, self._format.level)
        self._keep(piece)

    def finish(self, end_sector: int) -> WrittenImage:
        """Write the last chunk."""
        if not self._regions:
            raise ImageError("there is nothing to save")
        short = self._format.short_bytes
        last = self._regions[-1].end
        relocations: tuple[Relocation, ...] = ()
        if short and self._format.relocations and self._format.version > 1 and last == end_sector:
            relocations = (Relocation(SHORT_SECTOR, last - 1, 0, SECTOR_SIZE - short),)
        self._end_chunk(end_sector, relocations)
        if self._format.version == 1:
            self._write_totals()
        return WrittenImage(self._chunks, self._base + last * SECTOR_SIZE, self._data)

    def _is_full(self, piece: DeflatedPiece) -> bool:
        if self._stream.room < FULL:
            return True
        continues = bool(self._regions) and self._regions[-1].end == piece.sector
        return len(self._regions) == self._max_regions and not continues

    def _fill_up(self, piece: DeflatedPiece) -> int:
        """Put as much of a piece into the chunk as is worth it, and say how many sectors."""
        best: DeflatedPiece | None = None
        # beginnings of so many sectors are so long: one that fits, and one that does not
        fits, fits_size = 0, 0
        exceeds, exceeds_size = piece.sectors, len(piece.deflated)
        wanted = self._stream.room - FULL // 2
        for _ in range(_GUESSES):
            slope = (exceeds - fits) / (exceeds_size - fits_size)
            guess = fits + int((wanted - fits_size) * slope)
            if not fits < guess < exceeds:
                break
            head = piece.head(guess, self._format.level)
            size = len(head.deflated)
            if size > self._stream.room:
                exceeds, exceeds_size = guess, size
                continue
            best = head
            fits, fits_size = guess, size
            if self._stream.room - size < FULL:
                break
        if best is None:
            return 0
        self._keep(best)
        return best.sectors

    def _keep(self, piece: DeflatedPiece) -> None:
        self._stream.add(piece)
        self._data += len(piece.data)
        if self._regions and self._regions[-1].end == piece.sector:
            start, count = self._regions[-1]
            self._regions[-1] = Region(start, count + piece.sectors)
        else:
            self._regions.append(Region(piece.sector, piece.sectors))

    def _next_chunk(self) -> None:
        self._end_chunk(self._regions[-1].end)
        self._progress(self._base + self._first * SECTOR_SIZE)

    def _end_chunk(self, last: int, relocations: tuple[Relocation, ...] = ()) -> None:
        stream = self._stream
        stream.finish()
        old = self._format.version == 1
        header = ChunkHeader(
            version=self._format.version,
            compressed_size=stream.length,
            index=self._chunks,
            total=0,
            regions=tuple(self._regions),
            first_sector=None if old else self._first,
            last_sector=None if old else last,
            relocations=relocations,
            uuid=self._format.uuid,
        )
        padding = bytes(MAX_COMPRESSED - stream.length)
        self._write(b"".join([encode_header(header), *stream.parts, padding]))
        self._chunks += 1
        self._first = last
        self._regions = []
        self._stream = _Stream()

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
