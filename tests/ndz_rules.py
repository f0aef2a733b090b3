"""The rules of the image format, written a second time, on raw bytes and with the stdlib's zlib.

Also a small writer of chunks, so that readers are tested with what our own writer never writes.
"""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

CHUNK = 1 << 20
LENGTHS = {1: 24, 2: 36, 3: 36, 4: 344}
MAGIC = {1: b"iiii", 2: b"jiii", 3: b"kiii", 4: b"liii"}


@dataclass(frozen=True)
class Checked:
    """What the rule checker found in an image."""

    version: int
    regions: list[tuple[int, bytes]]
    chunk_regions: list[int]
    end: int | None
    fill: list[int]
    total: int
    relocations: list[tuple[int, int, int, int]]

    def expanded(self) -> bytes:
        """The disk up to its last data, with zeros where nothing is known."""
        last, data = self.regions[-1]
        disk = bytearray(last * 512 + len(data))
        for start, data in self.regions:
            disk[start * 512 : start * 512 + len(data)] = data
        return bytes(disk)

    def saved(self) -> set[int]:
        """The sectors that hold data."""
        return {
            sector
            for start, data in self.regions
            for sector in range(start, start + len(data) // 512)
        }


def check_image(image: bytes, max_regions: int = 469) -> Checked:
    """Assert every rule for the writer of an image."""
    assert image
    assert len(image) % CHUNK == 0
    version = {magic: number for number, magic in MAGIC.items()}[image[:4]]
    chunks = [
        check_chunk(image[begin : begin + CHUNK], version, max_regions)
        for begin in range(0, len(image), CHUNK)
    ]
    assert [chunk.index for chunk in chunks] == list(range(len(chunks)))
    totals = {chunk.total for chunk in chunks}
    assert totals in ({0}, {len(chunks)})
    if version > 1:
        assert [chunk.first for chunk in chunks] == [0, *(chunk.last for chunk in chunks[:-1])]
    regions = [region for chunk in chunks for region in chunk.regions]
    for (start, data), (following, _) in pairwise(regions):
        assert start + len(data) // 512 <= following
    return Checked(
        version,
        regions,
        [len(chunk.regions) for chunk in chunks],
        chunks[-1].last if version > 1 else None,
        [chunk.size for chunk in chunks],
        totals.pop(),
        [relocation for chunk in chunks for relocation in chunk.relocations],
    )


@dataclass(frozen=True)
class CheckedChunk:
    """One chunk; the sectors from ``first`` to ``last`` are its own, where the version says so."""

    index: int
    total: int
    size: int
    first: int
    last: int
    regions: list[tuple[int, bytes]]
    relocations: list[tuple[int, int, int, int]]


def check_chunk(chunk: bytes, version: int, max_regions: int) -> CheckedChunk:
    """Assert every rule about one chunk alone."""
    assert chunk[:4] == MAGIC[version]
    size, index, total, region_size, count = struct.unpack_from("<Iiiii", chunk, 4)
    assert region_size == 4096
    assert 0 < size <= CHUNK - 4096
    assert 1 <= count <= max_regions
    first, last, relocation_count = 0, 1 << 32, 0
    if version > 1:
        first, last, relocation_count = struct.unpack_from("<IIi", chunk, 24)
    if version == 4:
        assert chunk[36:328] == bytes(292)
    table = LENGTHS[version]
    relocation_table = table + 8 * count
    ends = relocation_table + 16 * relocation_count
    assert ends <= 4096
    assert not any(chunk[ends:4096])
    assert not any(chunk[4096 + size :])
    inflater = zlib.decompressobj()
    data = inflater.decompress(chunk[4096 : 4096 + size]) + inflater.flush()
    assert inflater.eof
    assert inflater.unused_data == b""
    regions: list[tuple[int, bytes]] = []
    position, begin = first - 1, 0
    for place in range(count):
        start, length = struct.unpack_from("<II", chunk, table + 8 * place)
        assert length > 0
        assert start > position  # what touches would be one region
        position = start + length
        regions.append((start, data[begin : begin + 512 * length]))
        begin += 512 * length
    assert begin == len(data)
    assert position <= last
    relocations = [
        struct.unpack_from("<IIII", chunk, relocation_table + 16 * place)
        for place in range(relocation_count)
    ]
    return CheckedChunk(index, total, size, first, last, regions, relocations)


def make_chunk(
    data: bytes,
    regions: Sequence[tuple[int, int]],
    *,
    version: int = 3,
    index: int = 0,
    total: int = 0,
    first: int | None = None,
    last: int | None = None,
    relocations: Sequence[tuple[int, int, int, int]] = (),
    uuid: bytes = b"",
    size: int | None = None,
    compressed: bytes | None = None,
    level: int = 6,
) -> bytes:
    """Write one chunk without checking anything."""
    stream = zlib.compress(data, level) if compressed is None else compressed
    if first is None:
        first = regions[0][0] if index else 0
    if last is None:
        last = regions[-1][0] + regions[-1][1]
    header = bytearray(4096)
    header[:4] = MAGIC[version]
    length = len(stream) if size is None else size
    struct.pack_into("<Iiiii", header, 4, length, index, total, 4096, len(regions))
    if version > 1:
        struct.pack_into("<IIi", header, 24, first, last, len(relocations))
    if version == 4:
        header[328:344] = uuid.ljust(16, b"\0")
    tables = b"".join(struct.pack("<II", *region) for region in regions)
    tables += b"".join(struct.pack("<IIII", *relocation) for relocation in relocations)
    header[LENGTHS[version] : LENGTHS[version] + len(tables)] = tables
    return (bytes(header) + stream).ljust(CHUNK, b"\0")
