"""Images that we write, judged by the rules of the format and by what comes back."""

import os
import random
import threading
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from isal import isal_zlib

from imaging.frisbee.compress import ImageFormat, WrittenImage, write_image
from imaging.frisbee.disk import DiskWriter
from imaging.frisbee.errors import DiskError, ImageError
from imaging.frisbee.image import inspect_image
from imaging.frisbee.ndz import CHUNK_SIZE, MAX_COMPRESSED, Region
from tests.ndz_rules import Checked, check_image

UUID = bytes.fromhex("00112233445566778899aabbccddeeff")


def write(
    disk: bytes,
    regions: list[tuple[int, int]],
    *,
    end: int | None = None,
    base: int = 0,
    image_format: ImageFormat | None = None,
    progress: list[int] | None = None,
    threads: int | None = None,
) -> tuple[bytes, WrittenImage]:
    """Write an image of some sectors of `disk`."""
    source, out = os.memfd_create("disk"), os.memfd_create("image")
    try:
        os.pwrite(source, disk, 0)
        written = write_image(
            source,
            out,
            regions=[Region(*region) for region in regions],
            end_sector=sum(regions[-1]) if end is None else end,
            base=base,
            image_format=image_format,
            progress=(progress if progress is not None else []).append,
            threads=threads,
        )
        return os.pread(out, 1 << 30, 0), written
    finally:
        os.close(source)
        os.close(out)


def expand(image: bytes) -> bytes:
    """Expand an image with our own reader, to a new file."""
    fd = os.memfd_create("disk")
    try:
        writer = DiskWriter(fd, name="disk")
        for begin in range(0, len(image), CHUNK_SIZE):
            writer.write_chunk(image[begin : begin + CHUNK_SIZE])
        return os.pread(fd, 1 << 30, 0)
    finally:
        os.close(fd)


def agree(disk: bytes, image: bytes, regions: list[tuple[int, int]], base: int = 0) -> Checked:
    """Assert that an image keeps the rules and holds these regions of `disk`, and no more."""
    checked = check_image(image)
    expected = bytearray(sum(regions[-1]) * 512)
    for start, count in regions:
        place = slice(start * 512, (start + count) * 512)
        expected[place] = disk[(base + start) * 512 : (base + start + count) * 512]
    assert checked.expanded() == bytes(expected)
    assert expand(image) == bytes(expected)
    saved = {sector for start, count in regions for sector in range(start, start + count)}
    assert checked.saved() == saved
    return checked


