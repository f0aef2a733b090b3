"""The device that Linux has for a partition of a disk."""

import os
import stat
from pathlib import Path

from imaging.frisbee.disklayout.label import LayoutError, Partition

_BLOCK_DEVICES = Path("/sys/dev/block")


def partition_device(disk_fd: int, partition: Partition) -> Path:
    """Find the device of a partition, and prove that nobody has it mounted.

    Raises:
        LayoutError: the disk is a file, the kernel knows of no such partition, or it is in use.
    """
    status = os.fstat(disk_fd)
    if not stat.S_ISBLK(status.st_mode):
        raise LayoutError("has no device of its own, for the disk is a file")
    disk = _BLOCK_DEVICES / f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"
    for entry in sorted(disk.glob("*/partition")):
        directory = entry.parent
        try:
            place = int((directory / "start").read_text()), int((directory / "size").read_text())
            number = (directory / "dev").read_text().strip()
        except (OSError, ValueError):
            continue
        device = Path("/dev") / directory.name
        if place == (partition.start, partition.count) and _is_device(device, number):
            _check_unused(device)
            return device
    raise LayoutError("has no device in /dev")


def _is_device(path: Path, number: str) -> bool:
    try:
        status = path.stat()
    except OSError:
        return False
    found = f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"
    return stat.S_ISBLK(status.st_mode) and found == number


def _check_unused(device: Path) -> None:
    try:
        # of a block device O_EXCL means: not while it is mounted, or a part of something
        os.close(os.open(device, os.O_RDONLY | os.O_EXCL))
    except OSError as error:
        raise LayoutError(f"is in use: {device}: {error.strerror}") from error
