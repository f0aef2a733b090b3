"""Disks with DOS labels and GPTs, made from nothing."""

import struct
import zlib
from collections.abc import Mapping, Sequence
from uuid import UUID

Entry = tuple[int, int, int]
"""Type, start and count of a partition, in sectors."""


def table(entries: Sequence[Entry | None]) -> bytes:
    """The sector of a partition table."""
    sector = bytearray(512)
    for place, entry in enumerate(entries):
        if entry is not None:
            kind, start, count = entry
            struct.pack_into("<BxxxBxxxII", sector, 446 + 16 * place, 0, kind, start, count)
    sector[510:] = b"\x55\xaa"
    return bytes(sector)


def put(disk: bytearray, sectors: Mapping[int, bytes]) -> bytearray:
    """Put sectors at their places."""
    for number, data in sectors.items():
        disk[number * 512 : number * 512 + len(data)] = data
    return disk


LINUX_DATA = "0fc63daf-8483-4772-8e79-3d69d8477de4"
LINUX_SWAP = "0657fd6d-a4ab-43c4-84e5-0933c84b4f4f"
LINUX_LVM = "e6d6d379-f507-44c2-a23c-238f2a3df928"


def gpt(
    disk_sectors: int, partitions: Sequence[tuple[str, int, int]], entries: int = 128
) -> dict[int, bytes]:
    """A GPT and its backup, as what begins at each sector; partitions are type, first and last."""
    array = bytearray(128 * entries)
    for place, (kind, first, last) in enumerate(partitions):
        struct.pack_into(
            "<16s16sQQ",
            array,
            128 * place,
            UUID(kind).bytes_le,
            bytes([place + 1]) * 16,
            first,
            last,
        )
    length = -(-len(array) // 512)
    data = bytes(array)
    end = disk_sectors - 1
    usable = (2 + length, end - length - 1)
    return {
        0: table([(0xEE, 1, min(disk_sectors - 1, 0xFFFFFFFF)), None, None, None]),
        1: gpt_header(1, end, 2, data, usable),
        2: data,
        end - length: data,
        end: gpt_header(end, 1, end - length, data, usable),
    }


def gpt_header(
    place: int, other: int, array_place: int, array: bytes, usable: tuple[int, int]
) -> bytes:
    """One of the two headers."""
    fields = (place, other, *usable, b"disk" * 4, array_place, len(array) // 128, 128)
    body = struct.pack("<QQQQ16sQII", *fields) + struct.pack("<I", zlib.crc32(array))
    start = struct.pack("<8sII", b"EFI PART", 0x10000, 92)
    checksum = zlib.crc32(start + bytes(8) + body)
    return (start + struct.pack("<II", checksum, 0) + body).ljust(512, b"\0")