def mixed(sectors: int, seed: int = 1) -> bytes:
    """Sectors of text, noise and zeros in stretches of all lengths."""
    generator = random.Random(seed)
    data = bytearray()
    words = [generator.randbytes(generator.randint(2, 9)).hex().encode() for _ in range(300)]
    while len(data) < sectors * 512:
        length = generator.randint(1, 1 << generator.randint(6, 18))
        kind = generator.randrange(3)
        if kind == 0:
            data += generator.randbytes(length)
        elif kind == 1:
            data += b" ".join(generator.choices(words, k=length // 10 + 1))
        else:
            data += bytes(length)
    return bytes(data[: sectors * 512])


@pytest.fixture(scope="module")
def disk() -> bytes:
    """A disk of 12 MB that makes an image of several chunks."""
    return mixed(24_000)


@pytest.mark.parametrize("level", range(10))
def test_every_level_keeps_the_rules(level: int, disk: bytes) -> None:
    progress: list[int] = []
    image, written = write(
        disk, [(0, 24_000)], image_format=ImageFormat(level=level), progress=progress
    )
    checked = agree(disk, image, [(0, 24_000)])
    assert checked.version == 3
    assert written.size == len(image)
    assert (written.chunks, written.input_end, written.data_bytes) == (
        len(checked.fill),
        24_000 * 512,
        24_000 * 512,
    )
    # all but the last are full
    assert min(checked.fill[:-1]) > MAX_COMPRESSED * 0.98
    assert len(progress) == written.chunks - 1
    assert progress == sorted(set(progress))


@pytest.mark.parametrize(
    ("level", "whole"),
    [
        (1, lambda data: isal_zlib.compress(data, 1)),
        (4, lambda data: isal_zlib.compress(data, 3)),
        (4, lambda data: zlib.compress(data, 1)),
        (6, lambda data: zlib.compress(data, 6)),
        (9, lambda data: zlib.compress(data, 9)),
    ],
)
def test_an_image_is_hardly_larger_than_one_stream(
    level: int, whole: Callable[[bytes], bytes], disk: bytes
) -> None:
    image, _ = write(disk, [(0, 24_000)], image_format=ImageFormat(level=level))
    compressed = sum(check_image(image).fill)
    assert compressed < len(whole(disk)) * 1.05


def test_higher_levels_make_smaller_images(disk: bytes) -> None:
    sizes = []
    for level in (0, 1, 4, 9):
        image, _ = write(disk, [(0, 24_000)], image_format=ImageFormat(level=level))
        sizes.append(sum(check_image(image).fill))
    assert sizes == sorted(sizes, reverse=True)


def test_the_same_disk_gives_the_same_image(disk: bytes) -> None:
    assert write(disk, [(0, 9000)]) == write(disk, [(0, 9000)])


def test_the_number_of_threads_makes_no_difference(disk: bytes) -> None:
    regions = [(0, 9000), (9003, 40), (9100, 5), (9110, 12_000)]
    assert len({write(disk, regions, threads=threads)[0] for threads in (1, 2, 5)}) == 1


def test_no_thread_stays_after_an_error() -> None:
    source = os.memfd_create("disk")
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        os.truncate(source, 64 << 20)
        with pytest.raises(DiskError, match="chunk write"):
            write_image(
                source,
                full,
                regions=[Region(0, 131_072)],
                end_sector=131_072,
                image_format=ImageFormat(level=0),
            )
        assert not [each for each in threading.enumerate() if each.name.startswith("imagezip")]
    finally:
        os.close(source)
        os.close(full)


def test_a_disk_that_ends_too_early_costs_no_chunk_before() -> None:
    progress: list[int] = []
    noise = random.Random(1).randbytes(5 << 20)
    with pytest.raises(DiskError, match="too early"):
        write(noise, [(0, 20_000)], progress=progress)
    assert len(progress) >= 2


def test_zeros_can_be_left_out() -> None:
    data = bytes(512 * 300) + mixed(300) + bytes(512 * 900) + mixed(77)
    image, written = write(
        data, [(0, 1577)], image_format=ImageFormat(leave_out_zeros=True), end=1577
    )
    checked = check_image(image)
    assert checked.expanded() == data
    assert written.data_bytes < 600 * 512
    with pytest.raises(ImageError, match="there is nothing to save"):
        write(bytes(1 << 20), [(0, 2048)], image_format=ImageFormat(leave_out_zeros=True))


@pytest.mark.parametrize("level", [0, 1, 4, 6])
def test_noise_fits(level: int) -> None:
    noise = random.Random(level).randbytes(512 * 9000)
    image, _ = write(noise, [(0, 9000)], image_format=ImageFormat(level=level))
    checked = agree(noise, image, [(0, 9000)])
    assert len(checked.fill) == 5


def test_zeros_are_data() -> None:
    zeros = bytes(512 * 100_000)
    image, written = write(zeros, [(0, 100_000)])
    assert written.chunks == 1
    assert agree(zeros, image, [(0, 100_000)]).fill[0] < 400_000


@pytest.mark.parametrize("version", [1, 3, 4])
def test_versions(version: int, disk: bytes) -> None:
    regions = [(3, 9000), (9100, 1), (9200, 6000)]
    chosen = ImageFormat(version=version, uuid=UUID if version == 4 else None)
    image, written = write(disk, regions, end=20_000, image_format=chosen)
    checked = agree(disk, image, regions)
    assert checked.version == version
    assert checked.end == (None if version == 1 else 20_000)
    assert checked.total == (written.chunks if version == 1 else 0)
    assert image[328:344] == (UUID if version == 4 else bytes(16))


@pytest.mark.parametrize("version", [1, 3, 4])
@pytest.mark.parametrize("count", [468, 469, 470, 938, 939, 1500])
def test_a_chunk_has_469_regions_at_most(count: int, version: int) -> None:
    noise = random.Random(count).randbytes(512 * 2 * count)
    regions = [(2 * place + 1, 1) for place in range(count)]
    chosen = ImageFormat(version=version, uuid=UUID if version == 4 else None)
    image, written = write(noise, regions, end=2 * count + 100, image_format=chosen)
    checked = agree(noise, image, regions)
    assert written.chunks == -(-count // 469)
    assert checked.chunk_regions[:-1] == [469] * (written.chunks - 1)


def test_regions_that_touch_are_joined(disk: bytes) -> None:
    image, _ = write(disk, [(0, 5), (5, 5), (11, 2), (13, 1)])
    assert agree(disk, image, [(0, 10), (11, 3)]).chunk_regions == [2]


def test_an_image_of_a_part_of_a_disk(disk: bytes) -> None:
    image, written = write(disk, [(0, 10), (20, 30)], end=60, base=700)
    checked = agree(disk, image, [(0, 10), (20, 30)], base=700)
    assert checked.end == 60
    assert written.input_end == (700 + 50) * 512
    assert written.data_bytes == 40 * 512


@pytest.mark.parametrize("version", [1, 3, 4])
@pytest.mark.parametrize("relocations", [False, True])
def test_a_file_of_odd_length(version: int, relocations: bool) -> None:
    data = random.Random(5).randbytes(1000)
    chosen = ImageFormat(
        version=version,
        uuid=UUID if version == 4 else None,
        short_bytes=24,
        relocations=relocations,
    )
    image, _ = write(data, [(0, 2)], image_format=chosen)
    checked = check_image(image, max_regions=467)
    assert checked.expanded() == data + bytes(24)
    told = relocations and version > 1
    assert checked.relocations == ([(6, 1, 0, 488)] if told else [])
    # as the C tools: only in version 4 the relocation is seen
    assert expand(image) == (data if told and version == 4 else data + bytes(24))


def test_room_is_left_for_the_relocation() -> None:
    noise = random.Random(2).randbytes(512 * 938 - 12)
    regions = [(2 * place + 1, 1) for place in range(469)]
    image, written = write(noise, regions, image_format=ImageFormat(short_bytes=12))
    assert written.chunks == 2
    assert check_image(image, max_regions=467).relocations == [(6, 937, 0, 500)]


def test_a_disk_that_ends_too_early() -> None:
    with pytest.raises(DiskError, match="reading input file: it ends at byte 5120, too early"):
        write(bytes(5120), [(0, 20)])
    with pytest.raises(DiskError, match="reading input file: it ends at byte 5200, too early"):
        write(bytes(5200), [(0, 11)])


def test_nothing_makes_no_image() -> None:
    source = os.memfd_create("disk")
    try:
        with pytest.raises(ImageError, match="there is nothing to save"):
            write_image(source, 2, regions=[], end_sector=5)
    finally:
        os.close(source)


def test_a_source_that_cannot_be_read(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    try:
        with pytest.raises(DiskError, match="reading input file: Is a directory"):
            write_image(fd, 2, regions=[Region(0, 1)], end_sector=1)
    finally:
        os.close(fd)


def test_an_output_that_cannot_be_written(tmp_path: Path) -> None:
    source = os.memfd_create("disk")
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        os.pwrite(source, bytes(512), 0)
        with pytest.raises(DiskError, match="chunk write: No space left on device"):
            write_image(source, full, regions=[Region(0, 1)], end_sector=1)
    finally:
        os.close(source)
        os.close(full)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 900), st.integers(1, 3000)), min_size=1, max_size=30),
    st.integers(0, 100),
    st.integers(0, 9),
    st.sampled_from([1, 3, 4]),
    st.integers(0),
)
def test_what_is_written_comes_back(
    layout: list[tuple[int, int]], tail: int, level: int, version: int, seed: int
) -> None:
    regions, position = [], -1
    for gap, count in layout:
        regions.append((position + gap, count))
        position += gap + count
    disk = mixed(position, seed)
    chosen = ImageFormat(level=level, version=version, uuid=UUID if version == 4 else None)
    image, written = write(disk, regions, end=position + tail, image_format=chosen)
    agree(disk, image, regions)
    assert written.data_bytes == 512 * sum(count for _, count in regions)
    assert written.input_end == position * 512


def test_an_image_in_a_file_is_well_formed(tmp_path: Path, disk: bytes) -> None:
    image, written = write(disk, [(0, 20_000)], end=23_000, image_format=ImageFormat(version=1))
    path = tmp_path / "x.ndz"
    path.write_bytes(image)
    summary = inspect_image(path, deep=True)
    assert summary.chunks == written.chunks
    assert summary.minimum_disk_size == summary.data_bytes == 20_000 * 512
