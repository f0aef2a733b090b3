"""What to save of a disk: the regions that hold data, and what is free.

Known are DOS labels with primary and logical partitions, and Linux swap. File systems are saved
whole, and so is a disk with a GPT, whose DOS label shows one partition of type 0xee: that space
is free inside an ext file system is not looked for yet.
"""

import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from itertools import pairwise

from imaging.frisbee.errors import DiskError
from imaging.frisbee.ndz import MAX_SECTOR, SECTOR_SIZE, Region

SWAP_HEADER_SECTORS = 64
"""The first 32 KiB of a swap partition are kept: its label and UUID."""

DEFAULT_MINIMUM_FREE = 64
"""Shorter free stretches are saved as data, in sectors."""

TYPE_UNUSED = 0x00
TYPE_SWAP = 0x82
TYPE_LINUX = 0x83
TYPE_PROTECTIVE = 0xEE
"""The one partition of a disk with a GPT; it may claim more than the disk has."""

EXTENDED_TYPES = frozenset({0x05, 0x0F, 0x85})

_ENTRY = struct.Struct("<4xB3xII")  # type, start, count; flags and cylinders are not looked at
_TABLE_OFFSET = 446
_SIGNATURE = b"\x55\xaa"
_MAX_SLICES = 64

ReadSector = Callable[[int], bytes]


class LabelError(DiskError):
    """The partition table makes no sense; nothing was saved."""


@dataclass(frozen=True, slots=True)
class Partition:
    """One entry of a partition table: 1 to 4 are primary, 5 and up are logical; in sectors."""

    number: int
    type: int
    start: int
    count: int

    @property
    def end(self) -> int:
        """One past the last sector."""
        return self.start + self.count


@dataclass(frozen=True, slots=True)
class DiskMap:
    """What of a disk goes into an image.

    Attributes:
        regions: data, ascending, with gaps between them; relative to `base`.
        end_sector: one past the last sector that the image speaks for; relative to `base`.
        base: the disk's sector where the image begins: not 0 for an image of one partition.
        notes: what imagezip says about it, line by line.
    """

    regions: tuple[Region, ...]
    end_sector: int
    base: int = 0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Choices:
    """What the user wants of a disk.

    Attributes:
        only: number of the one partition to save (``-s``).
        ignored: numbers of partitions to treat as free (``-I``).
        raw: numbers of partitions to save whole (``-R``).
        minimum_free: shorter free stretches are saved as data, in sectors (``-F``).
        limit: partitions must end by this sector; of one partition, save so many (``-c``).
    """

    only: int | None = None
    ignored: frozenset[int] = field(default_factory=frozenset)
    raw: frozenset[int] = field(default_factory=frozenset)
    minimum_free: int = DEFAULT_MINIMUM_FREE
    limit: int | None = None


def read_partitions(read_sector: ReadSector) -> tuple[Partition, ...]:
    """Read the DOS label, and follow its extended partition.

    Args:
        read_sector: gives the 512 bytes of a sector.

    Returns:
        The four primary entries, used or not, each extended one followed by its logical ones.

    Raises:
        LabelError: there is no DOS label, or the chain of logical partitions is broken.
        DiskError: a sector cannot be read.
    """
    partitions: list[Partition] = []
    logical_number = 5
    for number, (kind, start, count) in enumerate(_table(read_sector, 0), start=1):
        partition = Partition(number, kind, start, count)
        partitions.append(partition)
        if kind in EXTENDED_TYPES and count:
            logical = _read_logical(read_sector, partition, logical_number)
            logical_number += len(logical)
            partitions += logical
    return tuple(partitions)


def map_disk(partitions: Iterable[Partition], disk_sectors: int, choices: Choices) -> DiskMap:
    """Decide what to save of a disk of `disk_sectors` with these partitions; pure.

    What lies outside partitions is saved up to the end of the last partition; what comes after
    that is neither saved nor spoken for.

    Raises:
        LabelError: partitions overlap, reach beyond the disk or the limit, or there is none.
    """
    every = [_clamp(entry, disk_sectors) for entry in partitions]
    for entry in every:
        _check_bounds(entry, disk_sectors, choices)
    entries = [entry for entry in every if entry.type not in EXTENDED_TYPES]
    notes, free = _free_stretches(entries, choices)
    if choices.only is not None:
        return _map_slice(entries, free, notes, choices)
    _check_overlaps(entries)
    end = max((entry.end for entry in every if entry.count), default=0)
    if not end:
        raise LabelError("there is no partition to save, use -r to save the whole disk")
    # whatever an entry claims, the label itself is saved
    outside_label = [(max(first, 1), last) for first, last in free]
    return DiskMap(_without(outside_label, end, choices.minimum_free), end, notes=tuple(notes))


