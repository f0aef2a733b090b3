"""imaging-imageunzip: expand an image onto a disk, into a file or into a pipe."""

import errno
import os
import stat
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from imaging.frisbee.commands import (
    VERSION_LINE,
    number_option,
    parse_options,
    run_command,
    say,
    uuid_option,
)
from imaging.frisbee.disk import DiskWriter, open_output
from imaging.frisbee.errors import DiskError, ImageError, UsageError
from imaging.frisbee.image import ImageWalk, check_image_size
from imaging.frisbee.inflate import expand_ahead
from imaging.frisbee.marks import Covered, ProgressMarks
from imaging.frisbee.ndz import CHUNK_SIZE, HEADER_SIZE, Piece

USAGE = """\
usage: imaging-imageunzip [options] IMAGE|- [OUTPUT|-]
Expand an image; without OUTPUT, or with -, to standard output. A file is emptied first.
  -z        write zeros into free space, and over the rest of a disk
  -o        a progress mark for each chunk
  -O        a progress mark for each 10^9 bytes of disk
  -u UUID   refuse the image if it has another UUID (32 hexadecimal digits)
  --disk    take OUTPUT for a disk even if it is a file: it must exist, and keeps its size
  -v        print the version
  -h        print this text
  -d, -f, -n, -r N, -W MB are accepted and make no difference
"""


