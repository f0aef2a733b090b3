"""An image's packets, as clients read them."""

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from imaging.frisbee.errors import FrisbeeError
from imaging.frisbee.image_packets import ImagePackets
from imaging.frisbee.packets import BLOCK_SIZE, BLOCKS_PER_CHUNK, blocks_of_chunk, pack_address
from imaging.frisbee.trains import BlockReader
from imaging.frisbee.work_queue import Run

SERVER = pack_address("10.0.0.254")
PORT = 5000
SIZE = 3 * BLOCK_SIZE * BLOCKS_PER_CHUNK + 5 * BLOCK_SIZE + 7


@contextmanager
def image_of(path: Path, content: bytes, held: int) -> Iterator[ImagePackets]:
    path.write_bytes(content)
    fd = os.open(path, os.O_RDONLY)
    try:
        yield ImagePackets(fd, len(content), SERVER, chunks_held=held)
    finally:
        os.close(fd)


@pytest.mark.parametrize("held", [1, 2, 8])
def test_whatever_is_asked_for_is_what_the_file_has(tmp_path: Path, held: int) -> None:
    content = random.Random(1).randbytes(SIZE)
    padded = content.ljust(4 * BLOCK_SIZE * BLOCKS_PER_CHUNK, b"\0")
    chance = random.Random(2)
    with image_of(tmp_path / "image", content, held) as packets:
        assert (packets.chunks, packets.blocks, blocks_of_chunk(3, packets.blocks)) == (
            4,
            3 * 1024 + 6,
            6,
        )
        reader = BlockReader(PORT, packets.chunks)
        for _ in range(60):
            chunk = chance.randrange(packets.chunks)
            first = chance.randrange(blocks_of_chunk(chunk, packets.blocks))
            count = chance.randint(1, blocks_of_chunk(chunk, packets.blocks) - first)
            view = packets.packets(Run(chunk, first, count))
            run = reader.read(view, SERVER, PORT)
            assert run is not None
            assert (run.chunk, run.first, run.length) == (chunk, first, count)
            start = (chunk * BLOCKS_PER_CHUNK + first) * BLOCK_SIZE
            data = b"".join(view[n * 1048 + 24 : (n + 1) * 1048] for n in range(count))
            assert data == padded[start : start + count * BLOCK_SIZE]


def test_a_chunk_in_memory_is_not_read_again(tmp_path: Path) -> None:
    with image_of(tmp_path / "image", bytes(SIZE), 2) as packets:
        for chunk in (0, 1, 0, 1):
            packets.packets(Run(chunk, 0, 1))
        assert packets.reads == 2
        packets.packets(Run(2, 0, 1))
        packets.packets(Run(0, 0, 1))
        assert packets.reads == 4


def test_a_file_that_has_become_shorter(tmp_path: Path) -> None:
    with image_of(tmp_path / "image", bytes(SIZE), 2) as packets:
        os.truncate(tmp_path / "image", 1000)
        with pytest.raises(FrisbeeError, match="EOF on file") as caught:
            packets.packets(Run(0, 0, 1))
    assert caught.value.exit_status == 255
