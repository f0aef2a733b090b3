"""The superblock of ext2, ext3 and ext4: what the layout of a file system follows from.

Source: Documentation/filesystems/ext4 of the Linux kernel, and fs/ext4/super.c, balloc.c. A
feature that is not known, a file system that was not unmounted cleanly, and numbers that do not
go together end in a `LayoutError`: nobody then knows which blocks are free.
"""

import struct
from dataclasses import dataclass
from enum import IntFlag

from imaging.frisbee.disklayout.checksums import crc32c
from imaging.frisbee.disklayout.label import LayoutError

OFFSET = 1024
"""Byte of the partition where the superblock begins."""

SIZE = 1024

MAX_GROUPS = 1 << 17
"""More block groups are not looked at: with blocks of 1 KiB that is a terabyte."""

_MAGIC = 0xEF53
_CLEAN = 1
_ERRORS = 2
_MAX_BLOCK_LOG = 6
_CRC32C_TYPE = 1


class Compat(IntFlag):
    """Features that do not keep anybody from writing."""

    DIR_PREALLOC = 0x1
    IMAGIC_INODES = 0x2
    HAS_JOURNAL = 0x4
    EXT_ATTR = 0x8
    RESIZE_INODE = 0x10
    DIR_INDEX = 0x20
    SPARSE_SUPER2 = 0x200
    FAST_COMMIT = 0x400
    STABLE_INODES = 0x800
    ORPHAN_FILE = 0x1000


class Incompat(IntFlag):
    """Features without which nobody may even read."""

    FILETYPE = 0x2
    RECOVER = 0x4
    META_BG = 0x10
    EXTENTS = 0x40
    BIT64 = 0x80
    MMP = 0x100
    FLEX_BG = 0x200
    EA_INODE = 0x400
    CSUM_SEED = 0x2000
    LARGEDIR = 0x4000
    INLINE_DATA = 0x8000
    ENCRYPT = 0x10000
    CASEFOLD = 0x20000


class ReadOnlyCompat(IntFlag):
    """Features without which nobody may write."""

    SPARSE_SUPER = 0x1
    LARGE_FILE = 0x2
    BTREE_DIR = 0x4
    HUGE_FILE = 0x8
    GDT_CSUM = 0x10
    DIR_NLINK = 0x20
    EXTRA_ISIZE = 0x40
    QUOTA = 0x100
    BIGALLOC = 0x200
    METADATA_CSUM = 0x400
    READONLY = 0x1000
    PROJECT = 0x2000
    VERITY = 0x8000
    ORPHAN_PRESENT = 0x10000


