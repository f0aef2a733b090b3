"""The free space of ext file systems, as e2fsprogs makes, checks and describes them."""

import os
import random
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imaging.frisbee.disklayout.checksums import crc32c
from imaging.frisbee.disklayout.ext import read_free
from imaging.frisbee.disklayout.label import LayoutError
from imaging.frisbee.disklayout.stretches import Findings
from tests.ext_images import MISSING, REASON, contents, free_blocks, make_ext, run

pytestmark = pytest.mark.skipif(bool(MISSING), reason=REASON)

MIB = 1 << 20

FEATURES = [
    (),
    ("-b1024",),
    ("-b2048",),
    ("-b4096",),
    ("-O^64bit",),
    ("-b1024", "-O^metadata_csum,uninit_bg"),
    ("-O^metadata_csum,^uninit_bg,^64bit",),
    ("-Ometa_bg,^resize_inode",),
    ("-b1024", "-g1024", "-Ometa_bg,^resize_inode"),
    ("-b1024", "-g512", "-Ometa_bg,^resize_inode,^flex_bg,^64bit"),
    ("-Obigalloc",),
    ("-b1024", "-C8192", "-Obigalloc"),
    ("-b1024", "-g1024", "-Osparse_super2"),
    ("-b1024", "-g1024", "-Osparse_super2", "-Enum_backup_sb=1"),
    ("-b1024", "-g1024", "-O^sparse_super,^resize_inode"),
    ("-b1024", "-O^flex_bg"),
    ("-b1024", "-g2048", "-G4"),
    ("-b1024", "-Epacked_meta_blocks=1"),
    ("-Oquota,project,encrypt,verity,inline_data,ea_inode,large_dir,metadata_csum_seed",),
    ("-I128", "-N3000", "-m0"),
    ("-text3",),
    ("-text2", "-b1024"),
    ("-text2", "-r0", "-b1024", "-g2048"),
]


def read(path: Path, minimum: int = 1, size: int | None = None) -> Findings:
    """The free space of the file system in a file."""
    with path.open("rb") as file:

        def read_at(offset: int, length: int) -> bytes:
            assert offset >= 0
            data = os.pread(file.fileno(), length, offset)
            if len(data) < length:
                raise LayoutError("points outside")
            return data

        return read_free(read_at, path.stat().st_size if size is None else size, minimum)


def sectors(free: Findings) -> set[int]:
    return {sector for first, last in free.free for sector in range(first, last)}


@pytest.mark.parametrize("options", FEATURES, ids=lambda options: " ".join(options) or "default")
def test_the_free_blocks_are_those_of_e2fsprogs(options: tuple[str, ...], tmp_path: Path) -> None:
    """With garbage in all free space the file system is in order, and its files are the same."""
    path = tmp_path / "fs"
    make_ext(path, 24 * MIB + 3072, *options)
    found = read(path)
    size, free = free_blocks(path)
    wanted = {block * size // 512 + part for block in free for part in range(size // 512)}
    assert sectors(found) == wanted
    assert len(wanted) > 10_000
    before = contents(path)
    assert len(before) > 30
    with path.open("r+b") as file:
        for first, last in found.free:
            file.seek(first * 512)
            file.write(b"\xa5" * (last - first) * 512)
    run("e2fsck", "-fn", path)
    assert contents(path) == before


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A file system with checksums, in several groups."""
    path = tmp_path_factory.mktemp("ext") / "fs"
    make_ext(path, 8 * MIB, "-b1024", "-g1024")
    return path.read_bytes()


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A file system without checksums, in several groups."""
    path = tmp_path_factory.mktemp("ext") / "fs"
    make_ext(path, 8 * MIB, "-b1024", "-g1024", "-O^metadata_csum,^uninit_bg,^64bit")
    return path.read_bytes()


def check(data: bytes | bytearray, size: int | None = None) -> Findings:
    """Read a file system in memory."""

    def read_at(offset: int, length: int) -> bytes:
        assert 0 <= length <= 64 * MIB
        if not 0 <= offset <= offset + length <= len(data):
            raise LayoutError("points outside")
        return bytes(data[offset : offset + length])

    return read_free(read_at, len(data) if size is None else size, 1)


def with_superblock(data: bytes, change: Callable[[bytearray], None]) -> bytearray:
    """A file system with another superblock, whose checksum is right."""
    changed = bytearray(data)
    superblock = changed[1024:2048]
    change(superblock)
    superblock[0x3FC:] = crc32c(bytes(superblock[:0x3FC])).to_bytes(4, "little")
    changed[1024:2048] = superblock
    return changed


def setting(offset: int, value: int, form: str = "<I") -> Callable[[bytearray], None]:
    def change(superblock: bytearray) -> None:
        struct.pack_into(form, superblock, offset, value)

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (setting(0x60, 0x2C6), "is ext4 that is mounted or needs its journal"),
        (setting(0x3A, 0, "<H"), "is ext4 that was not unmounted cleanly"),
        (setting(0x3A, 3, "<H"), "is ext4 with errors"),
        (setting(0x3A, 5, "<H"), "is ext4 that was not unmounted cleanly"),
        (setting(0xE8, 12), "with deleted files that are still to be freed"),
        (setting(0x60, 0x12C2), "features that are not known (incompat 0x1000)"),
        (setting(0x64, 0x4000046B), "features that are not known (ro_compat 0x40000000)"),
        (setting(0x5C, 0x8000003C), "features that are not known (compat 0x80000000)"),
        (setting(0x4C, 2), "of a version that is not known"),
        (setting(0x38, 0, "<H"), "of a version that is not known"),
        (setting(0x04, 9000), "is ext4 larger than the partition"),
        (setting(0x0C, 77), "whose number of free blocks is wrong"),
        (setting(0x20, 1000), ""),
        (setting(0x20, 512), ""),
        (setting(0x18, 31), "sizes that do not go together"),
        (setting(0x14, 0), "sizes that do not go together"),
        (setting(0xFE, 48, "<H"), "sizes that do not go together"),
        (setting(0x175, 2, "B"), "a wrong checksum in its superblock"),
        (setting(0x68, 1), "a wrong checksum in its descriptors"),
    ],
)
def test_what_is_not_in_order_is_refused(
    good: bytes, change: Callable[[bytearray], None], words: str
) -> None:
    with pytest.raises(LayoutError) as caught:
        check(with_superblock(good, change))
    assert words in caught.value.message


