"""What partition tables have in common."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from imaging.frisbee.errors import DiskError
from imaging.frisbee.ndz import SECTOR_SIZE

Read = Callable[[int, int], bytes]
"""Gives so many bytes from that byte on; raises a DiskError when it cannot."""


class LabelError(DiskError):
    """The partition table makes no sense; nothing was saved."""


class LayoutError(DiskError):
    """What is in a partition is not known well enough to leave any of it out.

    The message goes on after "Slice N", as in "is ext4 with errors".
    """


class Kind(Enum):
    """What the partition table says that a partition is for."""

    UNUSED = auto()
    FILES = auto()
    SWAP = auto()
    EXTENDED = auto()
    OTHER = auto()


@dataclass(frozen=True, slots=True)
class Partition:
    """One entry of a partition table, in sectors.

    Attributes:
        number: from 1; of a DOS label 1 to 4 are primary, 5 and up are logical.
        kind: what it is for.
        type: the table's own word for that: `0x83`, or a GUID.
        start: its first sector.
        count: how many.
    """

    number: int
    kind: Kind
    type: str
    start: int
    count: int

    @property
    def end(self) -> int:
        """One past the last sector."""
        return self.start + self.count


@dataclass(frozen=True, slots=True)
class Label:
    """A partition table.

    Attributes:
        partitions: in the table's order.
        tables: sectors with parts of the table that might lie in a partition; ascending.
        tail: first sector, and one past the last, of what belongs to the table at the end of the
            disk.
        end: one past the last sector that is to be saved even if no partition is there.
        notes: what is to be said about it, line by line.
    """

    partitions: tuple[Partition, ...]
    tables: tuple[int, ...] = (0,)
    tail: tuple[int, int] | None = None
    end: int = 0
    notes: tuple[str, ...] = ()


def read_sector(read: Read, sector: int) -> bytes:
    """Read one sector."""
    return read(sector * SECTOR_SIZE, SECTOR_SIZE)
