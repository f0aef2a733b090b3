"""GUID partition tables, as in chapter 5 of the UEFI specification, in sectors of 512 bytes.

The header in sector 1 and its array of entries have a backup at the end of the disk. The first of
the two whose checksums are right is taken.
"""

import struct
import zlib
from dataclasses import dataclass
from uuid import UUID

from imaging.frisbee.disklayout.dos import PROTECTIVE, read_table
from imaging.frisbee.disklayout.label import Kind, Label, LabelError, Partition, Read, read_sector
from imaging.frisbee.errors import DiskError
from imaging.frisbee.ndz import SECTOR_SIZE

MAX_ARRAY = 1 << 20
"""A longer array of entries is not believed, in bytes; usual are 16 KiB."""

_SIGNATURE = b"EFI PART"
# signature, revision, size, checksum, own and other place, first and last usable sector, GUID,
# array's place, entries, size of an entry, array's checksum
_HEADER = struct.Struct("<8sIII4xQQQQ16sQIII")
_CHECKSUM = slice(16, 20)
_ENTRY = struct.Struct("<16s16sQQ")  # type, GUID, first and last sector
_NO_TYPE = bytes(16)
_LARGE_SECTOR = 4096

_SWAP = frozenset({UUID("0657fd6d-a4ab-43c4-84e5-0933c84b4f4f")})
# of https://uapi-group.org/specifications/specs/discoverable_partitions_specification/
_FILES = frozenset(
    UUID(text)
    for text in (
        "0fc63daf-8483-4772-8e79-3d69d8477de4",  # Linux data
        "4f68bce3-e8cd-4db1-96e7-fbcaf984b709",  # Linux root, x86-64
        "44479540-f297-41b2-9af7-d131d5f0458a",  # Linux root, x86
        "b921b045-1df0-41c3-af44-4c6f280d3fae",  # Linux root, arm64
        "69dad710-2ce4-4e3c-b16c-21a1d49abed3",  # Linux root, arm
        "72ec70a6-cf74-40e6-bd49-4bda08e8f224",  # Linux root, riscv64
        "8484680c-9521-48c6-9c11-b0720656f69e",  # Linux /usr, x86-64
        "933ac7e1-2eb4-4f13-b844-0e14e2aef915",  # Linux home
        "3b8f8425-20e0-4f3b-907f-1a25a76f98e8",  # Linux srv
        "4d21b016-b534-45c2-a9fb-5c16e091fd2d",  # Linux var
        "7ec6f557-3bc5-4aca-b293-16ef5df639d1",  # Linux tmp
        "bc13c2ff-59e6-4262-a352-b275fd6f7172",  # extended boot
        "c12a7328-f81f-11d2-ba4b-00a0c93ec93b",  # EFI system
        "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7",  # basic data: FAT, NTFS, and old Linux tools
    )
)


