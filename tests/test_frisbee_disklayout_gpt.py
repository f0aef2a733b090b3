"""GUID partition tables: good ones, broken ones, and anything at all."""

import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaging.frisbee.disklayout.gpt import has_gpt, read_label
from imaging.frisbee.disklayout.label import Kind, Label, LabelError
from imaging.frisbee.errors import DiskError
from tests.disk_images import LINUX_DATA, LINUX_LVM, LINUX_SWAP, gpt, put, table

SECTORS = 20_000
PARTITIONS = [(LINUX_DATA, 2048, 4095), (LINUX_SWAP, 4096, 6143), (LINUX_LVM, 8192, 9999)]


def disk() -> bytearray:
    """A disk with three partitions."""
    return put(bytearray(SECTORS * 512), gpt(SECTORS, PARTITIONS))


def label_of(data: bytes | bytearray, sectors: int | None = None) -> Label:
    """Read the label of a disk."""

    def read(offset: int, length: int) -> bytes:
        assert 0 <= length <= 1 << 20
        if not 0 <= offset <= offset + length <= len(data):
            raise DiskError("reading input file: outside")
        return bytes(data[offset : offset + length])

    return read_label(read, len(data) // 512 if sectors is None else sectors)


def numbers(label: Label) -> list[tuple[int, Kind, int, int]]:
    """The partitions."""
    return [(each.number, each.kind, each.start, each.end) for each in label.partitions]


FOUND = [(1, Kind.FILES, 2048, 4096), (2, Kind.SWAP, 4096, 6144), (3, Kind.OTHER, 8192, 10_000)]


def test_a_good_table() -> None:
    label = label_of(disk())
    assert numbers(label) == FOUND
    assert label.tail == (SECTORS - 33, SECTORS)
    assert label.notes == ()
    assert label.end == 0


@pytest.mark.parametrize("entries", [4, 128, 1024])
def test_tables_of_any_size(entries: int) -> None:
    data = put(bytearray(SECTORS * 512), gpt(SECTORS, PARTITIONS, entries))
    assert numbers(label_of(data)) == FOUND


@pytest.mark.parametrize(
    ("place", "words"),
    [
        (512, "sector 1 is no header"),
        (512 + 40, "the checksum of its header is wrong"),
        (1024 + 32, "the checksum of its entries is wrong"),
        (1024 + 128 * 127, "the checksum of its entries is wrong"),
    ],
)
def test_the_backup_is_read_when_the_table_is_broken(place: int, words: str) -> None:
    data = disk()
    data[place] ^= 0xFF
    label = label_of(data)
    assert numbers(label) == FOUND
    assert label.tail == (SECTORS - 33, SECTORS)
    assert label.notes == (f"  The GPT is broken ({words}): its backup tells the partitions.",)


def test_two_broken_tables_are_refused() -> None:
    data = disk()
    data[520] ^= 1
    data[-500] ^= 1
    with pytest.raises(LabelError, match="the GPT is broken .* and so is its backup .*use -r"):
        label_of(data)


def test_a_broken_backup_does_no_harm() -> None:
    data = disk()
    data[-512:] = bytes(512)
    assert numbers(label_of(data)) == FOUND


def test_a_disk_that_has_grown_keeps_its_backup_where_it_is() -> None:
    label = label_of(disk() + bytearray(512 * 5000))
    assert label.tail == (SECTORS - 33, SECTORS)


def test_a_disk_that_has_lost_its_end() -> None:
    label = label_of(disk()[: 512 * (SECTORS - 1)])
    assert numbers(label) == FOUND
    assert label.tail is None
    assert label.notes == ("  The GPT has no backup at the end of this disk.",)
    with pytest.raises(LabelError, match="places make no sense on this disk"):
        label_of(disk()[: 512 * 9000])


def test_larger_sectors_are_refused() -> None:
    data = bytearray(SECTORS * 512)
    data[:512] = table([(0xEE, 1, 99), None, None, None])
    data[4096:4104] = b"EFI PART"
    with pytest.raises(LabelError, match="counts in sectors of 4096 bytes"):
        label_of(data)


def test_partitions_of_a_hybrid_label_are_kept() -> None:
    data = disk()
    data[:512] = table([(0xEE, 1, 1000), (0x83, 12_000, 500), None, None])
    assert label_of(data).end == 12_500


@pytest.mark.parametrize(
    ("first", "last"), [(33, 100), (2048, SECTORS - 34 + 1), (100, 99), (1 << 40, (1 << 40) + 5)]
)
def test_partitions_lie_where_they_may(first: int, last: int) -> None:
    data = put(bytearray(SECTORS * 512), gpt(SECTORS, [(LINUX_DATA, first, last)]))
    with pytest.raises(LabelError, match="partition 1 lies outside the space for partitions"):
        label_of(data)


def test_a_dos_label_is_no_gpt() -> None:
    def read(offset: int, length: int) -> bytes:
        return table([(0x83, 1, 100), None, None, None])

    assert not has_gpt(read)


header_fields = st.tuples(
    st.sampled_from([91, 92, 93, 512, 513, 1 << 31]),
    *[st.integers(0, 1 << 64 - 1) | st.sampled_from([0, 1, 2, 34, 99, 19_999, 20_000])] * 5,
    st.sampled_from([0, 1, 4, 128, 8192, 8193, 0xFFFFFFFF]),
    st.sampled_from([0, 127, 128, 129, 136, 4096, 0xFFFFFFFF]),
)


@given(header_fields, st.lists(st.binary(min_size=48, max_size=48), max_size=4), st.booleans())
def test_any_header_is_read_or_refused(
    fields: tuple[int, ...], entries: list[bytes], is_backup: bool
) -> None:
    """All checksums right, everything else wrong."""
    size, own, other, first, last, array, count, entry_size = fields
    place = SECTORS - 1 if is_backup else 1
    data = bytearray(SECTORS * 512)
    data[:512] = table([(0xEE, 1, 99), None, None, None])
    for index, entry in enumerate(entries):
        data[1024 + 128 * index : 1024 + 128 * index + 48] = entry
    length = min(count * entry_size, 1 << 20)
    array_data = bytes(data[array * 512 : array * 512 + length])
    body = struct.pack(
        "<QQQQ16sQII",
        own % 2**64,
        other % 2**64,
        first % 2**64,
        last % 2**64,
        b"",
        array % 2**64,
        count,
        entry_size,
    ) + struct.pack("<I", zlib.crc32(array_data))
    start = struct.pack("<8sII", b"EFI PART", 0x10000, size)
    whole = (start + bytes(8) + body).ljust(512, b"\0")
    checksum = zlib.crc32(whole[:size])
    data[place * 512 : place * 512 + 512] = whole[:16] + struct.pack("<I", checksum) + whole[20:]
    try:
        label = label_of(data)
    except LabelError:
        return
    assert all(0 < each.start < each.end <= SECTORS for each in label.partitions)
    assert label.tail is None or 0 < label.tail[0] < label.tail[1] <= SECTORS


@given(st.binary(max_size=2048))
def test_any_disk_is_read_or_refused(data: bytes) -> None:
    beginning = table([(0xEE, 1, 99), None, None, None])
    with pytest.raises((LabelError, DiskError)):
        label_of(beginning + data.ljust(64 << 10, b"\0"))


@pytest.mark.parametrize(
    ("offset", "form", "value", "words"),
    [
        (12, "<I", 4, "a header cannot be 4 bytes long"),
        (24, "<Q", 7, "its header is meant for sector 7, not 1"),
        (84, "<I", 100, "128 entries of 100 bytes are not possible"),
        (88, "<I", 1, "the checksum of its entries is wrong"),
    ],
)
def test_what_is_broken_is_told(offset: int, form: str, value: int, words: str) -> None:
    data = disk()
    struct.pack_into(form, data, 512 + offset, value)
    struct.pack_into("<I", data, 512 + 16, 0)
    struct.pack_into("<I", data, 512 + 16, zlib.crc32(data[512 : 512 + 92]))
    data[-500] ^= 1
    with pytest.raises(LabelError, match=rf"the GPT is broken \({words}\), and so is its backup"):
        label_of(data)
