"""Put expanded chunks on a disk, in a file, or into a pipe.

Free space is skipped, so that what the disk held there stays; with zero fill it becomes zeros.
A pipe cannot skip: there it is always filled, and chunks must come in ascending order.
"""

import errno
import fcntl
import os
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from imaging.frisbee.errors import DiskError
from imaging.frisbee.marks import Covered
from imaging.frisbee.ndz import SECTOR_SIZE, Buffer, ChunkHeader, Piece, expand, parse_header

_ZEROS = memoryview(bytes(1 << 20))

CALL_BYTES = 1 << 22
CALL_PARTS = 512
"""What touches on the disk is written in one call, up to this; the kernel takes 1024 parts."""

NOT_SEEKABLE = "WARNING: output file is not seekable, must zero-fill free space"
OLD_FORMAT = "WARNING: old image file format, may not zero all unused blocks"


@dataclass(frozen=True, slots=True)
class WrittenChunk:
    """What one chunk did to the disk; bytes.

    Attributes:
        header: the chunk's own description.
        effective_bytes: data and free space that were dealt with.
        actual_bytes: of these, what was really written.
    """

    header: ChunkHeader
    effective_bytes: int
    actual_bytes: int


def open_output(path: str, *, as_disk: bool = False) -> tuple[int, int | None]:
    """Open the output of imageunzip or of the client for writing.

    Args:
        path: a file, which is emptied or created, a device or a pipe.
        as_disk: take a regular file as a disk too: it must exist, is not emptied, and keeps its
            size.

    Returns:
        The file descriptor, which the caller closes, and the `fixed_size` for `DiskWriter`.

    Raises:
        DiskError: it cannot be opened, or is no disk.
    """
    # without O_NONBLOCK the opening of a named pipe waits for its reader
    flags = os.O_WRONLY | (os.O_NONBLOCK if as_disk else os.O_CREAT | os.O_TRUNC)
    try:
        fd = os.open(path, flags, 0o666)
    except OSError as error:
        raise DiskError(f"opening output file: {error.strerror}", hint=path) from error
    if not as_disk:
        return fd, None
    status = os.fstat(fd)
    if stat.S_ISREG(status.st_mode):
        return fd, status.st_size
    if stat.S_ISBLK(status.st_mode):
        return fd, None
    os.close(fd)
    raise DiskError(f"opening output file: {path} is neither a block device nor a file")


def _ignore_warning(text: str) -> None:
    del text


def _ignore_progress(kind: Covered, count: int) -> None:
    del kind, count


