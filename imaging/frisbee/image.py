"""Look at a whole image: is it well-formed, how much does it cover, how large must a disk be?

A chunk that misses at the end of an image of version 2 to 4 cannot be seen in the file: keep the
size and the sha256 elsewhere too.
"""

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from imaging.frisbee.errors import ImageError
from imaging.frisbee.ndz import (
    CHUNK_SIZE,
    HEADER_SIZE,
    SECTOR_SIZE,
    Buffer,
    ChunkHeader,
    has_magic,
    inflate_pieces,
    parse_header,
)


@dataclass(frozen=True, slots=True)
class ImageSummary:
    """What the chunks of an image say together.

    Attributes:
        name: of the image, as given.
        size: of the image file, in bytes.
        chunks: how many.
        versions: of the format, ascending; images with several are legal.
        covered_bytes: bytes of disk that the image speaks for: data and free space. Version 1
            knows of no free space at the borders of chunks.
        data_bytes: bytes of disk that hold data.
        minimum_disk_size: bytes up to the end of the last data: a disk must be as large.
        end_sector: one past the last sector that the image speaks for.
        uuid: 16 bytes, in version 4.
        sha256: of the file, when it was read whole.
    """

    name: str
    size: int
    chunks: int
    versions: tuple[int, ...]
    covered_bytes: int
    data_bytes: int
    minimum_disk_size: int
    end_sector: int
    uuid: bytes | None
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class ImageGlance:
    """What the first and the last chunk of an image say.

    Attributes:
        size: of the image file, in bytes.
        chunks: how many.
        covered_bytes: bytes of disk from the first sector to the last that the image speaks for.
        minimum_disk_size: bytes up to the end of the last data: a disk must be as large.
    """

    size: int
    chunks: int
    covered_bytes: int
    minimum_disk_size: int


class ImageWalk:
    """Checks the headers of an image one after the other, from a file or from a stream. Pure.

    Every chunk must be well-formed, numbered in sequence, begin where the one before ended, the
    first at sector 0.

    Attributes:
        chunks: headers fed so far.
        covered_bytes: bytes of disk spoken for so far.
        data_bytes: of these, bytes that hold data.
    """

    def __init__(self, name: str, *, any_order: bool = False, uuid: bytes | None = None) -> None:
        """Begin.

        Args:
            name: of the image, for messages.
            any_order: accept chunks in any order and do not look at their numbers, as readers
                do; whether all are there shows at the end only.
            uuid: that chunks of version 4 must have; by default that of the first one.
        """
        self.chunks = 0
        self.covered_bytes = 0
        self.data_bytes = 0
        self._name = name
        self._any_order = any_order
        self._versions: set[int] = set()
        self._data_end = 0
        self._end = 0
        self._last_version = 0
        self._totals: set[int] = set()
        self._uuid = uuid
        self._spans: list[tuple[int, int, int, int]] = []

    def feed(self, header: Buffer | ChunkHeader) -> ChunkHeader:
        """Check the next chunk, given the 4096 bytes of its header or more.

        Raises:
            ImageError: the chunk is malformed or does not continue the image.
        """
        number = self.chunks
        try:
            parsed = header if isinstance(header, ChunkHeader) else parse_header(header)
            self._check(parsed)
        except ImageError as error:
            raise ImageError(error.message, hint=f"chunk {number} of {self._name}") from error
        self.chunks += 1
        self.covered_bytes += parsed.covered_bytes
        self.data_bytes += parsed.data_bytes
        self._versions.add(parsed.version)
        self._data_end = max(self._data_end, parsed.regions[-1].end)
        return parsed

    def finish(self) -> ImageSummary:
        """Check what shows only at the end, and sum up.

        Raises:
            ImageError: there is no chunk at all, or chunks are missing.
        """
        if not self.chunks:
            raise ImageError("the image is empty", hint=self._name)
        for start, end, version, number in sorted(self._spans):
            try:
                self._check_continuity(start, end, version)
            except ImageError as error:
                raise ImageError(error.message, hint=f"chunk {number} of {self._name}") from error
        for total in self._totals - {0, self.chunks}:
            raise ImageError(
                f"the image has {self.chunks} chunks, its headers say {total}", hint=self._name
            )
        return ImageSummary(
            name=self._name,
            size=self.chunks * CHUNK_SIZE,
            chunks=self.chunks,
            versions=tuple(sorted(self._versions)),
            covered_bytes=self.covered_bytes,
            data_bytes=self.data_bytes,
            minimum_disk_size=self._data_end * SECTOR_SIZE,
            end_sector=self._end,
            uuid=self._uuid,
        )

    def _check(self, header: ChunkHeader) -> None:
        if header.version == 4:
            if self._uuid not in (None, header.uuid):
                raise ImageError(
                    f"Incorrect Image ID in chunk {self.chunks}:"
                    f" 0x{(header.uuid or b'').hex()} instead of 0x{(self._uuid or b'').hex()}"
                )
            self._uuid = header.uuid
        if header.version == 1 or not self._any_order:
            self._totals.add(header.total)
        if self._any_order:
            self._spans.append((header.start, header.end, header.version, self.chunks))
            return
        if header.index != self.chunks:
            raise ImageError(f"the chunk is numbered {header.index}: chunks are missing")
        self._check_continuity(header.start, header.end, header.version)

    def _check_continuity(self, start: int, end: int, version: int) -> None:
        # version 1 does not say what is free between two chunks
        gap_allowed = version == 1 or self._last_version == 1
        if start < self._end or (start > self._end and not gap_allowed):
            raise ImageError(
                f"the chunk begins at sector {start} instead of {self._end}:"
                f" chunks {'overlap' if start < self._end else 'are missing'}"
            )
        self._end = end
        self._last_version = version


