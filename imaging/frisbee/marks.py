"""The progress marks of the commands, exactly as the C tools print them. Pure: time is passed in.

Two dialects: the client and imageunzip say what became of chunks and of the disk, 67 marks a line;
imagezip says how many chunks are finished, 61 marks a line.
"""

from enum import StrEnum

UNZIP_WIDTH = 67
ZIP_WIDTH = 61
MARK_BYTES = 1_000_000_000
"""One more mark for every so many bytes of disk."""


class Covered(StrEnum):
    """What happened to a stretch of the disk; the value is its mark."""

    DATA = "."
    SKIPPED = "s"
    ZEROED = "z"


class ProgressMarks:
    """The marks of the client and of imageunzip.

    The methods return the text to print, which is empty most of the time. After every 67 marks
    comes the elapsed time in whole seconds, and the number of chunks that remain.
    """

    def __init__(
        self, total_chunks: int, *, show_chunks: bool = True, show_bytes: bool = True
    ) -> None:
        """Begin.

        Args:
            total_chunks: chunks in the image; 0 when unknown: the remaining number is then
                negative, as the C tool's.
            show_chunks: one mark for each chunk (imageunzip's ``-o``).
            show_bytes: one mark for each 10^9 bytes of disk (imageunzip's ``-O``).
        """
        self.remaining = total_chunks
        self._show_chunks = show_chunks
        self._show_bytes = show_bytes
        self._covered = 0
        self._column = 0

    def chunk_done(self, elapsed: float) -> str:
        """One more chunk is expanded, `elapsed` seconds after the beginning."""
        self.remaining -= 1
        return self._marks(Covered.DATA, int(self._show_chunks), elapsed)

    def cover(self, kind: Covered, count: int, elapsed: float) -> str:
        """`count` more bytes of disk are done, `elapsed` seconds after the beginning."""
        before = self._covered // MARK_BYTES
        self._covered += count
        reached = self._covered // MARK_BYTES - before
        return self._marks(kind, reached if self._show_bytes else 0, elapsed)

    def end_line(self) -> str:
        """End of the client's marks: a newline, also when the last line is just full."""
        self._column = 0
        return "\n"

    def end_numbers(self, elapsed: float) -> str:
        """End of imageunzip's marks: the line is padded to its numbers."""
        padding = " " * (UNZIP_WIDTH - self._column)
        return padding + self._numbers(elapsed)

    def _marks(self, kind: Covered, count: int, elapsed: float) -> str:
        parts = []
        for _ in range(count):
            parts.append(kind.value)
            self._column += 1
            if self._column == UNZIP_WIDTH:
                parts.append(self._numbers(elapsed))
        return "".join(parts)

    def _numbers(self, elapsed: float) -> str:
        self._column = 0
        return f"{int(elapsed):4d} {self.remaining:6d}\n"


class ZipMarks:
    """The marks of imagezip: one for each finished chunk but the last."""

    def __init__(self) -> None:
        """Begin."""
        self._column = 0

    def chunk_done(self, input_offset: int, elapsed: float) -> str:
        """A chunk is written, and it is not the last one.

        Args:
            input_offset: byte of the input disk that was reached.
            elapsed: seconds since the beginning.
        """
        self._column += 1
        if self._column < ZIP_WIDTH:
            return "."
        self._column = 0
        return f". {input_offset:12d} {int(elapsed):4d}\n"

    def end_line(self) -> str:
        """End of the marks: a newline when one is due."""
        return "\n" if self._column else ""