def map_raw(size: int, limit: int | None = None) -> DiskMap:
    """Save everything of a disk of `size` bytes, or its first `limit` sectors; pure.

    Raises:
        DiskError: there is nothing to save, or the last sector is not complete.
    """
    if limit is not None:
        size = min(size, limit * SECTOR_SIZE)
    sectors, rest = divmod(size, SECTOR_SIZE)
    if rest:
        raise DiskError(
            f"size {size} is not a multiple of {SECTOR_SIZE}", hint="use -f for such a file"
        )
    if not sectors:
        raise DiskError("the input is empty: there is nothing to save")
    if sectors >= MAX_SECTOR:
        raise DiskError(f"{size} bytes are more than an image can hold", hint="2 TiB")
    return DiskMap((Region(0, sectors),), sectors)


def _table(read_sector: ReadSector, sector: int) -> list[tuple[int, int, int]]:
    data = read_sector(sector)
    if data[510:512] != _SIGNATURE:
        raise LabelError(f"Wrong magic number in DOS partition table at sector {sector}")
    return [_ENTRY.unpack_from(data, _TABLE_OFFSET + 16 * index) for index in range(4)]


def _read_logical(
    read_sector: ReadSector, container: Partition, first_number: int
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
        following: int | None = None
        for kind, start, count in _table(read_sector, sector):
            if kind in EXTENDED_TYPES:
                following = container.start + start if count else following
            elif count:
                number = first_number + len(logical)
                logical.append(Partition(number, kind, sector + start, count))
        if following is None:
            return logical
        if len(seen) == _MAX_SLICES:
            raise LabelError(f"more than {_MAX_SLICES} logical partitions in P{container.number}")
        sector = following


def _free_stretches(
    entries: list[Partition], choices: Choices
) -> tuple[list[str], list[tuple[int, int]]]:
    """Say what becomes of each partition, and which stretches (start, end) are free."""
    notes: list[str] = []
    free: list[tuple[int, int]] = []
    for entry in entries:
        if choices.only not in (None, entry.number):
            continue
        number = entry.number
        if number in choices.ignored or entry.type == TYPE_UNUSED:
            word = "ignored" if number in choices.ignored else "is unused"
            notes.append(f"  Slice {number} {word}, NOT SAVING.")
            free.append((entry.start, entry.end))
        elif number in choices.raw:
            notes.append(f"  Slice {number}, forcing raw compression")
        elif entry.type == TYPE_SWAP:
            free.append((min(entry.start + SWAP_HEADER_SECTORS, entry.end), entry.end))
        elif entry.type != TYPE_LINUX:
            notes.append(
                f"Slice {number} is an unknown type {entry.type:#x} (??), forcing raw compression"
            )
    return notes, free


def _map_slice(
    entries: list[Partition],
    free: list[tuple[int, int]],
    notes: list[str],
    choices: Choices,
) -> DiskMap:
    for entry in entries:
        if entry.number == choices.only and entry.count and entry.type != TYPE_UNUSED:
            end = entry.count if choices.limit is None else min(entry.count, choices.limit)
            relative = [(first - entry.start, last - entry.start) for first, last in free]
            regions = _without(relative, end, choices.minimum_free)
            if not regions:
                raise LabelError(f"slice {choices.only} has nothing to save")
            return DiskMap(regions, end, entry.start, tuple(notes))
    raise LabelError(f"there is no slice {choices.only} to save")


def _clamp(entry: Partition, disk_sectors: int) -> Partition:
    if entry.type != TYPE_PROTECTIVE:
        return entry
    return replace(entry, count=max(min(entry.end, disk_sectors) - entry.start, 0))


def _check_bounds(entry: Partition, disk_sectors: int, choices: Choices) -> None:
    if entry.type in EXTENDED_TYPES and entry.number in choices.ignored:
        raise LabelError(f"slice {entry.number} is extended: ignore the slices in it instead")
    if not entry.count or choices.only not in (None, entry.number):
        return
    if entry.end > min(disk_sectors, MAX_SECTOR - 1):
        raise LabelError(
            f"P{entry.number} ends at sector {entry.end}, after the end of the disk {disk_sectors}"
        )
    if choices.only is None and choices.limit is not None and entry.end > choices.limit:
        raise LabelError(
            f"P{entry.number} ends at sector {entry.end}, after the limit {choices.limit}"
        )


def _check_overlaps(entries: list[Partition]) -> None:
    occupied = sorted((entry.start, entry.end, entry.number) for entry in entries if entry.count)
    for (_, end, number), (start, _, other) in pairwise(occupied):
        if end > start:
            first, second = sorted((number, other))
            raise LabelError(f"P{first} and P{second} overlap!")


def _without(free: Iterable[tuple[int, int]], end: int, minimum_free: int) -> tuple[Region, ...]:
    """Give what is left of the sectors 0 to `end` outside `free`, whose short stretches stay."""
    merged: list[tuple[int, int]] = []
    for first, last in sorted(free):
        if merged and first <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    regions: list[Region] = []
    position = 0
    for first, last in merged:
        if last - first < max(minimum_free, 1):
            continue
        if first > position:
            regions.append(Region(position, first - position))
        position = last
    if position < end:
        regions.append(Region(position, end - position))
    return tuple(regions)