def inspect_image(path: str | os.PathLike[str], *, deep: bool = False) -> ImageSummary:
    """Check the image at `path`.

    Args:
        path: a regular file.
        deep: expand all data too, and compute the sha256 of the file; otherwise only headers are
            read.

    Raises:
        ImageError: it is no well-formed image, or cannot be read; the line names the file and
            the chunk.
    """
    with _opened(path) as (fd, name, size):
        return _inspect(fd, name, size, deep=deep)


def glance_image(path: str | os.PathLike[str]) -> ImageGlance:
    """Look at the first and the last header of the image at `path`: two reads, whatever its size.

    What is wrong between the two stays unseen: see :func:`inspect_image`.

    Raises:
        ImageError: it is no image, is truncated or malformed there, or cannot be read.
    """
    with _opened(path) as (fd, name, size):
        return _glance(fd, name, size)


@contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[tuple[int, str, int]]:
    """Have a regular file open: its descriptor, name and size; an OSError is an ImageError."""
    name = os.fspath(path)
    try:
        # O_NONBLOCK: a named pipe would wait for its writer
        fd = os.open(Path(path), os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        raise ImageError(f"{name}: {error.strerror}") from error
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise ImageError(f"{name}: not a regular file")
        yield fd, name, status.st_size
    except OSError as error:
        raise ImageError(f"{name}: {error.strerror}") from error
    finally:
        os.close(fd)


def check_image_size(name: str, size: int, beginning: bytes) -> int:
    """Give the number of chunks in a file of `size` bytes that begins with `beginning`.

    Raises:
        ImageError: an image cannot be so long, or the file is something else.
    """
    if size == 0:
        raise ImageError("the image is empty", hint=name)
    if not has_magic(beginning):
        # told first: "truncated" would be a strange thing to say of a text
        raise ImageError("Bad Magic Number!", hint=f"{name} is not an image")
    chunks, rest = divmod(size, CHUNK_SIZE)
    if rest:
        raise ImageError(
            f"the image is truncated: {rest} bytes of chunk {chunks} instead of {CHUNK_SIZE}",
            hint=name,
        )
    return chunks


def _glance(fd: int, name: str, size: int) -> ImageGlance:
    beginning = os.pread(fd, HEADER_SIZE, 0)
    chunks = check_image_size(name, size, beginning)
    first = last = ImageWalk(name).feed(beginning)
    if chunks > 1:
        number = chunks - 1
        try:
            last = parse_header(os.pread(fd, HEADER_SIZE, number * CHUNK_SIZE))
            if last.index != number:
                raise ImageError(f"the chunk is numbered {last.index}: chunks are missing")
            if last.start < first.end:
                raise ImageError(f"the chunk begins at sector {last.start}: chunks overlap")
            if first.uuid and last.uuid and first.uuid != last.uuid:
                raise ImageError("the chunk is one of another image")
        except ImageError as error:
            raise ImageError(error.message, hint=f"chunk {number} of {name}") from error
    for total in {first.total, last.total} - {0, chunks}:
        raise ImageError(f"the image has {chunks} chunks, its headers say {total}", hint=name)
    return ImageGlance(
        size=size,
        chunks=chunks,
        covered_bytes=(last.end - first.start) * SECTOR_SIZE,
        minimum_disk_size=last.regions[-1].end * SECTOR_SIZE,
    )


def _inspect(fd: int, name: str, size: int, *, deep: bool) -> ImageSummary:
    chunks = check_image_size(name, size, os.pread(fd, HEADER_SIZE, 0))
    walk = ImageWalk(name)
    digest = hashlib.sha256() if deep else None
    wanted = CHUNK_SIZE if deep else HEADER_SIZE
    for number in range(chunks):
        chunk = os.pread(fd, wanted, number * CHUNK_SIZE)
        if len(chunk) < wanted:
            raise ImageError(f"the image ends within chunk {number}", hint=name)
        header = walk.feed(chunk)
        if digest is not None:
            digest.update(chunk)
            _check_data(chunk, header, f"chunk {number} of {name}")
    summary = walk.finish()
    return summary if digest is None else replace(summary, sha256=digest.hexdigest())


def _check_data(chunk: Buffer, header: ChunkHeader, place: str) -> None:
    try:
        for _ in inflate_pieces(chunk, header):
            pass
    except ImageError as error:
        raise ImageError(error.message, hint=place) from error