class DiskWriter:
    """Writes chunks to one output, in any order unless it is a pipe. Not thread-safe.

    Attributes:
        zero_fill: whether free space is written as zeros.
        effective_bytes: data and free space dealt with so far.
        actual_bytes: bytes written so far, zeros included.
        zeroed_bytes: of these, zeros in free space.
        writes: number of writes of data so far, as the C tools count: zeros are left out.
        seeks: how many writes did not begin where the one before ended.
    """

    def __init__(
        self,
        fd: int,
        *,
        zero_fill: bool = False,
        name: str,
        fixed_size: int | None = None,
        progress: Callable[[Covered, int], None] = _ignore_progress,
        warn: Callable[[str], None] = _ignore_warning,
    ) -> None:
        """Begin to write to `fd`, which stays the caller's to close.

        Args:
            fd: file, block device or pipe, open for writing.
            zero_fill: write zeros into the free space that chunks speak for, and in the end over
                the rest of a disk.
            name: of the output, for messages.
            fixed_size: the output is a disk of so many bytes: it is never extended.
            progress: called after each stretch, with what happened to how many bytes.
            warn: called with the C tools' warnings.
        """
        self._fd = fd
        self._name = name
        self._fixed_size = fixed_size
        self._progress = progress
        self._warn = warn
        self._seekable = is_seekable(fd)
        self._next_offset = 0
        self._highest = 0
        self._waiting: list[memoryview] = []  # to be written, up to _next_offset
        self._waiting_bytes = 0
        self._warned_of_old_format = False
        self.zero_fill = zero_fill or not self._seekable
        self.effective_bytes = 0
        self.actual_bytes = 0
        self.zeroed_bytes = 0
        self.writes = 0
        self.seeks = 0
        if not self._seekable:
            warn(NOT_SEEKABLE)

    def write_chunk(self, chunk: Buffer) -> WrittenChunk:
        """Expand `chunk` and write it.

        Raises:
            ImageError: the chunk is malformed or damaged; part of it may have been written.
            DiskError: as :meth:`write_expanded`.
            BrokenPipeError: whoever read the pipe has gone.
        """
        header = parse_header(chunk)
        return self.write_expanded(header, expand(chunk, header))

    def write_expanded(self, header: ChunkHeader, pieces: Iterable[Piece]) -> WrittenChunk:
        """Write what :func:`~imaging.frisbee.ndz.expand` gave, perhaps in another thread.

        Raises:
            DiskError: the output is too small or cannot be written, or is a pipe and this chunk
                is not the next one.
            BrokenPipeError: whoever read the pipe has gone.
        """
        effective, actual = self.effective_bytes, self.actual_bytes
        self._check_format(header)
        position = self._start_of(header)
        for offset, data in pieces:
            self._fill(position, offset)
            self._write(offset, data, Covered.DATA)
            position = offset + len(data)
        # not from `position`: a short last sector is not filled up
        self._fill(header.regions[-1].end * SECTOR_SIZE, header.end * SECTOR_SIZE)
        self._write_waiting()
        return WrittenChunk(header, self.effective_bytes - effective, self.actual_bytes - actual)

    def finish(self) -> None:
        """Zero the rest of a disk if zero fill was asked for, and wait until all is on the disk.

        Raises:
            DiskError: the disk fails to write.
        """
        if self.zero_fill and self._seekable:
            self._fill(self._highest, self._disk_size())
            self._write_waiting()
        flush(self._fd, self._name)

    def _check_format(self, header: ChunkHeader) -> None:
        if header.version == 1 and self.zero_fill and not self._warned_of_old_format:
            self._warned_of_old_format = True
            self._warn(OLD_FORMAT)

    def _start_of(self, header: ChunkHeader) -> int:
        """The byte from where free space before the first region counts."""
        start = header.start * SECTOR_SIZE
        if self._seekable or start == self._next_offset:
            return start
        if header.version == 1 and start > self._next_offset:
            return self._next_offset  # version 1 does not say what is free between chunks
        raise DiskError(f"Non-contiguous write @ {start} (should be {self._next_offset})")

    def _fill(self, start: int, end: int) -> None:
        """Deal with free space from byte `start` to byte `end`."""
        if start >= end:
            return
        if not self.zero_fill:
            self.effective_bytes += end - start
            self._progress(Covered.SKIPPED, end - start)
            return
        while start < end:
            zeros = _ZEROS[: min(end - start, len(_ZEROS))]
            self._write(start, zeros, Covered.ZEROED)
            self.zeroed_bytes += len(zeros)
            start += len(zeros)

    def _write(self, offset: int, data: memoryview, kind: Covered) -> None:
        fitting = data
        if self._fixed_size is not None:
            if offset >= self._fixed_size:
                raise self._failure(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
            fitting = data[: self._fixed_size - offset]
        if (
            offset != self._next_offset
            or self._waiting_bytes >= CALL_BYTES
            or len(self._waiting) == CALL_PARTS
        ):
            self._write_waiting()
        self.seeks += offset != self._next_offset
        self.writes += kind is Covered.DATA
        self._waiting.append(fitting)
        self._waiting_bytes += len(fitting)
        self._next_offset = offset + len(fitting)
        if len(fitting) < len(data):
            self._write_waiting()
            raise self._short_write()
        self._highest = max(self._highest, self._next_offset)
        self.effective_bytes += len(data)
        self.actual_bytes += len(data)
        self._progress(kind, len(data))

    def _write_waiting(self) -> None:
        parts, offset = self._waiting, self._next_offset - self._waiting_bytes
        self._waiting, self._waiting_bytes = [], 0
        started = False
        while parts:
            try:
                count = (
                    os.pwritev(self._fd, parts, offset)
                    if self._seekable
                    else os.writev(self._fd, parts)
                )
            except BrokenPipeError:
                raise
            except OSError as error:
                # the C tools do not try the rest of a write that crosses the end of the disk
                if started and error.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):
                    raise self._short_write() from error
                raise self._failure(error) from error
            started = True
            offset += count
            parts = _without(parts, count)

    def _failure(self, error: OSError) -> DiskError:
        return DiskError(f"write error: {error.strerror}", hint=self._name)

    def _short_write(self) -> DiskError:
        return DiskError("Short write!", hint=f"{self._name} is too small for the image")

    def _disk_size(self) -> int:
        """Size of a disk in bytes; 0 for what is not a disk."""
        if self._fixed_size is not None:
            return self._fixed_size
        if stat.S_ISBLK(os.fstat(self._fd).st_mode):
            return os.lseek(self._fd, 0, os.SEEK_END)
        return 0


def _without(parts: list[memoryview], count: int) -> list[memoryview]:
    """What is left of parts when so many bytes of them are written."""
    for number, part in enumerate(parts):
        if count < len(part):
            return [part[count:], *parts[number + 1 :]]
        count -= len(part)
    return []


def flush(fd: int, name: str | None = None) -> None:
    """Wait until all that was written is on the disk.

    Raises:
        DiskError: the disk, which the message calls `name`, fails to write.
    """
    try:
        os.fsync(fd)
    except OSError as error:
        # pipes and character devices have nothing to flush
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EROFS):
            raise DiskError(f"fsync: {error.strerror}", hint=name, exit_status=255) from error


def is_seekable(fd: int) -> bool:
    """Tell whether one can write at any place of `fd`."""
    try:
        os.lseek(fd, 0, os.SEEK_CUR)
    except OSError:
        return False
    # in append mode Linux writes at the end, whatever the offset
    return not fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_APPEND
