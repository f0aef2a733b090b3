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
from imaging.frisbee.workers import ChunkWorkers, Turn
from tests.simulated_network import SimulatedClient, SimulatedNetwork, SimulatedServer, Weather

THREADS = 4
LIMIT_S = 60.0  # virtual
SECTORS = 5000
# data that does not shrink fills two chunks and a bit; between the regions is free space
REGIONS = (Region(0, 1700), Region(1900, 1200), Region(3200, 500), Region(3800, 1100))
MANY_SECTORS = 24000  # that fill twelve chunks
MANY_REGIONS = tuple(Region(start, 1900) for start in range(0, MANY_SECTORS, 2000))
BANDWIDTH = 1e9
DAWDLE_S = 0.02
PEAK_BEYOND = 10 << 20  # the chunk itself, and what is being written


@pytest.fixture(scope="module")
def source() -> bytes:
    """A disk, free space included, which no image holds."""
    return random.Random(1).randbytes(SECTORS * SECTOR_SIZE)


def image_of(source: bytes, regions: Sequence[Region], home: Path) -> bytes:
    (home / "source").write_bytes(source)
    with (home / "source").open("rb") as disk, (home / "image").open("wb") as out:
        end_sector = len(source) // SECTOR_SIZE
        write_image(disk.fileno(), out.fileno(), regions=regions, end_sector=end_sector)
    return (home / "image").read_bytes()


@pytest.fixture(scope="module")
def image(source: bytes, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    image = image_of(source, REGIONS, tmp_path_factory.mktemp("image"))
    assert len(image) == 3 * CHUNK_SIZE
    return image


def expected_disk(
    source: bytes, old: bytes, regions: Sequence[Region], *, zero_fill: bool
) -> bytes:
    """The old disk with the data of the regions on it."""
    disk = bytearray(len(old)) if zero_fill else bytearray(old)
    for region in regions:
        place = slice(region.start * SECTOR_SIZE, region.end * SECTOR_SIZE)
        disk[place] = source[place]
    return bytes(disk)


class DawdlingSink(ExpandingSink):
    """Reads a chunk late: nobody must have used its memory for another one."""

    def take(self, chunk: int, blocks: Sequence[memoryview], turn: Turn) -> None:
        time.sleep(DAWDLE_S)
        super().take(chunk, blocks, turn)


def receive(image: bytes, path: Path, seed: int, buffers: int, *, zero_fill: bool) -> int:
    """A session on a bad network; gives how many blocks were lost on the way.

    There are fewer buffers than chunks: their memory is used again as soon as it is given back.
    """
    weather = Weather(loss=0.02, double=0.01, late=0.02)
    network = SimulatedNetwork(weather, seed)
    server = SimulatedServer(network, image, BANDWIDTH)
    fd = os.open(path, os.O_WRONLY)
    try:
        output = OutputDisk(fd, path.name, path.stat().st_size, zero_fill)
        kind = ExpandingSink if seed % 10 else DawdlingSink
        workers = ChunkWorkers(kind(output, None, print, time.monotonic()), THREADS)
        client = SimulatedClient(network, "10.0.0.1", seed=seed, keep=workers.put, buffers=buffers)
        assert network.run(lambda: client.done, LIMIT_S)
        workers.finish()
    finally:
        os.close(fd)
        server.close()
    return network.blocks_lost


@pytest.mark.parametrize(
    ("sectors", "regions", "chunks", "buffers", "seeds"),
    [(SECTORS, REGIONS, 3, 2, 200), (MANY_SECTORS, MANY_REGIONS, 12, 3, 30)],
    ids=["many seeds", "many chunks"],
)
def test_a_disk_written_under_loss_is_identical_for_every_seed(
    sectors: int,
    regions: Sequence[Region],
    chunks: int,
    buffers: int,
    seeds: int,
    tmp_path: Path,
) -> None:
    source = random.Random(1).randbytes(sectors * SECTOR_SIZE)
    image = image_of(source, regions, tmp_path)
    assert len(image) == chunks * CHUNK_SIZE
    disk = tmp_path / "disk"
    old = random.Random(2).randbytes(len(source) + 100 * SECTOR_SIZE)
    expected = [expected_disk(source, old, regions, zero_fill=fill) for fill in (False, True)]
    for seed in range(seeds):
        disk.write_bytes(old)
        assert receive(image, disk, seed, buffers, zero_fill=bool(seed % 2)) > 0
        assert disk.read_bytes() == expected[seed % 2], f"seed {seed}"


def blocks_of(chunk: bytes) -> list[memoryview]:
    return [memoryview(chunk)[start : start + 1024] for start in range(0, len(chunk), 1024)]


@pytest.mark.parametrize("zero_fill", [False, True])
def test_a_disk_is_written_in_the_turn_only(image: bytes, tmp_path: Path, zero_fill: bool) -> None:
    """Before it, and after it, another thread may be writing."""
    disk = tmp_path / "disk"
    disk.write_bytes(random.Random(2).randbytes(SECTORS * SECTOR_SIZE))
    states: list[bytes] = []

    @contextmanager
    def turn() -> Iterator[None]:
        states.append(disk.read_bytes())
        yield
        states.append(disk.read_bytes())

    with disk.open("r+b") as file:
        output = OutputDisk(file.fileno(), "disk", disk.stat().st_size, zero_fill)
        sink = ExpandingSink(output, None, print, time.monotonic())
        for chunk in (1, 0, 2):
            before = disk.read_bytes()
            data = image[chunk * CHUNK_SIZE : (chunk + 1) * CHUNK_SIZE]
            sink.take(chunk, blocks_of(data), turn)
            assert states[-2] == before
            assert states[-1] == disk.read_bytes() != before
    assert len(states) == 6


@contextmanager
def null_sink(
    marks: ProgressMarks | None, said: list[str], ahead_bytes: int = AHEAD_BYTES
) -> Iterator[ExpandingSink]:
    """Onto a disk that keeps nothing."""
    fd = os.open(os.devnull, os.O_WRONLY)
    try:
        yield ExpandingSink(
            OutputDisk(fd, "disk"), marks, said.append, time.monotonic(), ahead_bytes=ahead_bytes
        )
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


@pytest.mark.parametrize("ahead_bytes", [AHEAD_BYTES // 4, AHEAD_BYTES])
def test_a_chunk_that_expands_without_end_takes_no_more_than_so_much_memory(
    tmp_path: Path, ahead_bytes: int
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
    with null_sink(None, [], ahead_bytes) as sink:
        tracemalloc.start()
        try:
            sink.take(0, blocks_of(image), nullcontext)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert sink.actual_bytes == size
    assert peak < ahead_bytes + PEAK_BEYOND


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


def test_a_raw_image_goes_where_there_is_nothing_to_flush() -> None:
    with Path("/dev/null").open("wb") as nowhere:
        RawSink(nowhere.fileno(), CHUNK_SIZE).finish()
