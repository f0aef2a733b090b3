"""A frisbee tool on a disk that breaks: the tool is real, its system calls are not.

No unprivileged file fails with EIO when it is half written. So the tool of ours runs in this
process, with ``os.pwrite``, ``os.pwritev`` and ``os.pread`` that fail once half is done: of the
image, as the client itself tells by its marks, or of what the disk has, when it is read.
"""

import errno
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from imaging.frisbee.commands import frisbee, imagezip
from imaging.frisbee.dialect import ClientDialect, Progress

BLOCK = 512  # bytes; st_blocks counts in these

_write, _pwrite, _pwritev, _pread = os.write, os.pwrite, os.pwritev, os.pread


def io_error() -> OSError:
    """What the kernel says of such a disk."""
    return OSError(errno.EIO, os.strerror(errno.EIO))


class HalfWritten:
    """Breaks when the client has said that half of the image is there."""

    def __init__(self) -> None:
        """It works yet."""
        self._dialect = ClientDialect()
        self._broken = False

    def write(self, fd: int, data: Any, /) -> int:
        """As os.write; what goes to standard error is read, too."""
        if fd == 2:
            for event in self._dialect.feed(bytes(data).decode("utf-8", "replace")):
                if isinstance(event, Progress) and event.fraction >= 0.5:
                    self._broken = True
        return _write(fd, data)

    def pwrite(self, fd: int, data: Any, offset: int, /) -> int:
        """As os.pwrite, until it breaks."""
        if self._broken:
            raise io_error()
        return _pwrite(fd, data, offset)

    def pwritev(self, fd: int, parts: Any, offset: int, flags: int = 0, /) -> int:
        """As os.pwritev, until it breaks."""
        if self._broken:
            raise io_error()
        return _pwritev(fd, parts, offset, flags)


class HalfRead:
    """Breaks when so much was read as is half of what the disk has."""

    def __init__(self, left: int) -> None:
        """``left`` is in bytes."""
        self._left = left

    def pread(self, fd: int, length: int, offset: int, /) -> bytes:
        """As os.pread, until it breaks."""
        self._left -= length
        if self._left < 0:
            raise io_error()
        return _pread(fd, length, offset)


def main(argv: Sequence[str]) -> None:
    """Run ``TOOL ARGUMENT...``."""
    tool, *words = argv
    run: Callable[[Sequence[str]], None]
    if tool == "imagezip":
        disk = next(Path(word) for word in words if word.endswith("disk.img"))
        os.pread = HalfRead(disk.stat().st_blocks * BLOCK // 2).pread
        run = imagezip.main
    else:
        half = HalfWritten()
        os.write, os.pwrite, os.pwritev = half.write, half.pwrite, half.pwritev
        run = frisbee.main
    run(words)


if __name__ == "__main__":
    main(sys.argv[1:])