def test_a_flipped_bit_in_the_metadata_is_seen(good: bytes) -> None:
    size, _ = 1024, check(good)
    generator = random.Random(1)
    bitmaps = struct.unpack_from("<I", good, 2 * size)[0]
    for place in (1024 + 0x10, 1024 + 0x300, 2 * size + 12, 2 * size + 64, bitmaps * size + 5):
        changed = bytearray(good)
        changed[place] ^= 1 << generator.randrange(8)
        with pytest.raises(LayoutError):
            check(changed)


def test_without_checksums_the_counts_must_agree(plain: bytes) -> None:
    bitmap = struct.unpack_from("<I", plain, 2048)[0] * 1024
    changed = bytearray(plain)
    changed[bitmap] ^= 1
    with pytest.raises(LayoutError, match="bitmap of group 0 is not in order"):
        check(changed)
    changed = bytearray(plain)
    changed[bitmap : bitmap + 128] = bytes(128)
    with pytest.raises(LayoutError, match="bitmap of group 0 is not in order"):
        check(changed)


def test_more_groups_than_there_can_be_are_refused(good: bytes) -> None:
    with pytest.raises(LayoutError, match="is ext4 with more than 131072 block groups"):
        check(with_superblock(good, setting(0x04, 0x0FFFFFFF)), size=1 << 50)


def test_metadata_must_be_inside(plain: bytes) -> None:
    changed = bytearray(plain)
    struct.pack_into("<I", changed, 2048, 1 << 30)
    with pytest.raises(LayoutError, match="is ext4 with metadata outside itself"):
        check(changed)


def test_metadata_must_be_marked_as_used(plain: bytes) -> None:
    """The counts agree, but a copy of the superblock is free, and something else is not."""
    group = next(
        number
        for number in (1, 3, 5, 7)
        if struct.unpack_from("<H", plain, 2048 + 32 * number + 12)[0]
    )
    bitmap = struct.unpack_from("<I", plain, 2048 + 32 * group)[0] * 1024
    changed = bytearray(plain)
    bits = int.from_bytes(changed[bitmap : bitmap + 128], "little")
    free = next(bit for bit in range(1024) if not bits >> bit & 1)
    changed[bitmap : bitmap + 128] = (bits ^ 1 ^ 1 << free).to_bytes(128, "little")
    with pytest.raises(LayoutError, match=f"bitmap of group {group} is not in order"):
        check(changed)


def test_short_stretches_do_not_matter(good: bytes, tmp_path: Path) -> None:
    (tmp_path / "fs").write_bytes(good)
    every = read(tmp_path / "fs").free
    assert read(tmp_path / "fs", minimum=100).free == tuple(
        stretch for stretch in every if stretch[1] - stretch[0] >= 100
    )


def changes() -> Iterator[st.SearchStrategy[tuple[int, bytes]]]:
    """Bytes to put at some place of the metadata."""
    for begin, end in ((1024, 1024 + 0x180), (1024 + 0x240, 2048), (2048, 3072), (3072, 300_000)):
        yield st.tuples(st.integers(begin, end), st.binary(min_size=1, max_size=8))


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.one_of(*changes()), min_size=1, max_size=6), st.booleans(), st.booleans())
def test_any_file_system_is_read_or_refused(
    good: bytes,
    plain: bytes,
    places: list[tuple[int, bytes]],
    has_checksums: bool,
    is_short: bool,
) -> None:
    original = good if has_checksums else plain
    changed = bytearray(original)
    for place, data in places:
        changed[place : place + len(data)] = data
    if has_checksums:
        changed = with_superblock(bytes(changed), lambda _superblock: None)
    try:
        found = check(changed[: len(changed) // 2 if is_short else None])
    except LayoutError:
        return
    assert sectors(found) <= set(range(2, len(changed) // 512))


@given(st.binary(min_size=1024, max_size=1024), st.integers(0, 6))
def test_any_superblock_is_read_or_refused(data: bytes, log: int) -> None:
    superblock = bytearray(data)
    superblock[0x38:0x3C] = b"\x53\xef\x01\x00"
    superblock[0x18:0x1C] = log.to_bytes(4, "little")
    superblock[0x4C:0x50] = (data[0] & 1).to_bytes(4, "little")
    with pytest.raises(LayoutError):
        check(bytes(1024) + bytes(superblock) + bytes(64 << 10), 1 << 40)
