"""XFS and btrfs with something left in their logs."""

import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaging.frisbee.disklayout.clean import check_btrfs, check_xfs
from imaging.frisbee.disklayout.label import LayoutError, Read

BLOCK = 4096
LOG_BLOCKS = 512


def reader(data: bytes | bytearray) -> Read:
    """Read from memory."""

    def read(offset: int, length: int) -> bytes:
        assert 0 <= length <= 1 << 20
        if not 0 <= offset <= offset + length <= len(data):
            raise LayoutError("points outside")
        return bytes(data[offset : offset + length])

    return read


def record(lsn: int, operations: int, flags: int, version: int = 2, size: int = 32768) -> bytes:
    """A log record: its header, and the header of its one operation."""
    header = bytearray(512)
    struct.pack_into(">4sIIIQQIiI", header, 0, b"\xfe\xed\xba\xbe", lsn >> 32, version, 512, lsn,
                     lsn, 0, -1, operations)  # fmt: skip
    struct.pack_into(">I", header, 320, size)
    units = max(1, -(-size // 32768)) if version == 2 else 1
    data = bytearray(512)
    struct.pack_into(">IIBB", data, 0, lsn >> 32, 8, 0xAA, flags)
    return bytes(header).ljust(512 * units, b"\0") + bytes(data)


def xfs(*records: tuple[int, bytes], log: int = (1 << 10) | 6) -> bytearray:
    """A file system of two allocation groups, with records at sectors of its log."""
    data = bytearray(2000 * BLOCK)
    struct.pack_into(">4sIQ", data, 0, b"XFSB", BLOCK, 2000)
    struct.pack_into(">Q", data, 48, log)
    struct.pack_into(">III", data, 84, 1000, 2, 0)
    struct.pack_into(">I", data, 96, LOG_BLOCKS)
    data[124] = 10
    begin = (1000 + 6) * BLOCK
    for sector, each in records:
        data[begin + sector * 512 : begin + sector * 512 + len(each)] = each
    return data


UNMOUNT = record(1 << 32 | 8, 1, 0x20)


def test_the_last_record_is_that_of_an_unmount() -> None:
    for data in (
        xfs((8, UNMOUNT)),
        xfs((8, record(1 << 32 | 8, 1, 0x20, version=1))),
        xfs((8, record(1 << 32 | 8, 1, 0x20, size=262_144))),
        xfs((8, UNMOUNT), (100, record(100, 3, 0))),
        xfs((0, record(1 << 32, 1, 0)), (8, UNMOUNT)),
        # the operation of the last record of the log is at its beginning
        xfs((4095, UNMOUNT[:512]), (0, UNMOUNT[512:])),
    ):
        check_xfs(reader(data), len(data))


def test_something_came_after_the_unmount() -> None:
    for data in (
        xfs((8, UNMOUNT), (10, record(1 << 32 | 10, 3, 0))),
        xfs((8, UNMOUNT), (2, record(2 << 32 | 2, 1, 0))),
        xfs((8, record(1 << 32 | 8, 2, 0x20))),
        xfs((8, record(1 << 32 | 8, 1, 0))),
        xfs(),
    ):
        with pytest.raises(LayoutError, match="is xfs that is mounted or needs its log"):
            check_xfs(reader(data), len(data))


def test_an_xfs_that_makes_no_sense() -> None:
    with pytest.raises(LayoutError, match="its log on another device"):
        check_xfs(reader(xfs(log=0)), 2000 * BLOCK)
    for log in (2 << 10, (1 << 10) | 900, (1 << 64) - 1):
        with pytest.raises(LayoutError, match="sizes that do not go together"):
            check_xfs(reader(xfs(log=log)), 2000 * BLOCK)


@pytest.mark.skipif(shutil.which("mkfs.xfs") is None, reason="xfsprogs is not installed")
def test_a_real_xfs(tmp_path: Path) -> None:
    path = tmp_path / "fs"
    with path.open("wb") as file:
        file.truncate(400 << 20)
    subprocess.run(["mkfs.xfs", "-q", path], check=True)
    data = bytearray(path.read_bytes())
    check_xfs(reader(data), len(data))
    place = data.rindex(b"\xfe\xed\xba\xbe")
    data[place : place + 1024] = bytes(1024)
    with pytest.raises(LayoutError):
        check_xfs(reader(data), len(data))


def btrfs(log_root: int, total: int, devices: int) -> bytes:
    superblock = bytearray(4096)
    struct.pack_into("<Q", superblock, 0x60, log_root)
    struct.pack_into("<QQQQ", superblock, 0x70, total, 0, 0, devices)
    return bytes(0x10000) + bytes(superblock)


def test_btrfs() -> None:
    check_btrfs(reader(btrfs(0, 1000, 1)), 1000)
    for superblock, words in (
        (btrfs(4096, 1000, 1), "is btrfs that is mounted or needs its log"),
        (btrfs(0, 1000, 2), "is btrfs of 2 devices"),
        (btrfs(0, 1001, 1), "is btrfs larger than the partition"),
    ):
        with pytest.raises(LayoutError, match=words):
            check_btrfs(reader(superblock), 1000)


@pytest.mark.skipif(shutil.which("mkfs.btrfs") is None, reason="btrfs-progs is not installed")
def test_a_real_btrfs(tmp_path: Path) -> None:
    path = tmp_path / "fs"
    with path.open("wb") as file:
        file.truncate(200 << 20)
    subprocess.run(["mkfs.btrfs", "-q", path], check=True, capture_output=True)
    data = path.read_bytes()
    check_btrfs(reader(data), len(data))
    with pytest.raises(LayoutError, match="larger than the partition"):
        check_btrfs(reader(data), len(data) - 1)


@given(st.binary(min_size=512, max_size=512), st.binary(max_size=3000))
def test_any_xfs_is_judged_or_refused(superblock: bytes, rest: bytes) -> None:
    data = b"XFSB" + superblock[4:] + rest
    with pytest.raises(LayoutError):
        check_xfs(reader(data), len(data))


@given(
    st.integers(0, 4095),
    st.integers(0, 1 << 63),
    st.integers(0, 3),
    st.integers(0, 255),
    st.integers(0, 0xFFFFFFFF),
)
def test_any_record_is_judged(
    sector: int, lsn: int, operations: int, flags: int, size: int
) -> None:
    header = bytearray(record(lsn, operations, flags))[:512]
    struct.pack_into(">I", header, 320, size)
    data = xfs((sector, bytes(header)))
    try:
        check_xfs(reader(data), len(data))
    except LayoutError as error:
        assert error.message == "is xfs that is mounted or needs its log"
