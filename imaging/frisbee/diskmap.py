"""What to save of a disk: the regions that hold data, and what is free. Pure.

Known are DOS labels, with primary and logical partitions, and GPTs. What lies outside partitions
is saved; in a partition, all that its file system or swap space does not know to be free.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import pairwise

from imaging.frisbee.disklayout import dos, gpt
from imaging.frisbee.disklayout.label import (
    Kind,
    Label,
    LabelError,
    LayoutError,
    Partition,
    Read,
)
from imaging.frisbee.disklayout.stretches import Findings
from imaging.frisbee.errors import DiskError
from imaging.frisbee.ndz import MAX_SECTOR, SECTOR_SIZE, Region

DEFAULT_MINIMUM_FREE = 64
"""Shorter free stretches are saved as data, in sectors."""

Look = Callable[[Partition], Findings]
"""Finds what of a partition is free, or raises a LayoutError: then it is saved whole."""

_Stretch = tuple[int, int]


@dataclass(frozen=True, slots=True)
class DiskMap:
    """What of a disk goes into an image.

    Attributes:
        regions: data, ascending, with gaps between them; relative to `base`.
        end_sector: one past the last sector that the image speaks for; relative to `base`.
        base: the disk's sector where the image begins: not 0 for an image of one partition.
        notes: what imagezip says about it, line by line.
        details: what else could be said: what was found in each partition.
    """

    regions: tuple[Region, ...]
    end_sector: int
    base: int = 0
    notes: tuple[str, ...] = ()
    details: tuple[str, ...] = ()


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


def read_label(read: Read, disk_sectors: int) -> Label:
    """Read the partition table of a disk of `disk_sectors`: a GPT, or else a DOS label.

    Raises:
        LabelError: there is none, or it makes no sense.
        DiskError: it cannot be read.
    """
    if gpt.has_gpt(read):
        return gpt.read_label(read, disk_sectors)
    return dos.read_label(read)


def map_disk(label: Label, disk_sectors: int, choices: Choices, look: Look) -> DiskMap:
    """Decide what to save of a disk of `disk_sectors` with this label.

    What lies outside partitions is saved up to the end of the last partition; what comes after
    that is neither saved nor spoken for, but for the backup of a GPT at the end of the disk.

    Raises:
        LabelError: partitions overlap, reach beyond the disk or the limit, or there is none.
        DiskError: a partition cannot be read.
    """
    for entry in label.partitions:
        _check_bounds(entry, disk_sectors, choices)
    entries = [entry for entry in label.partitions if entry.kind is not Kind.EXTENDED]
    if choices.only is None:
        _check_overlaps(entries)
    free, notes, details = _free_stretches(entries, choices, look)
    notes = [*label.notes, *notes]
    if choices.only is not None:
        return _map_slice(entries, free, notes, details, choices)
    end = max((entry.end for entry in label.partitions if entry.count), default=0)
    if not end:
        raise LabelError("there is no partition to save, use -r to save the whole disk")
    end = max(end, label.end)
    if label.tail is not None:
        first, last = label.tail
        if last <= min(choices.limit or last, MAX_SECTOR - 1):
            free.append((end, max(first, end)))
            end = max(end, last)
        else:
            notes.append("  The backup of the GPT is NOT SAVED: it lies after the limit.")
    # whatever an entry claims, the label itself is saved
    regions = _without(_around(free, label.tables), end, choices.minimum_free)
    return DiskMap(regions, end, notes=tuple(notes), details=tuple(details))


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


def _free_stretches(
    entries: list[Partition], choices: Choices, look: Look
) -> tuple[list[_Stretch], list[str], list[str]]:
    """Say which stretches are free, what is to be said of partitions, and what could be."""
    notes: list[str] = []
    details: list[str] = []
    free: list[_Stretch] = []
    for entry in entries:
        if choices.only not in (None, entry.number):
            continue
        number = entry.number
        if number in choices.ignored or entry.kind is Kind.UNUSED:
            word = "ignored" if number in choices.ignored else "is unused"
            notes.append(f"  Slice {number} {word}, NOT SAVING.")
            free.append((entry.start, entry.end))
        elif number in choices.raw:
            notes.append(f"  Slice {number}, forcing raw compression")
        elif entry.kind is Kind.OTHER:
            notes.append(
                f"Slice {number} is an unknown type {entry.type} (??), forcing raw compression"
            )
        elif entry.count:
            try:
                found = look(entry)
            except LayoutError as error:
                notes.append(f"  Slice {number} {error.message}, saving raw.")
                continue
            free += [(entry.start + first, entry.start + last) for first, last in found.free]
            unused = sum(last - first for first, last in found.free)
            details.append(f"  P{number} ({found.name}): {unused} of {entry.count} sectors free")
    return free, notes, details


def _map_slice(
    entries: list[Partition],
    free: list[_Stretch],
    notes: list[str],
    details: list[str],
    choices: Choices,
) -> DiskMap:
    for entry in entries:
        if entry.number == choices.only and entry.count and entry.kind is not Kind.UNUSED:
            end = entry.count if choices.limit is None else min(entry.count, choices.limit)
            relative = [(first - entry.start, last - entry.start) for first, last in free]
            regions = _without(relative, end, choices.minimum_free)
            if not regions:
                raise LabelError(f"slice {choices.only} has nothing to save")
            return DiskMap(regions, end, entry.start, tuple(notes), tuple(details))
    raise LabelError(f"there is no slice {choices.only} to save")


def _check_bounds(entry: Partition, disk_sectors: int, choices: Choices) -> None:
    if entry.kind is Kind.EXTENDED and entry.number in choices.ignored:
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


def _around(free: Iterable[_Stretch], sectors: tuple[int, ...]) -> list[_Stretch]:
    """The free stretches without these sectors, which are ascending."""
    found: list[_Stretch] = []
    for first, last in free:
        begin = first
        for sector in sectors:
            if begin <= sector < last:
                found.append((begin, sector))
                begin = sector + 1
        found.append((begin, last))
    return found


def _without(free: Iterable[_Stretch], end: int, minimum_free: int) -> tuple[Region, ...]:
    """Give what is left of the sectors 0 to `end` outside `free`, whose short stretches stay."""
    merged: list[_Stretch] = []
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
