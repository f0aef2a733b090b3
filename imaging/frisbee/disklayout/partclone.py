"""The free space of file systems that partclone knows, when it is installed.

Its map is that of GNU ddrescue: lines of position, size and status in ascending order, where `+`
means used and `?` free. It is checked as what anybody might have written: it must begin at 0, have
neither gap nor overlap, and end within the partition; what comes after its end is used.
"""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

from imaging.frisbee.disklayout.clean import BTRFS_MIRRORS, BTRFS_SUPERBLOCK
from imaging.frisbee.disklayout.label import LayoutError
from imaging.frisbee.disklayout.stretches import Stretches
from imaging.frisbee.ndz import SECTOR_SIZE

FILE_SYSTEMS = frozenset({"xfs", "btrfs", "ntfs", "vfat"})

TIMEOUT = 900.0
"""A map must be made in so many seconds."""

KEPT = 1 << 20
"""Bytes at both ends of the partition that are saved whatever the map says: boot loaders live
there, outside what the file system knows."""

MAX_LINES = 1 << 22
MAX_LINE = 4096

_STRETCH = re.compile(r"(0x[0-9A-Fa-f]{1,16})\s+(0x[0-9A-Fa-f]{1,16})\s+([?+])\s*")
_CURRENT = re.compile(r"0x[0-9A-Fa-f]{1,16}\s+[?+*/F-](\s+\d+)?\s*")


def read_free(
    file_system: str, device: Path, size: int, minimum: int, *, timeout: float = TIMEOUT
) -> tuple[tuple[int, int], ...]:
    """Have partclone map a partition.

    Args:
        file_system: one of `FILE_SYSTEMS`.
        device: of the partition, or a file.
        size: of the partition, in bytes.
        minimum: shorter free stretches do not matter, in sectors.
        timeout: seconds.

    Returns:
        Free stretches (begin, end), in sectors from the beginning of the partition.

    Raises:
        LayoutError: partclone is not installed, refuses the file system, or says nonsense.
    """
    tool = shutil.which(f"partclone.{file_system}")
    if tool is None:
        raise LayoutError(f"is {file_system} and partclone.{file_system} is not installed")
    try:
        with tempfile.TemporaryDirectory(prefix="imagezip") as directory:
            file = Path(directory) / "map"
            command = [tool, "-D", "-s", str(device), "-O", str(file), "-L", "/dev/null"]
            done = subprocess.run(
                command, capture_output=True, stdin=subprocess.DEVNULL, timeout=timeout, check=False
            )
            if done.returncode:
                raise LayoutError(f"is {file_system} that partclone refuses")
            with file.open(encoding="ascii", errors="replace") as opened:
                lines = iter(lambda: opened.readline(MAX_LINE + 1), "")
                return parse_map(lines, file_system, size, minimum)
    except OSError as error:
        raise LayoutError(f"is {file_system} without a map: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise LayoutError(f"is {file_system} not mapped in {timeout:.0f} s") from error


def parse_map(
    lines: Iterable[str], file_system: str, size: int, minimum: int
) -> tuple[tuple[int, int], ...]:
    """Read partclone's map of a partition of `size` bytes.

    Returns:
        Free stretches (begin, end), in sectors from the beginning of the partition.

    Raises:
        LayoutError: it is no such map.
    """
    nonsense = LayoutError(f"is {file_system} whose map by partclone makes no sense")
    kept = _kept(file_system, size)
    found = Stretches(minimum)
    position = used = 0
    current: str | None = None
    for number, line in enumerate(lines):
        if number >= MAX_LINES or len(line) > MAX_LINE:
            raise nonsense
        if not line.strip() or line.startswith("#"):
            continue
        if current is None:
            current = line
            if not _CURRENT.fullmatch(line):
                raise nonsense
            continue
        match = _STRETCH.fullmatch(line)
        if match is None:
            raise nonsense
        begin, length = int(match[1], 16), int(match[2], 16)
        end = begin + length
        if begin != position or not length or end > size:
            raise nonsense
        if match[3] == "+":
            used += length
        else:
            _add_free(found, begin, end, kept)
        position = end
    if not used:
        raise nonsense
    return found.finish()


def _kept(file_system: str, size: int) -> list[tuple[int, int]]:
    """What is saved in any case, in bytes, in ascending order."""
    kept = [(0, KEPT)]
    if file_system == "btrfs":
        places = (BTRFS_SUPERBLOCK, *BTRFS_MIRRORS)
        kept += [(place, place + (1 << 16)) for place in places if place < size]
    kept.append((size - KEPT, size))
    return sorted(kept)


def _add_free(found: Stretches, begin: int, end: int, kept: list[tuple[int, int]]) -> None:
    for first, last in kept:
        if last <= begin or first >= end:
            continue
        _add_sectors(found, begin, first)
        begin = max(begin, last)
    _add_sectors(found, begin, end)


def _add_sectors(found: Stretches, begin: int, end: int) -> None:
    found.add(-(-begin // SECTOR_SIZE), end // SECTOR_SIZE)
