"""What a client does with complete chunks: expand them onto a disk, or store them as they are."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from imaging.frisbee.disk import DiskWriter, flush
from imaging.frisbee.errors import FrisbeeError, ImageError
from imaging.frisbee.image import ImageWalk
from imaging.frisbee.marks import Covered, ProgressMarks
from imaging.frisbee.ndz import CHUNK_SIZE, Piece, expand, parse_header
from imaging.frisbee.packets import BLOCK_SIZE
from imaging.frisbee.resources import keep_freed_memory
from imaging.frisbee.workers import Turn

AHEAD_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class OutputDisk:
    """Where an image is expanded to; ``fixed_size`` in bytes, None for what can grow."""

    fd: int
    name: str
    fixed_size: int | None = None
    zero_fill: bool = False


class ExpandingSink:
    """Expands chunks onto the disk, shows their marks, and checks that they are one image."""

    def __init__(
        self,
        output: OutputDisk,
        marks: ProgressMarks | None,
        say: Callable[[str], None],
        started: float,
        *,
        ahead_bytes: int = AHEAD_BYTES,
    ) -> None:
        """Begin.

        Args:
            output: where to.
            marks: to be shown, if any.
            say: is given marks and warnings.
            started: a monotonic time.
            ahead_bytes: so much of a chunk is expanded before it is its turn to be written, by
                each thread that takes chunks; the rest then, by pieces of 1 MiB.
        """
        self._writer = DiskWriter(
            output.fd,
            zero_fill=output.zero_fill,
            name=output.name,
            fixed_size=output.fixed_size,
            progress=self._show,
            warn=lambda text: say(f"{text}\n"),
        )
        self._marks = marks
        self._say = say
        self._started = started
        self._ahead_bytes = ahead_bytes
        self._walk = ImageWalk("the image", any_order=True)
        keep_freed_memory()

    def take(self, chunk: int, blocks: Sequence[memoryview], turn: Turn) -> None:
        """Expand one chunk. Raises FrisbeeError."""
        data = b"".join(blocks)
        header = parse_header(data)
        if header.index != chunk:
            raise ImageError(f"chunk {chunk} says that it is chunk {header.index}")
        pieces = expand(data, header)
        ahead = _take_ahead(pieces, self._ahead_bytes)
        with turn():
            self._walk.feed(header)
            self._writer.write_expanded(header, chain(ahead, pieces))
            if self._marks is not None:
                self._print(self._marks.chunk_done(self._elapsed()))

    def finish(self) -> None:
        """All chunks have come. Raises FrisbeeError."""
        self._walk.finish()
        self._writer.finish()
        if self._marks is not None:
            self._say(self._marks.end_line())

    @property
    def effective_bytes(self) -> int:
        """Bytes of disk covered."""
        return self._writer.effective_bytes

    @property
    def actual_bytes(self) -> int:
        """Bytes really written."""
        return self._writer.actual_bytes

    @property
    def writes(self) -> int:
        """How many writes it took."""
        return self._writer.writes

    def _show(self, kind: Covered, count: int) -> None:
        """Bytes of disk are done."""
        if self._marks is not None:
            self._print(self._marks.cover(kind, count, self._elapsed()))

    def _elapsed(self) -> float:
        return time.monotonic() - self._started

    def _print(self, text: str) -> None:
        if text:
            self._say(text)


def _take_ahead(pieces: Iterator[Piece], limit: int) -> list[Piece]:
    taken: list[Piece] = []
    size = 0
    for piece in pieces:
        taken.append(piece)
        size += len(piece.data)
        if size >= limit:
            break
    return taken


class RawSink:
    """Stores the image file itself (-N), exactly as long as the server's."""

    def __init__(self, fd: int, size: int) -> None:
        """``size`` of the image in bytes."""
        self._fd = fd
        self._size = size
        self.effective_bytes = self.actual_bytes = self.writes = 0

    def take(self, chunk: int, blocks: Sequence[memoryview], turn: Turn) -> None:
        """Write one chunk at its place. Raises FrisbeeError."""
        offset = chunk * CHUNK_SIZE
        expected = min(len(blocks) * BLOCK_SIZE, self._size - offset)
        rest = expected % BLOCK_SIZE
        if rest:
            blocks = [*blocks[:-1], blocks[-1][:rest]]
        try:
            count = os.pwritev(self._fd, blocks, offset)
            writes = 1
            if count < expected:
                left = memoryview(b"".join(blocks))
                while count < expected:
                    count += os.pwrite(self._fd, left[count:], offset + count)
                    writes += 1
        except OSError as error:
            raise FrisbeeError(f"write error: {error.strerror}") from error
        with turn():
            self.writes += writes
            self.actual_bytes += count
            self.effective_bytes += count

    def finish(self) -> None:
        """See that all is on the disk. Raises FrisbeeError."""
        flush(self._fd)
