"""imaging-imagezip: save a disk, one of its partitions, or a file as an image."""

import os
import stat
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
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
from imaging.frisbee.compress import DEFAULT_LEVEL, ImageFormat, WrittenImage, write_image
from imaging.frisbee.disklayout.label import LabelError
from imaging.frisbee.diskmap import (
    DEFAULT_MINIMUM_FREE,
    Choices,
    DiskMap,
    map_disk,
    map_raw,
    read_label,
)
from imaging.frisbee.errors import DiskError, UsageError
from imaging.frisbee.marks import ZipMarks
from imaging.frisbee.ndz import SECTOR_SIZE
from imaging.frisbee.source import SourceDisk

USAGE = f"""\
usage: imaging-imagezip [options] DISK|FILE OUTPUT|-
Save a disk with a DOS label or a GPT: what lies between partitions, and of partitions what is used.
What ext2, ext3, ext4 and swap space do not use is left out; so is what XFS, btrfs, NTFS and FAT do
not use, where partclone is installed. All else is saved whole, and that is told.
  -o        a progress mark for each finished chunk
  -r        raw: save everything, with or without a label
  -f        a regular file of any length; implies -r
  -z LEVEL  compression: 0 (none) to 9 (smallest), {DEFAULT_LEVEL} by default; 6 and up are slow
  -E        leave out zeros, as if they were free. Not for a disk that has had another content: it
            stays there, unless who writes the image fills free space with zeros (-z)
  -s N      save partition N only, with sectors counted from its beginning
  -I N      treat partition N as free (repeatable)
  -R N      save partition N whole (repeatable)
  -F N      save free stretches of fewer than N sectors as data ({DEFAULT_MINIMUM_FREE})
  -c N      with -r or -s save N sectors at most; otherwise no partition may reach further, and a
            GPT's backup beyond that is left out
  -1, -3    write version 1, or 3 (the default) of the format
  -u UUID   write version 4, with that UUID (32 hexadecimal digits)
  -N        leave out relocations
  -D        do not wait until the image is on the disk
  -i        say what would be saved, write nothing
  -d        say what partitions hold, and how much is free
  -v        print the version
  -h        print this text
"""


MAX_PARTITION = 128
"""GPTs have room for so many; DOS labels number them to 32, as the C tool."""


