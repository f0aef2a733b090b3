"""The free blocks of ext2, ext3 and ext4, from their bitmaps.

A bitmap is believed when all agrees: the checksums of descriptors and bitmaps where there are
some, the number of free blocks in the descriptors and in the superblock, and all blocks that hold
metadata (wherever the descriptors say that they are) marked as used. These are never free,
whatever a bitmap says, and in a group whose bitmap was never written they are what is used.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from imaging.frisbee.disklayout.checksums import CRC16, CRC32C, crc_of_each
from imaging.frisbee.disklayout.ext_superblock import (
    OFFSET,
    SIZE,
    Incompat,
    Superblock,
    parse_superblock,
)
from imaging.frisbee.disklayout.label import LayoutError, Read
from imaging.frisbee.disklayout.stretches import Findings, Stretches
from imaging.frisbee.ndz import SECTOR_SIZE

_UNINITIALIZED = 0x2
_BATCH = 512
"""Groups whose bitmaps are in memory at once."""

_CHECKSUM = slice(0x1E, 0x20)


@dataclass(frozen=True, slots=True)
class _Group:
    """What a group's descriptor says; positions in blocks, free space in clusters."""

    block_bitmap: int
    inode_bitmap: int
    inode_table: int
    free: int
    initialized: bool
    bitmap_checksum: int


def read_free(read: Read, size: int, minimum: int) -> Findings:
    """Find the free space of the ext file system in a partition.

    Args:
        read: of the partition.
        size: of the partition, in bytes.
        minimum: shorter free stretches do not matter, in sectors.

    Raises:
        LayoutError: not all is known, or not all is in order.
        DiskError: the partition cannot be read.
    """
    superblock = parse_superblock(read(OFFSET, SIZE), size)
    groups = _read_groups(read, superblock)
    metadata = _metadata(superblock, groups)
    found = Stretches(minimum)
    free_clusters = 0
    sectors = superblock.block_size // SECTOR_SIZE
    for begin in range(0, len(groups), _BATCH):
        batch = groups[begin : begin + _BATCH]
        bitmaps = _read_bitmaps(read, superblock, batch)
        for number, (group, bitmap) in enumerate(zip(batch, bitmaps, strict=True), start=begin):
            used = _used(superblock, number, group, bitmap, metadata.get(number, []))
            clusters = _clusters(superblock, number)
            free_clusters += clusters - used.bit_count()
            for first, last in _zero_bits(used, clusters):
                blocks = _blocks(superblock, number, first, last)
                found.add(blocks[0] * sectors, blocks[1] * sectors)
    last_cluster = -(superblock.blocks - superblock.first_block) % superblock.cluster_blocks
    counted = free_clusters * superblock.cluster_blocks
    if superblock.free_blocks not in (counted, counted - last_cluster):
        raise LayoutError(f"is {superblock.name} whose number of free blocks is wrong")
    return Findings(superblock.name, found.finish())


def _read_groups(read: Read, superblock: Superblock) -> list[_Group]:
    """Read the descriptors of all groups, and check them."""
    size = superblock.descriptor_size
    data = b"".join(
        read(_descriptor_block(superblock, index) * superblock.block_size, superblock.block_size)
        for index in range(superblock.descriptor_blocks)
    )
    records = [data[place : place + size] for place in range(0, superblock.groups * size, size)]
    _check_descriptors(superblock, records)
    groups = []
    for record in records:
        group = _parse_descriptor(superblock, record)
        for place, count in (
            (group.block_bitmap, 1),
            (group.inode_bitmap, 1),
            (group.inode_table, superblock.inode_table_blocks),
        ):
            if not superblock.first_block < place <= superblock.blocks - count:
                raise LayoutError(f"is {superblock.name} with metadata outside itself")
        groups.append(group)
    return groups


def _descriptor_block(superblock: Superblock, index: int) -> int:
    """Where a block of descriptors is; as descriptor_loc() in fs/ext4/super.c."""
    # with blocks of 1 KiB the superblock is in block 1, whatever the first block of groups
    base = OFFSET // superblock.block_size
    if not superblock.incompat & Incompat.META_BG or index < superblock.first_meta_group:
        place = base + 1 + index
    else:
        group = index * superblock.descriptors_per_block
        place = superblock.first_of(group) + int(superblock.has_superblock(group))
        if index == 0 and superblock.first_block < base:
            place += 1
    if place >= superblock.blocks:
        raise LayoutError(f"is {superblock.name} with descriptors outside itself")
    return place


def _check_descriptors(superblock: Superblock, records: list[bytes]) -> None:
    if not superblock.uses_descriptor_checksums:
        return
    numbered = [number.to_bytes(4, "little") for number in range(len(records))]
    if superblock.uses_checksums:
        kind, start = CRC32C, superblock.checksum_seed
        rows = [
            number + record[:0x1E] + bytes(2) + record[0x20:]
            for number, record in zip(numbered, records, strict=True)
        ]
    else:
        kind = CRC16
        start = crc_of_each(CRC16, [superblock.uuid], 0xFFFF)[0]
        rows = [
            number + record[:0x1E] + record[0x20:]
            for number, record in zip(numbered, records, strict=True)
        ]
    for checksum, record in zip(crc_of_each(kind, rows, start), records, strict=True):
        if checksum & 0xFFFF != int.from_bytes(record[_CHECKSUM], "little"):
            raise LayoutError(f"is {superblock.name} with a wrong checksum in its descriptors")