@dataclass(frozen=True, slots=True)
class Superblock:
    """What the free blocks follow from; sizes in bytes, positions in blocks.

    Attributes:
        name: ext2, ext3 or ext4.
        block_size: 1024 to 65536.
        blocks: of the file system.
        free_blocks: of these, as counted when it was unmounted.
        first_block: the first that belongs to a group: 1 with blocks of 1 KiB, else 0.
        blocks_per_group: of all groups but the last.
        cluster_blocks: blocks for which one bit of a bitmap stands.
        inode_table_blocks: in each group.
        descriptor_size: of a group's descriptor.
        reserved_descriptor_blocks: that follow the descriptors wherever these have a copy.
        first_meta_group: descriptor blocks from this one on are spread over their groups.
        backup_groups: of `SPARSE_SUPER2`.
        checksum_seed: of `METADATA_CSUM`.
        uuid: 16 bytes.
        compat: features.
        incompat: features.
        read_only_compat: features.
    """

    name: str
    block_size: int
    blocks: int
    free_blocks: int
    first_block: int
    blocks_per_group: int
    cluster_blocks: int
    inode_table_blocks: int
    descriptor_size: int
    reserved_descriptor_blocks: int
    first_meta_group: int
    backup_groups: tuple[int, int]
    checksum_seed: int
    uuid: bytes
    compat: Compat
    incompat: Incompat
    read_only_compat: ReadOnlyCompat

    @property
    def groups(self) -> int:
        """Number of block groups."""
        return -(-(self.blocks - self.first_block) // self.blocks_per_group)

    @property
    def descriptors_per_block(self) -> int:
        """How many descriptors are in a block."""
        return self.block_size // self.descriptor_size

    @property
    def descriptor_blocks(self) -> int:
        """How many blocks the descriptors of all groups take."""
        return -(-self.groups // self.descriptors_per_block)

    @property
    def old_descriptor_blocks(self) -> int:
        """How many of these follow the superblock, and each of its copies."""
        if self.incompat & Incompat.META_BG:
            return self.first_meta_group
        return self.descriptor_blocks

    @property
    def uses_checksums(self) -> bool:
        """Whether all metadata have CRC-32C checksums."""
        return bool(self.read_only_compat & ReadOnlyCompat.METADATA_CSUM)

    @property
    def uses_descriptor_checksums(self) -> bool:
        """Whether descriptors have a checksum of one kind or the other, and flags that count."""
        return self.uses_checksums or bool(self.read_only_compat & ReadOnlyCompat.GDT_CSUM)

    def first_of(self, group: int) -> int:
        """The first block of a group."""
        return self.first_block + group * self.blocks_per_group

    def has_superblock(self, group: int) -> bool:
        """Whether a group has the superblock, or a copy of it."""
        if group == 0:
            return True
        if self.compat & Compat.SPARSE_SUPER2:
            return group in self.backup_groups
        if group == 1 or not self.read_only_compat & ReadOnlyCompat.SPARSE_SUPER:
            return True
        return any(_is_power(group, base) for base in (3, 5, 7))


def _is_power(number: int, base: int) -> bool:
    power = base
    while power < number:
        power *= base
    return power == number


def parse_superblock(data: bytes, size: int) -> Superblock:
    """Read the superblock of the file system in a partition of `size` bytes.

    Args:
        data: the `SIZE` bytes at `OFFSET`.
        size: of the partition.

    Raises:
        LayoutError: the file system is not known well enough, or not in order.
    """

    fields = _Fields(data)
    if fields.at(0x38, "<H") != _MAGIC or fields.revision > 1:
        raise LayoutError("is ext of a version that is not known")
    superblock = _read_fields(fields)
    name = superblock.name
    _check_features(superblock)
    _check_state(superblock, fields.at(0x3A, "<H"), last_orphan=fields.at(0xE8))
    if superblock.uses_checksums and (
        data[0x175] != _CRC32C_TYPE or crc32c(data[:0x3FC]) != fields.at(0x3FC)
    ):
        raise LayoutError(f"is {name} with a wrong checksum in its superblock")
    if not _makes_sense(superblock, fields):
        raise LayoutError(f"is {name} with sizes that do not go together")
    if superblock.blocks * superblock.block_size > size:
        raise LayoutError(f"is {name} larger than the partition")
    if superblock.groups > MAX_GROUPS:
        raise LayoutError(f"is {name} with more than {MAX_GROUPS} block groups")
    return superblock


@dataclass(frozen=True, slots=True)
class _Fields:
    """The superblock as it is on the disk."""

    data: bytes

    def at(self, offset: int, form: str = "<I") -> int:
        value: int = struct.unpack_from(form, self.data, offset)[0]
        return value

    @property
    def revision(self) -> int:
        return self.at(0x4C)

    @property
    def inode_size(self) -> int:
        return self.at(0x58, "<H") if self.revision else 128


def _read_fields(fields: _Fields) -> Superblock:
    at = fields.at
    # in revision 0 there were no features yet
    flags = (at(0x5C), at(0x60), at(0x64)) if fields.revision else (0, 0, 0)
    compat, incompat, read_only = Compat(flags[0]), Incompat(flags[1]), ReadOnlyCompat(flags[2])
    large = bool(incompat & Incompat.BIT64)
    block_size = 1024 << min(at(0x18), 7)
    cluster_log = at(0x1C) - at(0x18) if read_only & ReadOnlyCompat.BIGALLOC else 0
    uuid = fields.data[0x68:0x78]
    return Superblock(
        name=_name(compat, incompat, read_only),
        block_size=block_size,
        blocks=at(0x04) | (at(0x150) << 32 if large else 0),
        free_blocks=at(0x0C) | (at(0x158) << 32 if large else 0),
        first_block=at(0x14),
        blocks_per_group=at(0x20),
        cluster_blocks=1 << cluster_log if 0 <= cluster_log <= 20 else 0,
        inode_table_blocks=-(-at(0x28) * fields.inode_size // block_size),
        descriptor_size=at(0xFE, "<H") if large else 32,
        reserved_descriptor_blocks=at(0xCE, "<H") if fields.revision else 0,
        first_meta_group=at(0x104) if incompat & Incompat.META_BG else 0,
        backup_groups=(at(0x24C), at(0x250)),
        checksum_seed=at(0x270) if incompat & Incompat.CSUM_SEED else crc32c(uuid),
        uuid=uuid,
        compat=compat,
        incompat=incompat,
        read_only_compat=read_only,
    )


def _name(compat: Compat, incompat: Incompat, read_only: ReadOnlyCompat) -> str:
    """As blkid tells them apart."""
    if incompat & ~(Incompat.FILETYPE | Incompat.RECOVER | Incompat.META_BG) or read_only & ~(
        ReadOnlyCompat.SPARSE_SUPER | ReadOnlyCompat.LARGE_FILE | ReadOnlyCompat.BTREE_DIR
    ):
        return "ext4"
    return "ext3" if compat & Compat.HAS_JOURNAL else "ext2"


def _check_features(superblock: Superblock) -> None:
    for kind, flags in (
        ("compat", superblock.compat),
        ("incompat", superblock.incompat),
        ("ro_compat", superblock.read_only_compat),
    ):
        unknown = int(flags) & ~sum(type(flags))
        if unknown:
            raise LayoutError(
                f"is {superblock.name} with features that are not known ({kind} {unknown:#x})"
            )


def _check_state(superblock: Superblock, state: int, last_orphan: int) -> None:
    name = superblock.name
    if superblock.incompat & Incompat.RECOVER:
        raise LayoutError(f"is {name} that is mounted or needs its journal")
    if state & _ERRORS:
        raise LayoutError(f"is {name} with errors")
    if state != _CLEAN:
        raise LayoutError(f"is {name} that was not unmounted cleanly")
    if last_orphan or superblock.read_only_compat & ReadOnlyCompat.ORPHAN_PRESENT:
        raise LayoutError(f"is {name} with deleted files that are still to be freed")


def _makes_sense(superblock: Superblock, fields: _Fields) -> bool:
    block_size, ratio = superblock.block_size, superblock.cluster_blocks
    bigalloc = superblock.read_only_compat & ReadOnlyCompat.BIGALLOC
    if fields.at(0x18) > _MAX_BLOCK_LOG or not ratio or superblock.blocks_per_group % (8 * ratio):
        return False
    clusters = superblock.blocks_per_group // ratio
    descriptor_size = superblock.descriptor_size
    return (
        0 < clusters <= 8 * block_size
        and (not bigalloc or fields.at(0x24) == clusters)
        and superblock.first_block == int(block_size == 1024 and not bigalloc)
        and superblock.blocks > superblock.first_block
        and 0 < superblock.inode_table_blocks <= superblock.blocks_per_group
        and 128 <= fields.inode_size <= block_size
        and 32 <= descriptor_size <= block_size
        and descriptor_size & (descriptor_size - 1) == 0
        and (not superblock.incompat & Incompat.BIT64 or descriptor_size >= 64)
        and superblock.first_meta_group <= superblock.descriptor_blocks
        and superblock.reserved_descriptor_blocks <= block_size // 4
    )
