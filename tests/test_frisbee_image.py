"""Whole images: what they cover, and what is wrong with them."""

import hashlib
import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaging.frisbee.errors import ImageError
from imaging.frisbee.image import ImageWalk, glance_image, inspect_image
from imaging.frisbee.ndz import (
    CHUNK_SIZE,
    HEADER_SIZE,
    ChunkHeader,
    Region,
    encode_header,
    parse_header,
)
from tests import ndz_samples
from tests.ndz_rules import make_chunk

Write = Callable[[bytes], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write an image to a file."""

    def write(data: bytes) -> Path:
        path = tmp_path / "x.ndz"
        path.write_bytes(data)
        return path

    return write


def three_chunks(version: int = 3, total: int = 0) -> list[bytes]:
    """An image of 30 sectors, 12 of them data, in three chunks."""
    parts = [((0, 4), 0, 10), ((10, 4), 10, 20), ((22, 4), 20, 30)]
    return [
        make_chunk(
            bytes([index]) * 2048,
            [region],
            version=version,
            index=index,
            total=total,
            first=first,
            last=last,
            uuid=b"u" * 16,
        )
        for index, (region, first, last) in enumerate(parts)
    ]


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("sample", ndz_samples.ALL, ids=lambda sample: str(sample.name))
def test_samples_are_well_formed(sample: ndz_samples.Sample, deep: bool, write: Write) -> None:
    path = write(sample.read())
    summary = inspect_image(path, deep=deep)
    assert summary.name == str(path)
    assert summary.size == path.stat().st_size
    assert summary.chunks == len(sample.regions)
    assert summary.versions == (sample.version,)
    assert summary.covered_bytes == sample.wrote
    assert summary.data_bytes == sample.decompressed
    assert summary.minimum_disk_size == sample.file[0]
    last = sample.covered[-1]
    assert summary.end_sector == (last[1] if last else sample.file[0] // 512)
    assert summary.sha256 == (sample.sha256 if deep else None)


def test_a_corrupt_image_shows_when_all_is_read(write: Write) -> None:
    path = write(ndz_samples.corrupt())
    assert inspect_image(path).chunks == 1
    with pytest.raises(ImageError) as caught:
        inspect_image(path, deep=True)
    assert str(caught.value) == f"inflate failed, err=-3 (chunk 0 of {path})"


def test_a_truncated_image_is_refused(write: Write) -> None:
    path = write(ndz_samples.truncated())
    with pytest.raises(ImageError) as caught:
        inspect_image(path)
    assert str(caught.value) == (
        f"the image is truncated: 251424 bytes of chunk 1 instead of 1048576 ({path})"
    )


def test_what_is_no_image_file_is_refused(tmp_path: Path, write: Write) -> None:
    with pytest.raises(ImageError, match=r"absent\.ndz: No such file or directory$"):
        inspect_image(tmp_path / "absent.ndz")
    with pytest.raises(ImageError, match=r"not a regular file$"):
        inspect_image(tmp_path)
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(ImageError, match=r"fifo: not a regular file$"):
        inspect_image(tmp_path / "fifo")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(ImageError, match="loop: Too many levels of symbolic links"):
        inspect_image(tmp_path / "loop")
    with pytest.raises(ImageError, match=r"the image is empty \(.*x\.ndz\)$"):
        inspect_image(write(b""))
    with pytest.raises(ImageError, match=r"Bad Magic Number! \(.*x\.ndz is not an image\)$"):
        inspect_image(write(bytes(CHUNK_SIZE)))


@pytest.mark.parametrize("version", [1, 2, 3, 4])
def test_three_chunks(version: int, write: Write) -> None:
    summary = inspect_image(write(b"".join(three_chunks(version, total=3))), deep=True)
    assert summary.chunks == 3
    assert summary.data_bytes == 12 * 512
    # version 1 does not know of the free space between chunks
    assert summary.covered_bytes == (12 if version == 1 else 30) * 512
    assert summary.end_sector == (26 if version == 1 else 30)
    assert summary.minimum_disk_size == 26 * 512
    assert summary.uuid == (b"u" * 16 if version == 4 else None)


@pytest.mark.parametrize(
    ("order", "words"),
    [
        ([1, 2], "numbered 1: chunks are missing (chunk 0 of"),
        ([0, 2], "numbered 2: chunks are missing (chunk 1 of"),
        ([0, 0, 1, 2], "numbered 0: chunks are missing (chunk 1 of"),
        ([0, 2, 1], "numbered 2: chunks are missing (chunk 1 of"),
        ([2, 1, 0], "numbered 2: chunks are missing (chunk 0 of"),
    ],
)
@pytest.mark.parametrize("version", [1, 3, 4])
def test_chunks_are_numbered_in_sequence(
    order: list[int], words: str, version: int, write: Write
) -> None:
    chunks = three_chunks(version)
    with pytest.raises(ImageError) as caught:
        inspect_image(write(b"".join(chunks[number] for number in order)))
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("order", "words"),
    [
        ([1, 2], "begins at sector 10 instead of 0: chunks are missing (chunk 0 of"),
        ([0, 2], "begins at sector 20 instead of 10: chunks are missing (chunk 1 of"),
        ([2, 0], "begins at sector 20 instead of 10: chunks are missing (chunk 0 of"),
        ([0, 1, 1, 2], "begins at sector 10 instead of 20: chunks overlap (chunk 2 of"),
        ([2, 1, 0, 1], "begins at sector 10 instead of 20: chunks overlap (chunk 3 of"),
    ],
)
def test_in_any_order_all_chunks_must_be_there(order: list[int], words: str) -> None:
    chunks = three_chunks()
    walk = ImageWalk("x", any_order=True)
    for number in order:
        walk.feed(chunks[number])
    with pytest.raises(ImageError) as caught:
        walk.finish()
    assert words in str(caught.value)


@given(st.permutations([0, 1, 2]), st.sampled_from([1, 2, 3, 4]))
def test_in_any_order_a_whole_image_is_accepted(order: list[int], version: int) -> None:
    chunks = three_chunks(version)
    walk = ImageWalk("x", any_order=True)
    for number in order:
        walk.feed(chunks[number])
    summary = walk.finish()
    assert (summary.chunks, summary.minimum_disk_size) == (3, 26 * 512)


def test_numbers_and_coverage_are_both_looked_at() -> None:
    walk = ImageWalk("x")
    walk.feed(make_chunk(bytes(512), [(0, 1)], last=5))
    with pytest.raises(ImageError, match="begins at sector 6 instead of 5"):
        walk.feed(make_chunk(bytes(512), [(7, 1)], index=1, first=6))
    with pytest.raises(ImageError, match="begins at sector 4 instead of 5: chunks overlap"):
        walk.feed(make_chunk(bytes(512), [(7, 1)], index=1, first=4))
    with pytest.raises(ImageError, match="sector 0 instead of 5: chunks overlap"):
        walk.feed(make_chunk(bytes(512), [(0, 1)], index=1, version=1))
    walk.feed(make_chunk(bytes(512), [(7, 1)], index=1, version=1))
    walk.feed(make_chunk(bytes(512), [(9, 1)], index=2, first=9, last=11))
    assert walk.finish().versions == (1, 3)
    assert (walk.chunks, walk.data_bytes, walk.covered_bytes) == (3, 3 * 512, 8 * 512)


def test_an_image_that_says_its_length_must_have_it(write: Write) -> None:
    chunks = three_chunks(1, total=3)
    with pytest.raises(ImageError, match="the image has 2 chunks, its headers say 3"):
        inspect_image(write(b"".join(chunks[:2])))
    with pytest.raises(ImageError, match="the image is empty"):
        ImageWalk("x").finish()


def test_all_chunks_have_one_uuid(write: Write) -> None:
    chunks = three_chunks(4)
    other = chunks[1][:328] + b"v" * 16 + chunks[1][344:]
    with pytest.raises(ImageError) as caught:
        inspect_image(write(chunks[0] + other + chunks[2]))
    assert str(caught.value).startswith(
        f"Incorrect Image ID in chunk 1: 0x{'76' * 16} instead of 0x{'75' * 16} (chunk 1 of"
    )
    with pytest.raises(ImageError, match="Incorrect Image ID in chunk 0: 0x7575"):
        ImageWalk("x", uuid=b"w" * 16).feed(chunks[0])


def sparse_image(path: Path, chunks: int, regions_each: int) -> None:
    """An image of which only the headers are really on the disk."""
    sector = 0
    with path.open("wb") as file:
        for index in range(chunks):
            regions = tuple(Region(sector + 2 * place, 1) for place in range(regions_each))
            header = ChunkHeader(3, 9999, index, 0, regions, sector, regions[-1].end)
            file.seek(index * CHUNK_SIZE)
            file.write(encode_header(header))
            sector = regions[-1].end
        file.truncate(chunks * CHUNK_SIZE)


def test_ten_gigabytes_are_checked_at_once(tmp_path: Path) -> None:
    path = tmp_path / "large.ndz"
    sparse_image(path, 10_000, 12)
    begin = time.process_time()
    summary = inspect_image(path)
    elapsed = time.process_time() - begin
    assert summary.chunks == 10_000
    assert summary.data_bytes == 10_000 * 12 * 512
    assert elapsed < 2  # 0.25 s on a quiet machine


@given(st.integers(0), st.binary(max_size=60))
def test_a_damaged_image_is_read_or_refused(seed: int, noise: bytes) -> None:
    chunks = [bytearray(chunk[:HEADER_SIZE]) for chunk in three_chunks()]
    generator = random.Random(seed)
    for value in noise:
        generator.choice(chunks)[generator.randrange(60)] = value
    walk = ImageWalk("x")
    try:
        headers = [walk.feed(chunk) for chunk in chunks]
        summary = walk.finish()
    except ImageError as error:
        assert "\n" not in str(error)
        return
    assert summary.end_sector == headers[-1].end
    assert summary.data_bytes <= summary.covered_bytes


def test_the_sha256_is_the_file_s(write: Write) -> None:
    data = b"".join(three_chunks())
    assert inspect_image(write(data), deep=True).sha256 == hashlib.sha256(data).hexdigest()
    assert parse_header(data).end == 10


@pytest.mark.parametrize("sample", ndz_samples.ALL, ids=lambda sample: sample.name)
def test_a_glance_sees_what_an_inspection_sees(sample: ndz_samples.Sample, write: Write) -> None:
    path = write(sample.read())
    glance, summary = glance_image(path), inspect_image(path)
    assert (glance.size, glance.chunks) == (summary.size, summary.chunks)
    assert glance.covered_bytes == summary.covered_bytes
    assert glance.minimum_disk_size == summary.minimum_disk_size


@pytest.mark.parametrize("version", [1, 2, 3, 4])
def test_a_glance_at_several_chunks(version: int, write: Write) -> None:
    path = write(b"".join(three_chunks(version, total=3)))
    glance, summary = glance_image(path), inspect_image(path)
    assert glance.minimum_disk_size == summary.minimum_disk_size
    assert glance.covered_bytes >= summary.covered_bytes
    assert version == 1 or glance.covered_bytes == summary.covered_bytes


def test_a_glance_at_what_is_no_image(write: Write, tmp_path: Path) -> None:
    one, two, three = three_chunks(total=3)
    other = make_chunk(
        bytes(2048), [(22, 4)], index=1, first=20, last=30, uuid=b"v" * 16, version=4
    )
    early = make_chunk(bytes(2048), [(5, 4)], index=1, first=5, last=30)
    for data, words in [
        (b"", "the image is empty"),
        (b"#!/bin/sh\n", "Bad Magic Number!"),
        (ndz_samples.truncated(), "truncated"),
        (one + three, "chunks are missing (chunk 1 of "),
        (two, "the chunk is numbered 1"),
        (one + two, "the image has 2 chunks, its headers say 3"),
        (one + bytes(CHUNK_SIZE), "Bad Magic Number! (chunk 1 of "),
        (three_chunks(4)[0] + other, "of another image"),
        (three_chunks()[0] + early, "chunks overlap"),
    ]:
        with pytest.raises(ImageError) as caught:
            glance_image(write(data))
        assert words in str(caught.value)
    with pytest.raises(ImageError, match="No such file"):
        glance_image(tmp_path / "absent")
    with pytest.raises(ImageError, match="not a regular file"):
        glance_image(tmp_path)


def test_a_glance_is_short_however_large_the_image(write: Write) -> None:
    one, _, three = three_chunks()
    path = write(one)
    last = bytearray(three)
    last[8:12] = (4095).to_bytes(4, "little")  # its index
    with path.open("r+b") as stream:
        stream.seek(4095 * CHUNK_SIZE)
        stream.write(last)
    started = time.process_time()
    assert glance_image(path).size == 4096 * CHUNK_SIZE
    assert time.process_time() - started < 0.1
