"""Chunks on real files, pipes and full devices."""

import hashlib
import os
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaging.frisbee.disk import DiskWriter, open_output
from imaging.frisbee.errors import DiskError
from imaging.frisbee.marks import Covered
from tests import ndz_samples
from tests.ndz_rules import make_chunk


@contextmanager
def opened(path: Path, *, as_disk: bool = False) -> Iterator[tuple[int, int | None]]:
    """The output at `path`, as the commands open it."""
    fd, fixed_size = open_output(str(path), as_disk=as_disk)
    try:
        yield fd, fixed_size
    finally:
        os.close(fd)


def write_to(path: Path, chunks: list[bytes], *, zero_fill: bool = False) -> DiskWriter:
    """Write chunks to a new file."""
    with opened(path) as (fd, _):
        writer = DiskWriter(fd, zero_fill=zero_fill, name=str(path))
        for chunk in chunks:
            writer.write_chunk(chunk)
        writer.finish()
    return writer


def through_pipe(write: Callable[[int], None]) -> bytes:
    """What a reader gets out of the pipe that `write` writes to."""
    source, sink = os.pipe()
    received: list[bytes] = []

    def read() -> None:
        with open(source, "rb") as file:
            received.append(file.read())

    reader = threading.Thread(target=read)
    reader.start()
    try:
        write(sink)
    finally:
        os.close(sink)
        reader.join()
    return received[0]


def digest(path: Path) -> tuple[int, str]:
    """Size and sha256 of a file."""
    data = path.read_bytes()
    return len(data), hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("sample", ndz_samples.ALL, ids=lambda sample: str(sample.name))
def test_samples_to_a_file(sample: ndz_samples.Sample, tmp_path: Path) -> None:
    path = tmp_path / "disk"
    writer = write_to(path, sample.chunks)
    assert digest(path) == sample.file
    assert (writer.effective_bytes, writer.actual_bytes) == (sample.wrote, sample.decompressed)
    assert writer.zeroed_bytes == 0
    # skipped space is not on the disk
    assert path.stat().st_blocks * 512 <= sample.decompressed + (64 << 10)


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("sample", ndz_samples.ALL, ids=lambda sample: str(sample.name))
def test_samples_zero_filled(sample: ndz_samples.Sample, order: int, tmp_path: Path) -> None:
    path = tmp_path / "disk"
    writer = write_to(path, sample.chunks[::order], zero_fill=True)
    assert digest(path) == sample.pipe
    assert writer.effective_bytes == writer.actual_bytes == sample.wrote


@pytest.mark.parametrize("sample", ndz_samples.ALL, ids=lambda sample: str(sample.name))
def test_samples_to_a_pipe(sample: ndz_samples.Sample) -> None:
    warnings: list[str] = []

    def write(sink: int) -> None:
        writer = DiskWriter(sink, name="pipe", warn=warnings.append)
        for chunk in sample.chunks:
            writer.write_chunk(chunk)
        writer.finish()
        assert writer.effective_bytes == writer.actual_bytes == sample.wrote

    data = through_pipe(write)
    assert (len(data), hashlib.sha256(data).hexdigest()) == sample.pipe
    assert warnings[0] == "WARNING: output file is not seekable, must zero-fill free space"
    old = ["WARNING: old image file format, may not zero all unused blocks"]
    assert warnings[1:] == (old if sample.version == 1 else [])


FIRST = make_chunk(b"a" * 1024, [(2, 2)], first=0, last=6)
SECOND = make_chunk(b"b" * 512 + b"c" * 512, [(8, 1), (10, 1)], index=1, first=6, last=12)
LAYOUT = bytes(1024) + b"a" * 1024 + bytes(2048) + b"b" * 512 + bytes(512) + b"c" * 512 + bytes(512)


