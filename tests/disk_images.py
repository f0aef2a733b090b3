"""Disks with DOS labels, made from nothing."""

import struct
from collections.abc import Mapping, Sequence

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
