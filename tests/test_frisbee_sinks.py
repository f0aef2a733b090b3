"""Chunks onto a disk: under loss, by four threads, the disk is what the image says."""

import os
import random
import time
import tracemalloc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest

from imaging.frisbee.compress import write_image
from imaging.frisbee.errors import FrisbeeError, ImageError
from imaging.frisbee.marks import ProgressMarks
from imaging.frisbee.ndz import CHUNK_SIZE, SECTOR_SIZE, Region
from imaging.frisbee.sinks import AHEAD_BYTES, ExpandingSink, OutputDisk, RawSink
from imaging.frisbee.workers import ChunkWorkers
from tests.simulated_network import SimulatedClient, SimulatedNetwork, SimulatedServer, Weather

SEEDS = 200
THREADS = 4
LIMIT_S = 60.0  # virtual
SECTORS = 5000
# data that does not shrink fills two chunks and a bit; between the regions is free space
REGIONS = (Region(0, 1700), Region(1900, 1200), Region(3200, 500), Region(3800, 1100))
BANDWIDTH = 1e9


@pytest.fixture(scope="module")
def source() -> bytes:
    """A disk, free space included, which no image holds."""
    return random.Random(1).randbytes(SECTORS * SECTOR_SIZE)


@pytest.fixture(scope="module")
def image(source: bytes, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    home = tmp_path_factory.mktemp("image")
    (home / "disk").write_bytes(source)
    with (home / "disk").open("rb") as disk, (home / "image").open("wb") as out:
        write_image(disk.fileno(), out.fileno(), regions=REGIONS, end_sector=SECTORS)
    image = (home / "image").read_bytes()
    assert len(image) == 3 * CHUNK_SIZE
    return image


def expected_disk(source: bytes, old: bytes, *, zero_fill: bool) -> bytes:
    """The old disk with the data of the regions on it."""
    disk = bytearray(len(old)) if zero_fill else bytearray(old)
    for region in REGIONS:
        place = slice(region.start * SECTOR_SIZE, region.end * SECTOR_SIZE)
        disk[place] = source[place]
    return bytes(disk)


def receive(image: bytes, path: Path, seed: int, *, zero_fill: bool) -> int:
    """A session on a bad network; gives how many blocks were lost on the way."""
    weather = Weather(loss=0.02, double=0.01, late=0.02)
    network = SimulatedNetwork(weather, seed)
    server = SimulatedServer(network, image, BANDWIDTH)
    fd = os.open(path, os.O_WRONLY)
    try:
        output = OutputDisk(fd, path.name, path.stat().st_size, zero_fill)
        workers = ChunkWorkers(ExpandingSink(output, None, print, time.monotonic()), THREADS)

        def keep(chunk: int, blocks: Sequence[memoryview]) -> None:
            workers.put(chunk, blocks, lambda: None)

        client = SimulatedClient(network, "10.0.0.1", seed=seed, keep=keep)
        assert network.run(lambda: client.done, LIMIT_S)
        workers.finish()
    finally:
        os.close(fd)
        server.close()
    return network.blocks_lost


def test_a_disk_written_under_loss_is_identical_for_every_seed(
    source: bytes, image: bytes, tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    old = random.Random(2).randbytes(len(source) + 100 * SECTOR_SIZE)
    expected = [expected_disk(source, old, zero_fill=fill) for fill in (False, True)]
    for seed in range(SEEDS):
        disk.write_bytes(old)
        assert receive(image, disk, seed, zero_fill=bool(seed % 2)) > 0
        assert disk.read_bytes() == expected[seed % 2], f"seed {seed}"


def blocks_of(chunk: bytes) -> list[memoryview]:
    return [memoryview(chunk)[start : start + 1024] for start in range(0, len(chunk), 1024)]


@contextmanager
def null_sink(marks: ProgressMarks | None, said: list[str]) -> Iterator[ExpandingSink]:
    """Onto a disk that keeps nothing."""
    fd = os.open(os.devnull, os.O_WRONLY)
    try:
        yield ExpandingSink(OutputDisk(fd, "disk"), marks, said.append, time.monotonic())
    finally:
        os.close(fd)


def test_a_chunk_that_is_another_one_is_refused(image: bytes) -> None:
    said_so = pytest.raises(ImageError, match="chunk 1 says that it is chunk 0")
    with null_sink(None, []) as sink, said_so:
        sink.take(1, blocks_of(image[:CHUNK_SIZE]), nullcontext)


def test_every_chunk_has_its_mark(image: bytes) -> None:
    said: list[str] = []
    with null_sink(ProgressMarks(3), said) as sink:
        for chunk in (2, 0, 1):
            data = image[chunk * CHUNK_SIZE : (chunk + 1) * CHUNK_SIZE]
            sink.take(chunk, blocks_of(data), nullcontext)
        sink.finish()
    assert said == [".", ".", ".", "\n"]
    assert sink.effective_bytes == SECTORS * SECTOR_SIZE
    assert sink.actual_bytes == sum(region.count for region in REGIONS) * SECTOR_SIZE


def test_a_chunk_that_expands_without_end_takes_no_more_than_so_much_memory(
    tmp_path: Path,
) -> None:
    size = 8 * AHEAD_BYTES
    with (tmp_path / "disk").open("w+b") as disk, (tmp_path / "image").open("w+b") as out:
        disk.truncate(size)
        write_image(
            disk.fileno(),
            out.fileno(),
            regions=[Region(0, size // SECTOR_SIZE)],
            end_sector=size // SECTOR_SIZE,
        )
        image = os.pread(out.fileno(), 2 * CHUNK_SIZE, 0)
    assert len(image) == CHUNK_SIZE
    with null_sink(None, []) as sink:
        tracemalloc.start()
        try:
            sink.take(0, blocks_of(image), nullcontext)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert sink.actual_bytes == size
    assert peak < 2 * AHEAD_BYTES


def test_a_raw_image_ends_where_the_server_says(tmp_path: Path) -> None:
    size = 1500 * 1024 + 10
    content = random.Random(3).randbytes(size)
    sent = content.ljust(2 * CHUNK_SIZE, b"?")
    with (tmp_path / "copy").open("wb") as copy:
        sink = RawSink(copy.fileno(), size)
        sink.take(1, blocks_of(sent[CHUNK_SIZE : 1501 * 1024]), nullcontext)
        sink.take(0, blocks_of(sent[:CHUNK_SIZE]), nullcontext)
        sink.finish()
    assert (tmp_path / "copy").read_bytes() == content
    assert (sink.actual_bytes, sink.writes) == (size, 2)


def test_a_raw_image_on_a_full_disk() -> None:
    fd = os.open("/dev/full", os.O_WRONLY)
    try:
        with pytest.raises(FrisbeeError, match="write error: No space left on device"):
            RawSink(fd, CHUNK_SIZE).take(0, blocks_of(bytes(CHUNK_SIZE)), nullcontext)
    finally:
        os.close(fd)