@dataclass(slots=True)
class _Options:
    image: str = "-"
    output: str = "-"
    zero_fill: bool = False
    show_chunks: bool = False
    show_bytes: bool = False
    uuid: bytes | None = None
    as_disk: bool = False

    @property
    def marks(self) -> bool:
        return self.show_chunks or self.show_bytes


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command to its exit status."""
    run_command(_body, argv)


def _body(argv: Sequence[str]) -> int:
    options, files = parse_options(argv, "hvdoOznfW:r:u:", ["disk", "help"], USAGE)
    chosen = _Options()
    for option, value in options:
        match option:
            case "-h" | "--help":
                sys.stdout.write(USAGE)
                return 0
            case "-v":
                sys.stdout.write(VERSION_LINE)
                return 0
            case "-z":
                chosen.zero_fill = True
            case "-o":
                chosen.show_chunks = True
            case "-O":
                chosen.show_bytes = True
            case "-u":
                chosen.uuid = uuid_option(option, value)
            case "-W" | "-r":
                number_option(option, value, 0, 1 << 20)
            case "--disk":
                chosen.as_disk = True
    if len(files) not in (1, 2):
        raise UsageError(USAGE.rstrip())
    chosen.image = files[0]
    chosen.output = files[1] if len(files) == 2 else "-"
    source = 0 if chosen.image == "-" else _open_image(chosen.image)
    try:
        _unzip(source, chosen)
    finally:
        if source:
            os.close(source)
    return 0


def _open_image(path: str) -> int:
    try:
        if Path(path).is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        return os.open(path, os.O_RDONLY)
    except OSError as error:
        raise DiskError(f"opening input file: {error.strerror}", hint=path) from error


def _unzip(source: int, chosen: _Options) -> None:
    begin = time.monotonic()
    total = _check_before(source, chosen)
    if chosen.output == "-":
        output, fixed_size = 1, None
    else:
        _refuse_same_file(source, chosen.output)
        output, fixed_size = open_output(chosen.output, as_disk=chosen.as_disk)
    marks = ProgressMarks(total, show_chunks=chosen.show_chunks, show_bytes=chosen.show_bytes)

    def progress(kind: Covered, count: int) -> None:
        _say_marks(marks.cover(kind, count, time.monotonic() - begin))

    try:
        writer = DiskWriter(
            output,
            zero_fill=chosen.zero_fill,
            name=chosen.output,
            fixed_size=fixed_size,
            progress=progress,
            warn=lambda text: say(f"{text}\n"),
        )
        walk = ImageWalk(chosen.image, any_order=True, uuid=chosen.uuid)
        buffers = _Buffers()
        try:
            with closing(expand_ahead(_chunks(source, chosen.image), walk.feed)) as expanded:
                for header, pieces in expanded:
                    writer.write_expanded(header, buffers.count(pieces))
                    _say_marks(marks.chunk_done(time.monotonic() - begin))
        except ImageError as error:
            place = error.hint or f"chunk {walk.chunks - 1} of {chosen.image}"
            raise ImageError(error.message, hint=place) from error
        walk.finish()
        writer.finish()
    finally:
        if output != 1:
            os.close(output)
    elapsed = time.monotonic() - begin
    say(marks.end_numbers(elapsed) if chosen.marks else _totals(walk, writer, elapsed))
    say(f"{buffers.used} max bufs, {buffers.longest} max memory\n{buffers.split} buffers split\n")


def _say_marks(text: str) -> None:
    if text:
        say(text)


def _check_before(source: int, chosen: _Options) -> int:
    """Check all headers of an image in a file, before the output is touched.

    Returns:
        The number of chunks; 0 for an image from a pipe.
    """
    status = os.fstat(source)
    if not stat.S_ISREG(status.st_mode):
        return 0
    begin = os.lseek(source, 0, os.SEEK_CUR)
    first = _read(source, chosen.image, HEADER_SIZE, begin)
    chunks = check_image_size(chosen.image, status.st_size - begin, first)
    walk = ImageWalk(chosen.image, any_order=True, uuid=chosen.uuid)
    for number in range(chunks):
        walk.feed(_read(source, chosen.image, HEADER_SIZE, begin + number * CHUNK_SIZE))
    walk.finish()
    return chunks


def _refuse_same_file(source: int, output: str) -> None:
    try:
        same = os.path.samestat(os.fstat(source), Path(output).stat())
    except OSError:
        return  # no such output yet, or the opening of it will tell
    if same and stat.S_ISREG(os.fstat(source).st_mode):
        raise DiskError(f"{output}: the output is the image itself")


def _chunks(source: int, name: str) -> Iterator[bytes]:
    """Read chunk after chunk.

    Raises:
        ImageError: the last one is not complete.
    """
    number = 0
    while chunk := _read(source, name, CHUNK_SIZE):
        if len(chunk) < CHUNK_SIZE:
            raise ImageError(
                f"the image is truncated: {len(chunk)} bytes of chunk {number}"
                f" instead of {CHUNK_SIZE}",
                hint=name,
            )
        yield chunk
        number += 1


def _read(source: int, name: str, length: int, offset: int | None = None) -> bytes:
    """Read `length` bytes, fewer only at the end."""
    parts = []
    while length:
        try:
            if offset is None:
                part = os.read(source, length)
            else:
                part = os.pread(source, length, offset)
                offset += len(part)
        except OSError as error:
            raise DiskError(f"reading input file: {error.strerror}", hint=name) from error
        if not part:
            break
        parts.append(part)
        length -= len(part)
    return b"".join(parts)


def _totals(walk: ImageWalk, writer: DiskWriter, elapsed: float) -> str:
    data = writer.actual_bytes - writer.zeroed_bytes
    text = (
        f"Decompressed {walk.data_bytes} bytes, wrote {writer.effective_bytes} bytes"
        f" ({writer.actual_bytes} actual) in {elapsed:.3f} seconds\n"
        f"{data} bytes of data in {writer.writes} ops"
        f" ({data // max(writer.writes, 1)} bytes/op), {writer.seeks} seeks\n"
    )
    if writer.zero_fill:
        text += f"  {writer.zeroed_bytes} bytes of zeros in free space\n"
    return text


class _Buffers:
    """What the C tool says of its buffers; ours is the one that is being written.

    Attributes:
        used: 1 once there was data.
        longest: the most that was written at once, in bytes.
        split: times that a buffer was written to more than one place.
    """

    def __init__(self) -> None:
        self.used = 0
        self.longest = 0
        self.split = 0

    def count(self, pieces: Iterable[Piece]) -> Iterator[Piece]:
        """Give the same pieces."""
        buffer: object = None
        for piece in pieces:
            self.used = 1
            self.split += piece.data.obj is buffer
            buffer = piece.data.obj
            self.longest = max(self.longest, len(piece.data))
            yield piece


if __name__ == "__main__":
    main()