def test_one_chunk_s_numbers_and_progress(tmp_path: Path) -> None:
    steps: list[tuple[Covered, int]] = []
    with opened(tmp_path / "disk") as (fd, _):
        writer = DiskWriter(fd, name="disk", progress=lambda *step: steps.append(step))
        written = writer.write_chunk(SECOND)
        assert (written.effective_bytes, written.actual_bytes) == (6 * 512, 2 * 512)
        assert written.header.index == 1
        assert [(kind.value, count // 512) for kind, count in steps] == [
            ("s", 2),
            (".", 1),
            ("s", 1),
            (".", 1),
            ("s", 1),
        ]
        assert (writer.writes, writer.seeks) == (2, 2)
        writer.write_chunk(FIRST)
        writer.finish()
        assert writer.effective_bytes == 12 * 512
    assert (tmp_path / "disk").read_bytes() == LAYOUT[:-512]


def test_free_space_keeps_what_the_disk_held(tmp_path: Path) -> None:
    path = tmp_path / "disk"
    path.write_bytes(b"x" * 10000)
    with opened(path, as_disk=True) as (fd, size):
        assert size == 10000
        writer = DiskWriter(fd, name="disk", fixed_size=size)
        writer.write_chunk(SECOND)
        writer.write_chunk(FIRST)
        writer.finish()
    expected = bytearray(b"x" * 10000)
    expected[1024:2048] = b"a" * 1024
    expected[8 * 512 : 9 * 512] = b"b" * 512
    expected[10 * 512 : 11 * 512] = b"c" * 512
    assert path.read_bytes() == bytes(expected)


def test_zero_fill_of_a_disk_goes_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "disk"
    path.write_bytes(b"x" * 3_000_001)
    steps: list[tuple[Covered, int]] = []
    with opened(path, as_disk=True) as (fd, size):
        writer = DiskWriter(
            fd,
            zero_fill=True,
            name="disk",
            fixed_size=size,
            progress=lambda *step: steps.append(step),
        )
        writer.write_chunk(SECOND)
        writer.write_chunk(FIRST)
        writer.finish()
    assert path.read_bytes() == LAYOUT + bytes(3_000_001 - len(LAYOUT))
    assert writer.effective_bytes == writer.actual_bytes == 3_000_001
    assert writer.zeroed_bytes == 3_000_001 - 4 * 512
    assert sum(count for kind, count in steps if kind is Covered.ZEROED) == writer.zeroed_bytes


@pytest.mark.parametrize(
    ("size", "message"),
    [
        (0, "write error: No space left on device (disk)"),
        (1024, "write error: No space left on device (disk)"),
        (1025, "Short write! (disk is too small for the image)"),
        (2047, "Short write! (disk is too small for the image)"),
        (2048, None),
    ],
)
def test_a_disk_that_is_too_small(size: int, message: str | None, tmp_path: Path) -> None:
    path = tmp_path / "disk"
    path.write_bytes(b"x" * size)
    with opened(path, as_disk=True) as (fd, fixed_size):
        writer = DiskWriter(fd, name="disk", fixed_size=fixed_size)
        if message is None:
            writer.write_chunk(FIRST)
        else:
            with pytest.raises(DiskError) as caught:
                writer.write_chunk(FIRST)
            assert str(caught.value) == message
            assert caught.value.exit_status == 1
    assert path.stat().st_size == size
    assert path.read_bytes() == (b"x" * 1024 + b"a" * 1024)[:size]


def test_a_full_device() -> None:
    with opened(Path("/dev/full")) as (fd, _):
        writer = DiskWriter(fd, name="/dev/full")
        with pytest.raises(DiskError) as caught:
            writer.write_chunk(FIRST)
    assert str(caught.value) == "write error: No space left on device (/dev/full)"


@pytest.mark.parametrize(
    ("limit", "message"),
    [(1536, "Short write!"), (1024, "write error: File too large"), (2048, "written")],
)
def test_a_limit_of_the_system(limit: int, message: str, tmp_path: Path) -> None:
    code = f"""
import os, resource, sys
from imaging.frisbee.disk import DiskWriter, open_output
from imaging.frisbee.errors import DiskError
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
fd, _ = open_output({str(tmp_path / "disk")!r})
try:
    DiskWriter(fd, name="disk").write_chunk(sys.stdin.buffer.read())
    print("written")
except DiskError as error:
    print(error.message)
"""

    done = subprocess.run(
        [sys.executable, "-c", code], check=False, input=FIRST, capture_output=True
    )
    assert done.stdout.decode().strip() == message, done.stderr.decode()


def test_a_pipe_wants_chunks_in_ascending_order() -> None:
    def write(sink: int) -> None:
        writer = DiskWriter(sink, name="pipe")
        with pytest.raises(DiskError) as caught:
            writer.write_chunk(SECOND)
        assert str(caught.value) == "Non-contiguous write @ 3072 (should be 0)"
        writer.write_chunk(FIRST)
        with pytest.raises(DiskError) as caught:
            writer.write_chunk(FIRST)
        assert str(caught.value) == "Non-contiguous write @ 0 (should be 3072)"

    assert through_pipe(write) == LAYOUT[:3072]


def test_a_pipe_gets_old_chunks_at_their_places() -> None:
    chunks = [
        make_chunk(b"a" * 512, [(1, 1)], version=1),
        make_chunk(b"b" * 512, [(3, 1)], version=1, index=1),
    ]

    def write(sink: int) -> None:
        writer = DiskWriter(sink, name="pipe")
        for chunk in chunks:
            writer.write_chunk(chunk)
        with pytest.raises(DiskError, match=r"Non-contiguous write @ 512 \(should be 2048\)"):
            writer.write_chunk(chunks[0])

    assert through_pipe(write) == bytes(512) + b"a" * 512 + bytes(512) + b"b" * 512


def test_a_file_in_append_mode_is_like_a_pipe(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"before")
    with path.open("ab") as file:
        writer = DiskWriter(file.fileno(), name="file")
        writer.write_chunk(FIRST)
        writer.finish()
    assert path.read_bytes() == b"before" + LAYOUT[:3072]


def test_a_reader_that_goes_away() -> None:
    source, sink = os.pipe()
    os.close(source)
    try:
        writer = DiskWriter(sink, name="pipe")
        with pytest.raises(BrokenPipeError):
            writer.write_chunk(FIRST)
    finally:
        os.close(sink)


def test_a_disk_must_be_one(tmp_path: Path) -> None:
    with pytest.raises(DiskError, match="opening output file: No such file or directory"):
        open_output(str(tmp_path / "absent"), as_disk=True)
    with pytest.raises(DiskError, match="opening output file: No such file or directory"):
        open_output(str(tmp_path / "absent" / "file"))
    with pytest.raises(DiskError, match="neither a block device nor a file"):
        open_output("/dev/null", as_disk=True)
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(DiskError, match="opening output file: No such device or address"):
        open_output(str(tmp_path / "fifo"), as_disk=True)
    with pytest.raises(DiskError, match="opening output file: Is a directory"):
        open_output(str(tmp_path))


@given(
    st.lists(
        st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=6),
        min_size=1,
        max_size=5,
    ),
    st.randoms(use_true_random=False),
    st.booleans(),
)
def test_any_order_gives_the_same_disk(
    layout: list[list[tuple[int, int]]],
    generator: random.Random,
    zero_fill: bool,
) -> None:
    chunks, expected = [], bytearray()
    for index, stretches in enumerate(layout):
        first = len(expected) // 512
        regions, data = [], b""
        for gap, count in stretches:
            expected += bytes(512 * gap)
            regions.append((len(expected) // 512, count))
            content = generator.randbytes(512 * count)
            expected += content
            data += content
        chunks.append(make_chunk(data, regions, index=index, first=first))
    generator.shuffle(chunks)
    fd = os.memfd_create("disk")
    try:
        writer = DiskWriter(fd, name="disk", zero_fill=zero_fill)
        for chunk in chunks:
            writer.write_chunk(chunk)
        writer.finish()
        assert os.pread(fd, len(expected) + 1, 0) == bytes(expected)
    finally:
        os.close(fd)


def write_calls() -> int:
    """How many calls this process has made to write."""
    counters = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(counters["syscw"])


def test_what_touches_is_written_in_one_call(tmp_path: Path) -> None:
    """Data and the zeros between them, up to four megabytes."""
    regions = [(3 * number, 2) for number in range(300)]
    content = random.Random(4).randbytes(512 * 2 * len(regions))
    chunk = make_chunk(content, regions)
    expected = b"".join(
        content[1024 * number : 1024 * (number + 1)].ljust(3 * 512, b"\0") for number in range(300)
    )
    before = write_calls()
    writer = write_to(tmp_path / "disk", [chunk], zero_fill=True)
    assert write_calls() - before <= 3
    assert (writer.writes, writer.seeks) == (300, 0)
    assert (tmp_path / "disk").read_bytes() == expected[:-512]
