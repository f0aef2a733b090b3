"""One chunk: header and data."""

import hashlib
import os
import struct
import tracemalloc
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from isal import isal_zlib

from imaging.frisbee.errors import ImageError
from imaging.frisbee.ndz import (
    CHUNK_SIZE,
    HEADER_SIZE,
    MAX_COMPRESSED,
    PIECE_SIZE,
    ChunkHeader,
    Region,
    Relocation,
    encode_header,
    expand,
    inflate,
    inflate_pieces,
    parse_header,
)
from tests import ndz_samples
from tests.ndz_rules import make_chunk

UUID = bytes(range(16))


def patched(chunk: bytes, offset: int, data: bytes) -> bytes:
    """`chunk` with some bytes replaced."""
    return chunk[:offset] + data + chunk[offset + len(data) :]


def expanded(chunks: list[bytes]) -> bytes:
    """What chunks expand to in a new file."""
    disk = bytearray()
    for chunk in chunks:
        for offset, data in expand(chunk, parse_header(chunk)):
            disk.extend(bytes(max(offset + len(data) - len(disk), 0)))
            disk[offset : offset + len(data)] = data
    return bytes(disk)


@pytest.mark.parametrize("sample", ndz_samples.ALL, ids=lambda sample: str(sample.name))
def test_samples_read_as_their_writer_meant_them(sample: ndz_samples.Sample) -> None:
    chunks = sample.chunks
    assert len(chunks) == len(sample.regions)
    for number, chunk in enumerate(chunks):
        header = parse_header(chunk)
        assert header == parse_header(memoryview(chunk)[:HEADER_SIZE])
        assert header.version == sample.version
        assert header.compressed_size == sample.compressed_sizes[number]
        assert header.index == number
        assert tuple(map(tuple, header.regions)) == sample.regions[number]
        covered = sample.covered[number]
        assert (header.first_sector, header.last_sector) == (covered or (None, None))
        assert len(inflate(chunk, header)) == header.data_bytes
        assert encode_header(header) == chunk[:HEADER_SIZE]
    size, digest = sample.file
    disk = expanded(chunks)
    assert (len(disk), hashlib.sha256(disk).hexdigest()) == (size, digest)


def test_relocations_are_read_where_the_writer_puts_them() -> None:
    header = parse_header(ndz_samples.SHORT_V3.chunks[0])
    assert header.relocations == (Relocation(6, 1, 0, 488),)
    assert header.short_bytes == 0


def test_a_short_sector_counts_in_version_4_only() -> None:
    data = os.urandom(1000).ljust(1024, b"\0")
    relocations = [(6, 1, 0, 488)]
    short = make_chunk(data, [(0, 2)], version=4, relocations=relocations, uuid=UUID)
    assert expanded([short]) == data[:1000]
    assert expanded([make_chunk(data, [(0, 2)], version=3, relocations=relocations)]) == data
    elsewhere = make_chunk(data, [(0, 2)], version=4, relocations=[(6, 0, 0, 488)])
    assert expanded([elsewhere]) == data
    oversized = make_chunk(data, [(0, 2)], version=4, relocations=[(6, 1, 0, 4000)])
    assert expanded([oversized]) == data


GOOD = make_chunk(bytes(1536), [(3, 1), (5, 2)], first=0, last=9)


@pytest.mark.parametrize(
    ("chunk", "words"),
    [
        (b"", "truncated header: 0 bytes"),
        (GOOD[:4095], "truncated header: 4095 bytes"),
        (patched(GOOD, 0, b"hiii"), "Bad Magic Number!"),
        (patched(GOOD, 0, b"miii"), "Bad Magic Number!"),
        (patched(GOOD, 0, b"iiik"), "Bad Magic Number!"),
        (bytes(CHUNK_SIZE), "Bad Magic Number!"),
        (patched(GOOD, 4, struct.pack("<I", 0)), "compressed size 0"),
        (patched(GOOD, 4, struct.pack("<I", MAX_COMPRESSED + 1)), "compressed size 1044481"),
        (patched(GOOD, 4, b"\xff\xff\xff\xff"), "compressed size 4294967295"),
        (patched(GOOD, 20, struct.pack("<i", 0)), "0 regions"),
        (patched(GOOD, 20, struct.pack("<i", -1)), "-1 regions"),
        (patched(GOOD, 20, struct.pack("<i", 508)), "508 regions and 0 relocations do not fit"),
        (patched(GOOD, 20, struct.pack("<i", 1 << 30)), "do not fit"),
        (patched(GOOD, 32, struct.pack("<i", -1)), "-1 relocations"),
        (patched(GOOD, 32, struct.pack("<i", 253)), "do not fit"),
        (patched(GOOD, 24, struct.pack("<I", 4)), "sector 3 is out of order"),
        (patched(GOOD, 28, struct.pack("<I", 6)), "ends at sector 7, after the chunk's end 6"),
        (patched(GOOD, 28, struct.pack("<I", 0)), "after the chunk's end 0"),
        (patched(GOOD, 36 + 4, struct.pack("<I", 0)), "the region at sector 3 is empty"),
        (patched(GOOD, 36 + 4, struct.pack("<I", 2)), "sector 5 is out of order, overlaps or tou"),
        (patched(GOOD, 36 + 4, struct.pack("<I", 3)), "sector 5 is out of order"),
        (patched(GOOD, 36 + 8, struct.pack("<I", 1)), "sector 1 is out of order"),
        (patched(GOOD, 36 + 12, b"\xff\xff\xff\xff"), "after the chunk's end"),
    ],
)
def test_what_the_format_forbids_is_refused(chunk: bytes, words: str) -> None:
    assert parse_header(GOOD).regions == (Region(3, 1), Region(5, 2))
    with pytest.raises(ImageError, match=words):
        parse_header(chunk)


