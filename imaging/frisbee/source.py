"""The disk that is read: its sectors, and what its partitions hold."""

import fcntl
import os
import stat
import struct

from imaging.frisbee.disklayout.devices import partition_device
from imaging.frisbee.disklayout.filesystems import look_into
from imaging.frisbee.disklayout.label import LabelError, LayoutError, Partition
from imaging.frisbee.disklayout.stretches import Findings
from imaging.frisbee.errors import DiskError
from imaging.frisbee.ndz import SECTOR_SIZE

_BLKSSZGET = 0x1268


class SourceDisk:
    """A disk, or a file in its place, open for reading."""

    def __init__(self, fd: int, name: str, minimum_free: int) -> None:
        """Begin to look at `fd`, which stays the caller's.

        Args:
            fd: the disk.
            name: of the disk, for messages.
            minimum_free: shorter free stretches do not matter, in sectors.
        """
        self._fd = fd
        self._name = name
        self._minimum_free = minimum_free

    def check_sectors(self) -> None:
        """Refuse a disk whose label counts in other sectors than ours.

        Raises:
            LabelError: it has sectors of another size, and its partitions are not where we look.
        """
        if not stat.S_ISBLK(os.fstat(self._fd).st_mode):
            return
        try:
            (size,) = struct.unpack("i", fcntl.ioctl(self._fd, _BLKSSZGET, bytes(4)))
        except OSError:
            return  # not every block device tells
        if size != SECTOR_SIZE:
            raise LabelError(
                f"{self._name} has sectors of {size} bytes", hint="use -r to save the whole disk"
            )

    def read(self, offset: int, length: int) -> bytes:
        """Read exactly `length` bytes.

        Raises:
            LabelError: the disk ends before.
            DiskError: it cannot be read.
        """
        parts = []
        while length > 0:
            try:
                part = os.pread(self._fd, length, offset)
            except OSError as error:
                raise DiskError(f"reading input file: {error.strerror}", hint=self._name) from error
            if not part:
                raise LabelError(f"{self._name} has no sector {offset // SECTOR_SIZE}")
            parts.append(part)
            offset += len(part)
            length -= len(part)
        return b"".join(parts)

    def look_into(self, partition: Partition) -> Findings:
        """Find what of a partition is free.

        Raises:
            LayoutError: it is to be saved whole; the message says why.
            DiskError: it cannot be read.
        """
        begin = partition.start * SECTOR_SIZE
        size = partition.count * SECTOR_SIZE

        def read(offset: int, length: int) -> bytes:
            if not 0 <= offset <= offset + length <= size:
                raise LayoutError("is of a layout that points outside the partition")
            return self.read(begin + offset, length)

        return look_into(
            partition,
            read,
            lambda wanted: partition_device(self._fd, wanted),
            self._minimum_free,
        )
