"""Read a disk ahead and compress it, in threads; what comes out stays in its order."""

import os
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from imaging.frisbee.deflate import DeflatedPiece, deflate_pieces
from imaging.frisbee.errors import DiskError
from imaging.frisbee.ndz import SECTOR_SIZE, Region

SPAN_SIZE = 1 << 20
"""Bytes that a thread reads and compresses at once, a multiple of the sector."""

SPANS_AHEAD = 3
"""Spans that are read ahead for each thread: what memory is needed."""

MAX_THREADS = 8
"""More do not help: one thread puts all into chunks and writes."""


@dataclass(frozen=True, slots=True)
class Source:
    """The disk that is read; its methods may be called in several threads.

    Attributes:
        fd: of the disk, or of a file in its place.
        base: byte of it from where sectors are counted.
        level: of the compression, see :func:`~imaging.frisbee.deflate.deflate_pieces`.
        short_bytes: bytes of the last sector that the source does not have: they are read as zeros.
        leave_out_zeros: give no pieces for longer runs of zeros.
    """

    fd: int
    base: int
    level: int
    short_bytes: int = 0
    leave_out_zeros: bool = False

    def deflate(self, batch: list[Region]) -> list[DeflatedPiece]:
        """Read some regions and compress them.

        Raises:
            DiskError: they cannot be read.
        """
        return [
            piece
            for region in batch
            for piece in deflate_pieces(
                self._read(region.start, region.count * SECTOR_SIZE),
                region.start,
                self.level,
                leave_out_zeros=self.leave_out_zeros,
            )
        ]

    def _read(self, sector: int, length: int) -> bytes:
        offset = self.base + sector * SECTOR_SIZE
        data = b""
        while len(data) < length:
            try:
                part = os.pread(self.fd, length - len(data), offset + len(data))
            except OSError as error:
                raise DiskError(f"reading input file: {error.strerror}") from error
            if not part:
                break
            data = data + part if data else part
        missing = length - len(data)
        if missing and missing != self.short_bytes:
            raise DiskError(f"reading input file: it ends at byte {offset + len(data)}, too early")
        return data + bytes(missing) if missing else data


def _joined(regions: Iterable[Region]) -> Iterator[Region]:
    last: Region | None = None
    for region in regions:
        if last is not None and last.end == region.start:
            last = Region(last.start, last.count + region.count)
            continue
        if last is not None:
            yield last
        last = region
    if last is not None:
        yield last


def _batches(regions: Iterable[Region]) -> Iterator[list[Region]]:
    """What is read and compressed at once: a part of one region, or several short ones."""
    batch: list[Region] = []
    room = span = SPAN_SIZE // SECTOR_SIZE
    for start, count in regions:
        end = start + count
        position = start
        while position < end:
            length = min(room, end - position)
            batch.append(Region(position, length))
            position += length
            room -= length
            if not room:
                yield batch
                batch, room = [], span
    if batch:
        yield batch


def read_pieces(
    source: Source, regions: Iterable[Region], threads: int
) -> Generator[DeflatedPiece, None, None]:
    """Read and compress ahead in threads; give the pieces in their order.

    Args:
        source: the disk.
        regions: to be read, ascending; those that touch are joined.
        threads: how many. The pieces do not depend on it.

    Raises:
        DiskError: the source cannot be read; pieces before that have been given.
    """
    pool = ThreadPoolExecutor(threads, "imagezip")
    ahead: deque[Future[list[DeflatedPiece]]] = deque()
    try:
        for batch in _batches(_joined(regions)):
            ahead.append(pool.submit(source.deflate, batch))
            if len(ahead) >= SPANS_AHEAD * threads:
                yield from ahead.popleft().result()
        while ahead:
            yield from ahead.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