@pytest.mark.parametrize(("version", "capacity"), [(1, 509), (2, 507), (3, 507), (4, 469)])
def test_each_version_has_its_capacity(version: int, capacity: int) -> None:
    regions = [(2 * place, 1) for place in range(capacity)]
    data = os.urandom(512 * capacity)
    chunk = make_chunk(data, regions, version=version)
    assert inflate(chunk, parse_header(chunk)) == data
    with pytest.raises(ImageError, match="do not fit"):
        parse_header(patched(chunk, 20, struct.pack("<i", capacity + 1)))


@pytest.mark.parametrize(
    ("offset", "data"), [(8, b"\7\7\7\7"), (12, b"\1\0\0\0"), (16, bytes(4)), (-3, b"\1\2\3")]
)
def test_what_readers_ignore_is_ignored(offset: int, data: bytes) -> None:
    chunk = patched(GOOD, offset % CHUNK_SIZE, data)
    assert inflate(chunk, parse_header(chunk)) == bytes(1536)


DATA = os.urandom(1500) + bytes(36)
STREAM = zlib.compress(DATA)


@pytest.mark.parametrize(
    ("stream", "size", "words"),
    [
        (STREAM[:-1] + bytes([STREAM[-1] ^ 1]), None, "inflate failed, err=-3"),
        (STREAM[:700] + b"\xaa\xaa\xaa\xaa" + STREAM[704:], None, "inflate failed"),
        (STREAM[2:-4], None, "inflate failed, err=-3"),
        (zlib.compress(DATA, wbits=31), None, "inflate failed, err=-3"),
        (STREAM, len(STREAM) - 1, "ends too early"),
        (STREAM, 2, "ends too early"),
        (STREAM, len(STREAM) + 5, "ends 5 bytes before the size in the header"),
        (STREAM, MAX_COMPRESSED, "bytes before the size in the header"),
        (zlib.compress(DATA[:-1]), None, "1 bytes less than the regions hold"),
        (zlib.compress(DATA[:512]), None, "1024 bytes less than the regions hold"),
        (zlib.compress(DATA + b"1"), None, "more data than the regions hold"),
        (zlib.compress(b""), None, "1536 bytes less"),
        (bytes(100), None, "inflate failed"),
    ],
)
def test_a_damaged_stream_is_refused(stream: bytes, size: int | None, words: str) -> None:
    chunk = make_chunk(b"", [(0, 3)], compressed=stream, size=size)
    with pytest.raises(ImageError, match=words):
        inflate(chunk, parse_header(chunk))


def test_a_chunk_that_is_cut_is_refused() -> None:
    chunk = ndz_samples.RAW.chunks[0][:500000]
    with pytest.raises(ImageError, match="truncated chunk: 500000 bytes instead of 816385"):
        inflate(chunk, parse_header(chunk))


