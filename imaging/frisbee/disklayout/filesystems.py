"""What is in a partition, and how much of it is free.

A partition is looked at only as far as its type allows, and only when exactly one signature is
found: an old file system below a RAID or a volume group is not taken for what is there now.
"""

from collections.abc import Callable
from pathlib import Path

from imaging.frisbee.disklayout import ext, partclone
from imaging.frisbee.disklayout.clean import check_btrfs, check_xfs
from imaging.frisbee.disklayout.label import Kind, LayoutError, Partition, Read
from imaging.frisbee.disklayout.ntfs import check_hibernation
from imaging.frisbee.disklayout.stretches import Findings
from imaging.frisbee.ndz import SECTOR_SIZE

SWAP_HEADER_SECTORS = 64
"""At least the first 32 KiB of swap space are kept: its label and UUID."""

Device = Callable[[Partition], Path]
"""Gives the device of a partition, or raises a LayoutError that goes on after "that"."""

_SWAP_WORDS = (b"SWAPSPACE2", b"SWAP-SPACE")
_SUSPENDED_WORDS = (b"S1SUSPEND\0", b"S2SUSPEND\0", b"ULSUSPEND\0", b"LINHIB0001")
_PAGES = (4096, 8192, 16384, 32768, 65536)
_EXT = "ext"
_SWAP = "swap space"
_SUSPENDED = "swap space that holds a suspended system"

# name, byte of the partition, what is there; as blkid has them
_SIGNATURES = (
    (_EXT, 1080, b"\x53\xef"),
    ("xfs", 0, b"XFSB"),
    ("btrfs", 0x10040, b"_BHRfS_M"),
    ("ntfs", 3, b"NTFS    "),
    ("exfat", 3, b"EXFAT   "),
    ("vfat", 54, b"FAT12   "),
    ("vfat", 54, b"FAT16   "),
    ("vfat", 82, b"FAT32   "),
    ("BitLocker", 3, b"-FVE-FS-"),
    ("LUKS", 0, b"LUKS\xba\xbe"),
    ("LUKS", 0x4000, b"SKUL\xba\xbe"),
    *(("LVM", sector * SECTOR_SIZE, b"LABELONE") for sector in range(4)),
    ("RAID", 0, b"\xfc\x4e\x2b\xa9"),
    ("RAID", 4096, b"\xfc\x4e\x2b\xa9"),
    ("bcache", 4120, bytes.fromhex("c68573f64e1a45ca8265f57f48ba6d81")),
    ("f2fs", 1024, b"\x10\x20\xf5\xf2"),
    ("jfs", 0x8000, b"JFS1"),
    ("reiserfs", 0x10034, b"ReIsEr"),
    ("squashfs", 0, b"hsqs"),
    ("iso9660", 0x8001, b"CD001"),
    ("ufs", 8192 + 1372, b"\x19\x01\x54\x19"),
    ("ufs", 65536 + 1372, b"\x19\x01\x54\x19"),
    *((_SWAP, page - 10, word) for page in _PAGES for word in _SWAP_WORDS),
    *((_SUSPENDED, page - 10, word) for page in _PAGES for word in _SUSPENDED_WORDS),
)
_GLANCE = 1 << 17
_RAID_MAGIC = b"\xfc\x4e\x2b\xa9"


def look_into(partition: Partition, read: Read, device: Device, minimum: int) -> Findings:
    """Find out what of a partition is free.

    Args:
        partition: of the kind for files or for swap.
        read: of the partition.
        device: finds its device, for partclone.
        minimum: shorter free stretches do not matter, in sectors.

    Raises:
        LayoutError: it is to be saved whole; the message says why.
        DiskError: it cannot be read.
    """
    size = partition.count * SECTOR_SIZE
    name = _recognize(read, size)
    is_swap = name in (_SWAP, _SUSPENDED)
    if is_swap != (partition.kind is Kind.SWAP):
        raise LayoutError(f"is {name} in a partition of another type")
    if name == _SWAP:
        return Findings(name, _free_swap(read, size))
    if name == _EXT:
        return ext.read_free(read, size, minimum)
    if name not in partclone.FILE_SYSTEMS:
        raise LayoutError(f"is {name}")
    if name == "xfs":
        check_xfs(read, size)
    if name == "btrfs":
        check_btrfs(read, size)
    if name == "ntfs":
        check_hibernation(read)
    try:
        path = device(partition)
    except LayoutError as error:
        raise LayoutError(f"is {name} that {error.message}") from error
    return Findings(name, partclone.read_free(name, path, size, minimum))


def _recognize(read: Read, size: int) -> str:
    data = read(0, min(_GLANCE, size))
    names = {name for name, place, word in _SIGNATURES if data.startswith(word, place)}
    sectors = size // SECTOR_SIZE
    # versions 1.0 and 0.90 of Linux RAID are at the end
    for sector in ((sectors & ~0x7F) - 0x80, (sectors - 16) & ~7):
        if sector > 0 and read(sector * SECTOR_SIZE, SECTOR_SIZE).startswith(_RAID_MAGIC):
            names.add("RAID")
    if not names:
        raise LayoutError("holds no file system that is known")
    if len(names) > 1:
        raise LayoutError(f"could be {' or '.join(sorted(names))}")
    return names.pop()


def _free_swap(read: Read, size: int) -> tuple[tuple[int, int], ...]:
    """All but the head, which has the size of a page."""
    data = read(0, min(_GLANCE, size))
    page = max(page for page in _PAGES if data.startswith(_SWAP_WORDS, page - 10))
    begin = max(SWAP_HEADER_SECTORS, page // SECTOR_SIZE)
    return ((begin, size // SECTOR_SIZE),) if begin < size // SECTOR_SIZE else ()
