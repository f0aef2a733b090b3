"""DOS labels: four primary partitions, and a chain of logical ones in an extended partition."""

import struct
from typing import NamedTuple

from imaging.frisbee.disklayout.label import (
    Kind,
    Label,
    LabelError,
    Partition,
    Read,
    read_sector,
)

PROTECTIVE = 0xEE
"""Type of the one partition of a disk with a GPT; it may claim more than the disk has."""

_ENTRY = struct.Struct("<4xB3xII")  # type, start, count; flags and cylinders are not looked at
_TABLE_OFFSET = 446
_SIGNATURE = b"\x55\xaa"
_MAX_LOGICAL = 64

_UNUSED = 0x00
_SWAP = 0x82
_EXTENDED = frozenset({0x05, 0x0F, 0x85})
# Linux; NTFS and exFAT; FAT in all its sizes; EFI system
_FILES = frozenset({0x83, 0x07, 0x01, 0x04, 0x06, 0x0B, 0x0C, 0x0E, 0xEF})


class Entry(NamedTuple):
    """An entry of a DOS table: type, first sector, number of sectors."""

    type: int
    start: int
    sectors: int


def read_table(read: Read, sector: int = 0) -> list[Entry]:
    """Read the four entries of the table in a sector.

    Raises:
        LabelError: there is no table.
        DiskError: the sector cannot be read.
    """
    data = read_sector(read, sector)
    if data[510:512] != _SIGNATURE:
        raise LabelError(f"Wrong magic number in DOS partition table at sector {sector}")
    return [Entry(*_ENTRY.unpack_from(data, _TABLE_OFFSET + 16 * index)) for index in range(4)]


def read_label(read: Read) -> Label:
    """Read the DOS label, and follow its extended partition.

    Returns:
        The four primary entries, used or not, each extended one followed by its logical ones.

    Raises:
        LabelError: there is no DOS label, or the chain of logical partitions is broken.
        DiskError: a sector cannot be read.
    """
    partitions: list[Partition] = []
    tables = [0]
    logical_number = 5
    for number, entry in enumerate(read_table(read), start=1):
        partition = _partition(number, entry, entry.start)
        partitions.append(partition)
        if partition.kind is Kind.EXTENDED and partition.count:
            logical = _read_logical(read, partition, logical_number, tables)
            logical_number += len(logical)
            partitions += logical
    return Label(tuple(partitions), tuple(sorted(tables)))


def _partition(number: int, entry: Entry, start: int) -> Partition:
    kind = Kind.OTHER
    if entry.type == _UNUSED:
        kind = Kind.UNUSED
    elif entry.type == _SWAP:
        kind = Kind.SWAP
    elif entry.type in _EXTENDED:
        kind = Kind.EXTENDED
    elif entry.type in _FILES:
        kind = Kind.FILES
    return Partition(number, kind, f"{entry.type:#x}", start, entry.sectors)


def _read_logical(
    read: Read, container: Partition, first_number: int, tables: list[int]
) -> list[Partition]:
    logical: list[Partition] = []
    sector = container.start
    seen: set[int] = set()
    while True:
        if sector in seen or not container.start <= sector < container.end:
            raise LabelError(
                f"the chain of logical partitions in P{container.number} is broken"
                f" at sector {sector}"
            )
        seen.add(sector)
        tables.append(sector)
        following: int | None = None
        for entry in read_table(read, sector):
            if entry.type in _EXTENDED:
                following = container.start + entry.start if entry.sectors else following
            elif entry.sectors:
                number = first_number + len(logical)
                logical.append(_partition(number, entry, sector + entry.start))
        if following is None:
            return logical
        if len(seen) == _MAX_LOGICAL:
            raise LabelError(f"more than {_MAX_LOGICAL} logical partitions in P{container.number}")
        sector = following