@pytest.mark.parametrize("flush", [None, zlib.Z_SYNC_FLUSH, zlib.Z_FULL_FLUSH])
@pytest.mark.parametrize("level", [0, 1, 6, 9])
def test_any_zlib_stream_is_read(level: int, flush: int | None) -> None:
    data = os.urandom(262144) + b"text " * 51200 + bytes(262144 - 256000 + 262144)
    deflater = zlib.compressobj(level)
    stream = b""
    for begin in range(0, len(data), 1 << 16):
        stream += deflater.compress(data[begin : begin + (1 << 16)])
        stream += b"" if flush is None else deflater.flush(flush)
    stream += deflater.flush()
    chunk = make_chunk(b"", [(0, len(data) // 512)], compressed=stream)
    assert inflate(chunk, parse_header(chunk)) == data


def _zeros(count: int) -> bytes:
    deflater = isal_zlib.compressobj(1)
    block = bytes(1 << 20)
    parts = [deflater.compress(block) for _ in range(count >> 20)]
    return b"".join([*parts, deflater.flush()])


@pytest.mark.parametrize("sectors", [1, 1 << 19, (1 << 20) - 1])
def test_a_bomb_does_not_explode(sectors: int) -> None:
    chunk = make_chunk(b"", [(0, sectors)], compressed=_zeros(1 << 29))
    lengths: list[int] = []

    def read() -> None:
        lengths.extend(map(len, inflate_pieces(chunk, parse_header(chunk))))

    tracemalloc.start()
    try:
        with pytest.raises(ImageError, match="more data than the regions hold"):
            read()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert max(lengths, default=0) <= PIECE_SIZE
    assert peak < 8 << 20


def test_a_chunk_of_half_a_gigabyte_expands_in_little_memory() -> None:
    size = 1 << 29
    chunk = make_chunk(b"", [(7, size // 512)], first=0, compressed=_zeros(size))
    position = 7 * 512
    tracemalloc.start()
    try:
        for offset, data in expand(chunk, parse_header(chunk)):
            assert offset == position
            position += len(data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert position == size + 7 * 512
    assert peak < 8 << 20


@st.composite
def headers(draw: st.DrawFn) -> ChunkHeader:
    """Any header that the format allows."""
    version = draw(st.integers(1, 4))
    relocations = draw(
        st.lists(st.builds(Relocation, *[st.integers(0, (1 << 32) - 1)] * 4), max_size=3)
        if version > 1
        else st.just([])
    )
    lengths = st.tuples(st.integers(1, 1 << 20), st.integers(1, 1 << 20))
    position = first = draw(st.integers(0, 1 << 20))
    regions: list[Region] = []
    for gap, count in draw(st.lists(lengths, min_size=1, max_size=40)):
        start = position + (gap if regions else gap - 1)
        regions.append(Region(start, count))
        position = start + count
    last = position + draw(st.integers(0, 1 << 20))
    return ChunkHeader(
        version=version,
        compressed_size=draw(st.integers(1, MAX_COMPRESSED)),
        index=draw(st.integers(0, (1 << 31) - 1)),
        total=draw(st.integers(0, (1 << 31) - 1)),
        regions=tuple(regions),
        first_sector=first if version > 1 else None,
        last_sector=last if version > 1 else None,
        relocations=tuple(relocations),
        uuid=draw(st.binary(min_size=16, max_size=16)) if version == 4 else None,
    )


@given(headers())
def test_a_header_comes_back_as_it_was_written(header: ChunkHeader) -> None:
    data = encode_header(header)
    assert len(data) == HEADER_SIZE
    assert parse_header(data) == header
    assert header.covered_bytes >= header.data_bytes


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"version": 5}, "no version 5"),
        ({"compressed_size": 0}, "compressed size 0"),
        ({"index": 1 << 31}, "cannot hold"),
        ({"regions": ()}, "0 regions"),
        ({"regions": (Region(0, 1), Region(1, 1))}, "touches"),
        ({"regions": (Region(-1, 1),)}, "out of order"),
        ({"last_sector": None}, "first and last sector"),
        ({"last_sector": 1 << 32}, "cannot hold"),
        ({"version": 1}, "first and last sector"),
        ({"relocations": (Relocation(1, 2, 3, -4),)}, "cannot hold"),
    ],
)
def test_a_header_that_the_format_forbids_is_not_written(
    changes: dict[str, object], words: str
) -> None:
    fields: dict[str, object] = {
        "version": 3,
        "compressed_size": 10,
        "index": 0,
        "total": 0,
        "regions": (Region(0, 1),),
        "first_sector": 0,
        "last_sector": 1,
    }
    assert parse_header(encode_header(ChunkHeader(**fields))).end == 1  # type: ignore[arg-type]
    with pytest.raises(ImageError, match=words):
        encode_header(ChunkHeader(**(fields | changes)))  # type: ignore[arg-type]


@given(st.binary(max_size=200), st.sampled_from([b"iiii", b"jiii", b"kiii", b"liii", b""]))
def test_random_headers_are_read_or_refused(data: bytes, magic: bytes) -> None:
    try:
        header = parse_header((magic + data).ljust(HEADER_SIZE, b"\0"))
    except ImageError:
        return
    assert 0 < header.compressed_size <= MAX_COMPRESSED
    assert header.start <= header.regions[0].start < header.regions[-1].end <= header.end


@settings(max_examples=300)
@given(st.lists(st.tuples(st.integers(0, 2200), st.integers(0, 255)), min_size=1, max_size=4))
def test_damaged_chunks_are_read_or_refused(changes: list[tuple[int, int]]) -> None:
    chunk = bytearray(make_chunk(DATA, [(3, 1), (5, 2)], first=0, last=9, version=3))
    for offset, value in changes:
        # half of the changes in the 60 bytes that matter of the header, half in the data
        chunk[offset if offset < 60 else HEADER_SIZE + offset - 60] = value
    try:
        header = parse_header(chunk)
        data = b"".join(bytes(piece.data) for piece in expand(chunk, header))
    except ImageError:
        return
    assert len(data) == header.data_bytes