def _parse_descriptor(superblock: Superblock, record: bytes) -> _Group:
    block_bitmap, inode_bitmap, inode_table, free = struct.unpack_from("<IIIH", record)
    flags, checksum = struct.unpack_from("<H", record, 0x12)[0], record[0x18:0x1A]
    if len(record) >= 64:
        high = struct.unpack_from("<III", record, 0x20)
        block_bitmap |= high[0] << 32
        inode_bitmap |= high[1] << 32
        inode_table |= high[2] << 32
        free |= struct.unpack_from("<H", record, 0x2C)[0] << 16
        checksum += record[0x38:0x3A]
    uninitialized = superblock.uses_descriptor_checksums and flags & _UNINITIALIZED
    return _Group(
        block_bitmap,
        inode_bitmap,
        inode_table,
        free,
        not uninitialized,
        int.from_bytes(checksum, "little"),
    )


def _metadata(superblock: Superblock, groups: list[_Group]) -> dict[int, list[tuple[int, int]]]:
    """The blocks that hold metadata: for each group, stretches counted from its beginning."""
    found: dict[int, list[tuple[int, int]]] = {}
    size = superblock.blocks_per_group
    for number, group in enumerate(groups):
        for place, count in chain(
            _base_metadata(superblock, number),
            [(group.block_bitmap, 1), (group.inode_bitmap, 1)],
            [(group.inode_table, superblock.inode_table_blocks)],
        ):
            first, last = place, min(place + count, superblock.blocks)
            while first < last:
                owner, begin = divmod(first - superblock.first_block, size)
                end = min(begin + last - first, size)
                found.setdefault(owner, []).append((begin, end))
                first += end - begin
    return found


def _base_metadata(superblock: Superblock, group: int) -> Iterator[tuple[int, int]]:
    """The superblock's and the descriptors' copies in a group; as ext4_num_base_meta_clusters()."""
    first = superblock.first_of(group)
    has_superblock = superblock.has_superblock(group)
    if has_superblock:
        # with blocks of 1 KiB and clusters, block 0 is in a group, before the superblock
        before = OFFSET // superblock.block_size - superblock.first_block if group == 0 else 0
        yield first, 1 + before
        first += 1 + before
    meta_group, place = divmod(group, superblock.descriptors_per_block)
    if not superblock.incompat & Incompat.META_BG or meta_group < superblock.first_meta_group:
        if has_superblock:
            count = superblock.old_descriptor_blocks + superblock.reserved_descriptor_blocks
            yield first, count
    elif place in (0, 1, superblock.descriptors_per_block - 1):
        yield first, 1


def _read_bitmaps(read: Read, superblock: Superblock, groups: list[_Group]) -> list[int | None]:
    """The bitmaps of some groups, as numbers; None where none was ever written."""
    size = superblock.blocks_per_group // superblock.cluster_blocks // 8
    bitmaps = {
        place: read(group.block_bitmap * superblock.block_size, size)
        for place, group in enumerate(groups)
        if group.initialized
    }
    if superblock.uses_checksums:
        found = crc_of_each(CRC32C, list(bitmaps.values()), superblock.checksum_seed)
        mask = 0xFFFFFFFF if superblock.descriptor_size >= 64 else 0xFFFF
        for place, checksum in zip(bitmaps, found, strict=True):
            if checksum & mask != groups[place].bitmap_checksum:
                raise LayoutError(f"is {superblock.name} with a wrong checksum in its bitmaps")
    return [
        int.from_bytes(bitmaps[place], "little") if place in bitmaps else None
        for place in range(len(groups))
    ]


def _used(
    superblock: Superblock,
    number: int,
    group: _Group,
    bitmap: int | None,
    metadata: list[tuple[int, int]],
) -> int:
    """The clusters of a group that are used, as the bits of a number."""
    clusters = _clusters(superblock, number)
    holds_metadata = 0
    for begin, end in metadata:
        low = begin // superblock.cluster_blocks
        high = -(-end // superblock.cluster_blocks)
        holds_metadata |= ((1 << high - low) - 1) << low
    used = holds_metadata if bitmap is None else bitmap & ((1 << clusters) - 1)
    if holds_metadata & ~used or clusters - used.bit_count() != group.free:
        raise LayoutError(f"is {superblock.name} whose bitmap of group {number} is not in order")
    return used


def _clusters(superblock: Superblock, group: int) -> int:
    blocks = min(superblock.blocks_per_group, superblock.blocks - superblock.first_of(group))
    return -(-blocks // superblock.cluster_blocks)


def _blocks(superblock: Superblock, group: int, first: int, last: int) -> tuple[int, int]:
    """The blocks of a group's clusters `first` to `last`."""
    begin = superblock.first_of(group)
    ratio = superblock.cluster_blocks
    return begin + first * ratio, min(begin + last * ratio, superblock.blocks)


def _zero_bits(bits: int, length: int) -> Iterator[tuple[int, int]]:
    """Runs of zeros (begin, end) among the lowest `length` bits."""
    text = f"{bits:0{length}b}"[::-1]
    begin = text.find("0")
    while begin >= 0:
        end = text.find("1", begin)
        if end < 0:
            end = length
        yield begin, end
        begin = text.find("0", end)