@dataclass(slots=True)
class _Options:
    source: str = ""
    output: str = ""
    marks: bool = False
    raw: bool = False
    file: bool = False
    sync: bool = True
    info: bool = False
    debug: bool = False
    level: int = DEFAULT_LEVEL
    version: int = 3
    uuid: bytes | None = None
    relocations: bool = True
    leave_out_zeros: bool = False
    only: int | None = None
    limit: int | None = None
    minimum_free: int = DEFAULT_MINIMUM_FREE
    ignored: set[int] = field(default_factory=set)
    forced: set[int] = field(default_factory=set)


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command to its exit status."""
    run_command(_body, argv)


def _body(argv: Sequence[str]) -> int:
    options, files = parse_options(argv, "hvorfz:Es:I:R:F:c:13u:NDid", ["help"], USAGE)
    chosen = _Options()
    for option, value in options:
        if option in ("-h", "--help"):
            sys.stdout.write(USAGE)
            return 0
        if option == "-v":
            sys.stdout.write(VERSION_LINE)
            return 0
        _choose(chosen, option, value)
    if len(files) != (1 if chosen.info and len(files) == 1 else 2):
        raise UsageError(USAGE.rstrip())
    chosen.source = files[0]
    chosen.output = files[-1]
    try:
        return _save(chosen)
    except LabelError as error:
        say(f"imagezip: {error}\n* * * Aborting * * *\n")
        return error.exit_status


def _choose(chosen: _Options, option: str, value: str) -> None:
    match option:
        case "-o":
            chosen.marks = True
        case "-r":
            chosen.raw = True
        case "-f":
            chosen.raw = chosen.file = True
        case "-z":
            chosen.level = number_option(option, value, 0, 9)
        case "-E":
            chosen.leave_out_zeros = True
        case "-1" | "-3":
            chosen.version, chosen.uuid = int(option[1:]), None
        case "-u":
            chosen.version, chosen.uuid = 4, uuid_option(option, value)
        case "-N":
            chosen.relocations = False
        case "-D":
            chosen.sync = False
        case "-i":
            chosen.info = True
        case "-d":
            chosen.debug = True
        case _:
            _choose_sectors(chosen, option, value)


def _choose_sectors(chosen: _Options, option: str, value: str) -> None:
    match option:
        case "-s":
            chosen.only = number_option(option, value, 1, MAX_PARTITION)
        case "-I":
            chosen.ignored.add(number_option(option, value, 1, MAX_PARTITION))
        case "-R":
            chosen.forced.add(number_option(option, value, 1, MAX_PARTITION))
        case "-F":
            chosen.minimum_free = number_option(option, value, 0, (1 << 32) - 1)
        case "-c":
            chosen.limit = number_option(option, value, 1, (1 << 32) - 1)


def _save(chosen: _Options) -> int:
    begin = time.monotonic()
    try:
        source = os.open(chosen.source, os.O_RDONLY)
    except OSError as error:
        raise DiskError(f"{chosen.source}: {error.strerror}") from error
    try:
        size = _size(source, chosen)
        padding = -size % SECTOR_SIZE if chosen.file else 0
        disk_map = _map(source, size + padding, chosen)
        for note in disk_map.notes:
            say(f"{note}\n")
        if chosen.debug:
            _say_ranges(disk_map)
        if not chosen.info:
            _write(source, disk_map, padding, chosen, begin)
    finally:
        os.close(source)
    return 0


def _size(source: int, chosen: _Options) -> int:
    """Size of the disk or file, in bytes."""
    mode = os.fstat(source).st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISBLK(mode)):
        raise DiskError(f"{chosen.source}: neither a disk nor a file")
    try:
        return os.lseek(source, 0, os.SEEK_END)
    except OSError as error:
        raise DiskError(f"{chosen.source}: {error.strerror}") from error


def _map(source: int, size: int, chosen: _Options) -> DiskMap:
    if chosen.raw:
        try:
            return map_raw(size, chosen.limit)
        except DiskError as error:
            raise DiskError(f"{chosen.source}: {error.message}", hint=error.hint) from error

    choices = Choices(
        only=chosen.only,
        ignored=frozenset(chosen.ignored),
        raw=frozenset(chosen.forced),
        minimum_free=chosen.minimum_free,
        limit=chosen.limit,
    )
    disk = SourceDisk(source, chosen.source, choices.minimum_free)
    disk.check_sectors()
    sectors = size // SECTOR_SIZE
    return map_disk(read_label(disk.read, sectors), sectors, choices, disk.look_into)


def _say_ranges(disk_map: DiskMap) -> None:
    for detail in disk_map.details:
        say(f"{detail}\n")
    valid = sum(region.count for region in disk_map.regions)
    free = disk_map.end_sector - valid
    holes = len(disk_map.regions) - 1
    holes += disk_map.regions[0].start > 0
    holes += disk_map.regions[-1].end < disk_map.end_sector
    say(
        f"Total Number of Free Sectors: {free} (bytes {free * SECTOR_SIZE}) in {holes} ranges\n"
        f"Total Number of Valid Sectors: {valid} (bytes {valid * SECTOR_SIZE})"
        f" in {len(disk_map.regions)} ranges\n"
    )


def _write(source: int, disk_map: DiskMap, padding: int, chosen: _Options, begin: float) -> None:
    marks = ZipMarks()

    def progress(input_offset: int) -> None:
        if chosen.marks:
            say(marks.chunk_done(input_offset, time.monotonic() - begin))

    output = _open_output(source, chosen)
    try:
        size_before = os.fstat(output).st_size
        try:
            written = write_image(
                source,
                output,
                regions=disk_map.regions,
                end_sector=disk_map.end_sector,
                base=disk_map.base,
                image_format=ImageFormat(
                    level=chosen.level,
                    version=chosen.version,
                    uuid=chosen.uuid,
                    short_bytes=padding,
                    relocations=chosen.relocations,
                    leave_out_zeros=chosen.leave_out_zeros,
                ),
                progress=progress,
            )
            if chosen.sync:
                _sync(output)
        except BaseException:
            _cut(output, size_before)
            raise
    finally:
        if output != 1:
            os.close(output)
    if chosen.marks:
        say(marks.end_line())
    _say_totals(written, time.monotonic() - begin, begin)


def _open_output(source: int, chosen: _Options) -> int:
    if chosen.output == "-":
        return 1
    try:
        if os.path.samestat(os.fstat(source), Path(chosen.output).stat()):
            raise DiskError(f"{chosen.output}: the output is the disk itself")
    except OSError:
        pass  # no such output yet, or the opening of it will tell
    try:
        return os.open(chosen.output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    except OSError as error:
        raise DiskError(f"opening output file: {error.strerror}", hint=chosen.output) from error


def _sync(output: int) -> None:
    if stat.S_ISREG(os.fstat(output).st_mode):
        try:
            os.fsync(output)
        except OSError as error:
            raise DiskError(f"chunk write: {error.strerror}") from error


def _cut(output: int, size: int) -> None:
    """Leave nothing that could be taken for an image: the first chunks of one look like one."""
    if stat.S_ISREG(os.fstat(output).st_mode):
        os.ftruncate(output, size)


def _say_totals(written: WrittenImage, elapsed: float, begin: float) -> None:
    rate = written.data_bytes / (1 << 20) / max(elapsed, 0.001)
    say(
        f"{written.input_end} input ({written.data_bytes} compressed) bytes"
        f" in {elapsed:.3f} seconds\n"
        f"Image size: {written.size} bytes\n"
        f"{rate:.3f}MB/second compressed\n"
    )
    say(f"Finished in {time.monotonic() - begin:.3f} seconds\n")


if __name__ == "__main__":
    main()
