"""Whether XFS and btrfs have nothing left in a journal that says more than their free space does.

partclone does not look at these: it maps an XFS that was never unmounted, without the blocks that
only the journal knows to be used.
"""

import struct

from imaging.frisbee.disklayout.label import LayoutError, Read

BTRFS_SUPERBLOCK = 0x10000
BTRFS_MIRRORS = (0x4000000, 0x4000000000)
"""Bytes of the partition where btrfs has its superblock, and copies of it."""

_SECTOR = 512
_PART = 1 << 20
# block size, place of the log, blocks of a group, groups, blocks of the log
_XFS = struct.Struct(">4xI40xQ28xII4xI")
_XFS_AG_LOG = 124
_RECORD_MAGIC = b"\xfe\xed\xba\xbe"
_RECORD = struct.Struct(">4xII4xQ16xI")  # cycle, version, LSN, operations
_RECORD_SIZE_OFFSET = 320
_RECORD_UNIT = 1 << 15
_OPERATION_FLAGS = 9
_UNMOUNT = 0x20
_MAX_LOG = 1 << 31


def check_xfs(read: Read, size: int) -> None:
    """Look for the record that an unmount leaves as the last one in the log.

    Source: fs/xfs/libxfs/xfs_log_format.h of the Linux kernel, and xlog_find_tail() in
    fs/xfs/xfs_log_recover.c.

    Raises:
        LayoutError: the log holds something else, or is on another device.
        DiskError: the partition cannot be read.
    """
    superblock = read(0, _SECTOR)
    block_size, place, group_blocks, groups, log_blocks = _XFS.unpack_from(superblock)
    group_log = superblock[_XFS_AG_LOG]
    if not place:
        raise LayoutError("is xfs with its log on another device")
    group, block = place >> min(group_log, 32), place & ((1 << min(group_log, 32)) - 1)
    begin = (group * group_blocks + block) * block_size
    length = log_blocks * block_size
    if group >= groups or not 0 < length <= min(_MAX_LOG, size - begin):
        raise LayoutError("is xfs with sizes that do not go together")
    newest = _newest_record(read, begin, length)
    if newest is None or not _is_unmount(read, begin, length, newest):
        raise LayoutError("is xfs that is mounted or needs its log")


def _newest_record(read: Read, begin: int, length: int) -> int | None:
    """Where in the log the last record begins."""
    newest: tuple[int, int] | None = None
    for part in range(0, length, _PART):
        data = read(begin + part, min(_PART, length - part))
        place = data.find(_RECORD_MAGIC)
        while place >= 0:
            # the first word of each sector of data is replaced: these are headers only
            if place % _SECTOR == 0 and place + _SECTOR <= len(data):
                _, _, lsn, _ = _RECORD.unpack_from(data, place)
                newest = max(newest or (0, 0), (lsn, part + place))
            place = data.find(_RECORD_MAGIC, place + 4)
    return None if newest is None else newest[1]


def _is_unmount(read: Read, begin: int, length: int, place: int) -> bool:
    header = read(begin + place, _SECTOR)
    _, version, _, operations = _RECORD.unpack_from(header)
    units = 1
    if version & 2:
        (unit,) = struct.unpack_from(">I", header, _RECORD_SIZE_OFFSET)
        units = max(1, min(-(-unit // _RECORD_UNIT), 8))
    data = (place + units * _SECTOR) % length
    return operations == 1 and bool(read(begin + data, _SECTOR)[_OPERATION_FLAGS] & _UNMOUNT)


def check_btrfs(read: Read, size: int) -> None:
    """Look whether there is a log tree, and only one device.

    Source: fs/btrfs, struct btrfs_super_block.

    Raises:
        LayoutError: there is more than the extent tree knows.
        DiskError: the partition cannot be read.
    """
    superblock = read(BTRFS_SUPERBLOCK, 0x1000)
    (log_root,) = struct.unpack_from("<Q", superblock, 0x60)
    total, devices = struct.unpack_from("<Q16xQ", superblock, 0x70)
    if log_root:
        raise LayoutError("is btrfs that is mounted or needs its log")
    if devices != 1:
        raise LayoutError(f"is btrfs of {devices} devices")
    if total > size:
        raise LayoutError("is btrfs larger than the partition")
