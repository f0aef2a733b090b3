"""Whether the Windows of an NTFS may be hibernated: then its memory knows more than the disk.

partclone maps such a file system, too. What tells is a file `hiberfil.sys` in the root directory;
it is there as long as hibernation (or fast startup) is switched on.

Source: the libntfs-3g documentation of boot sector, MFT records and index blocks.
"""

import struct
from collections.abc import Iterator

from imaging.frisbee.disklayout.label import LayoutError, Read

_NAME = "hiberfil.sys".encode("utf-16-le")
_ROOT_RECORD = 5
_SECTOR = 512
_ATTRIBUTE_LIST = 0x20
_INDEX_ROOT = 0x90
_INDEX_ALLOCATION = 0xA0
_END = 0xFFFFFFFF
_MAX_INDEX = 1 << 24
_PART = 1 << 20
_NONSENSE = "is ntfs whose root directory makes no sense"


def check_hibernation(read: Read) -> None:
    """Look for `hiberfil.sys`.

    Raises:
        LayoutError: it is there, or the root directory cannot be read.
        DiskError: the partition cannot be read.
    """
    boot = read(0, _SECTOR)
    sector_size, sectors = struct.unpack_from("<HB", boot, 0x0B)
    # large clusters are given as the negative of a power of two
    cluster = sector_size * (sectors if sectors <= 0x80 else 1 << min(256 - sectors, 16))
    if not _SECTOR <= cluster <= 1 << 21 or sector_size % _SECTOR or not sector_size:
        raise LayoutError(_NONSENSE)
    (place,) = struct.unpack_from("<Q", boot, 0x30)
    record_size = _size(boot[0x40], cluster)
    record = _fixed(read(place * cluster + _ROOT_RECORD * record_size, record_size), b"FILE")
    for kind, attribute in _attributes(record):
        if kind == _ATTRIBUTE_LIST:
            raise LayoutError("is ntfs with a root directory in many parts")
        if kind == _INDEX_ROOT and _NAME in attribute.lower():
            raise LayoutError("is ntfs of a Windows that may be hibernated")
        if kind == _INDEX_ALLOCATION:
            _check_blocks(read, attribute, cluster, _size(boot[0x44], cluster))


def _size(code: int, cluster: int) -> int:
    """Bytes of an MFT record or of an index block: clusters, or the negative of a power of two."""
    size = code * cluster if code < 0x80 else 1 << min(256 - code, 20)
    if not _SECTOR <= size <= 1 << 16 or size & (size - 1):
        raise LayoutError(_NONSENSE)
    return size


def _fixed(data: bytes, magic: bytes) -> bytes:
    """Put back the last two bytes of each sector, which are kept elsewhere."""
    place, count = struct.unpack_from("<HH", data, 4)
    if data[:4] != magic or count != len(data) // _SECTOR + 1 or place + 2 * count > len(data):
        raise LayoutError(_NONSENSE)
    fixed = bytearray(data)
    for number in range(1, count):
        end = number * _SECTOR
        fixed[end - 2 : end] = data[place + 2 * number : place + 2 * number + 2]
    return bytes(fixed)


def _attributes(record: bytes) -> Iterator[tuple[int, bytes]]:
    (place,) = struct.unpack_from("<H", record, 0x14)
    while place + 8 <= len(record):
        kind, length = struct.unpack_from("<II", record, place)
        if kind == _END:
            return
        if not 0x18 <= length <= len(record) - place:
            break
        yield kind, record[place : place + length]
        place += length
    raise LayoutError(_NONSENSE)


def _check_blocks(read: Read, attribute: bytes, cluster: int, block_size: int) -> None:
    # a block may lie in several places
    data = b"".join(
        read(begin + part, min(_PART, length - part))
        for begin, length in _runs(attribute, cluster)
        for part in range(0, length, _PART)
    )
    if not data:
        raise LayoutError(_NONSENSE)
    for place in range(0, len(data), block_size):
        block = data[place : place + block_size]
        # blocks that were never used are empty
        if block.startswith(b"INDX") and _NAME in _fixed(block, b"INDX").lower():
            raise LayoutError("is ntfs of a Windows that may be hibernated")


def _runs(attribute: bytes, cluster: int) -> Iterator[tuple[int, int]]:
    """The places (byte, bytes) of an attribute that is not resident."""
    if not attribute[8] or len(attribute) < 0x40:
        raise LayoutError(_NONSENSE)
    place: int = struct.unpack_from("<H", attribute, 0x20)[0]
    total = position = 0
    while place < len(attribute) and attribute[place]:
        sizes = attribute[place]
        first, second = sizes & 0xF, sizes >> 4
        fields = attribute[place + 1 : place + 1 + first + second]
        length = int.from_bytes(fields[:first], "little") * cluster
        position += int.from_bytes(fields[first:], "little", signed=True)
        total += length
        if len(fields) < first + second or not length or not second or total > _MAX_INDEX:
            raise LayoutError(_NONSENSE)
        yield position * cluster, length
        place += 1 + first + second