@dataclass(frozen=True, slots=True)
class _Header:
    place: int
    other_place: int
    array: int
    entries: int
    entry_size: int
    array_checksum: int
    first_usable: int
    last_usable: int

    @property
    def array_size(self) -> int:
        return self.entries * self.entry_size

    @property
    def array_sectors(self) -> int:
        return -(-self.array_size // SECTOR_SIZE)


class _BrokenError(Exception):
    """One of the two tables cannot be used; the message says why."""


def has_gpt(read: Read) -> bool:
    """Say whether the DOS label leaves the disk to a GPT, alone or beside partitions of its own.

    Raises:
        LabelError: there is no DOS label.
        DiskError: it cannot be read.
    """
    return any(entry.type == PROTECTIVE for entry in read_table(read))


def read_label(read: Read, disk_sectors: int) -> Label:
    """Read the GPT of a disk of `disk_sectors`, or its backup when it is broken.

    Raises:
        LabelError: neither of the two can be used, or partitions lie outside what they may use.
        DiskError: the DOS label cannot be read.
    """
    notes: list[str] = []
    last = disk_sectors - 1
    try:
        header, partitions = _read_table(read, 1, disk_sectors)
    except _BrokenError as problem:
        _refuse_large_sectors(read)
        try:
            header, partitions = _read_table(read, last, disk_sectors)
        except _BrokenError as backup_problem:
            raise LabelError(
                f"the GPT is broken ({problem}), and so is its backup ({backup_problem})",
                hint="use -r to save the whole disk",
            ) from backup_problem
        notes.append(f"  The GPT is broken ({problem}): its backup tells the partitions.")
    # entries of a hybrid label are no partitions of ours, but what they point to is kept
    others = [entry for entry in read_table(read) if entry.type != PROTECTIVE and entry.sectors]
    end = max((entry.start + entry.sectors for entry in others), default=0)
    tail = _tail(header, disk_sectors)
    if tail is None:
        notes.append("  The GPT has no backup at the end of this disk.")
    return Label(partitions, tail=tail, end=min(end, disk_sectors), notes=tuple(notes))


def _tail(header: _Header, disk_sectors: int) -> tuple[int, int] | None:
    """First sector of the backup, and one past its last."""
    end = max(header.place, header.other_place) + 1
    if not header.last_usable + 1 < end <= disk_sectors:
        return None
    return max(header.last_usable + 1, end - 1 - MAX_ARRAY // SECTOR_SIZE), end


def _read_table(read: Read, place: int, disk_sectors: int) -> tuple[_Header, tuple[Partition, ...]]:
    try:
        header = _parse_header(read_sector(read, place), place, disk_sectors)
        array = read(header.array * SECTOR_SIZE, header.array_size)
    except DiskError as error:
        raise _BrokenError(error.message) from error
    if zlib.crc32(array) != header.array_checksum:
        raise _BrokenError("the checksum of its entries is wrong")
    partitions = []
    for index in range(header.entries):
        kind, _, first, last = _ENTRY.unpack_from(array, index * header.entry_size)
        if kind == _NO_TYPE:
            continue
        if not header.first_usable <= first <= last <= header.last_usable:
            raise _BrokenError(f"partition {index + 1} lies outside the space for partitions")
        partitions.append(_partition(index + 1, UUID(bytes_le=kind), first, last))
    return header, tuple(partitions)


def _partition(number: int, guid: UUID, first: int, last: int) -> Partition:
    kind = Kind.OTHER
    if guid in _SWAP:
        kind = Kind.SWAP
    elif guid in _FILES:
        kind = Kind.FILES
    return Partition(number, kind, str(guid), first, last - first + 1)


def _parse_header(sector: bytes, place: int, disk_sectors: int) -> _Header:
    (
        signature,
        _,
        size,
        checksum,
        own,
        other,
        first,
        last,
        _,
        array,
        entries,
        entry_size,
        array_sum,
    ) = _HEADER.unpack_from(sector)
    if signature != _SIGNATURE:
        raise _BrokenError(f"sector {place} is no header")
    if not _HEADER.size <= size <= SECTOR_SIZE:
        raise _BrokenError(f"a header cannot be {size} bytes long")
    data = bytearray(sector[:size])
    data[_CHECKSUM] = bytes(4)
    if zlib.crc32(data) != checksum:
        raise _BrokenError("the checksum of its header is wrong")
    if own != place:
        raise _BrokenError(f"its header is meant for sector {own}, not {place}")
    header = _Header(own, other, array, entries, entry_size, array_sum, first, last)
    if entry_size < 128 or entry_size % 8 or not 0 < header.array_size <= MAX_ARRAY:
        raise _BrokenError(f"{entries} entries of {entry_size} bytes are not possible")
    array_end = array + header.array_sectors
    before, after = array >= 2 and array_end <= first, last < array and array_end <= disk_sectors
    if not (first <= last < disk_sectors and (before or after)):
        raise _BrokenError("its places make no sense on this disk")
    return header


def _refuse_large_sectors(read: Read) -> None:
    """Say so when it is a GPT for a disk of larger sectors, all of whose numbers differ."""
    try:
        large = read(_LARGE_SECTOR, len(_SIGNATURE)) == _SIGNATURE
    except DiskError:
        return
    if large:
        raise LabelError(
            f"the GPT counts in sectors of {_LARGE_SECTOR} bytes",
            hint="use -r to save the whole disk",
        )
