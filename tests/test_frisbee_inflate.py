"""Chunks that are expanded ahead: in order, errors in their turn, in bounded memory."""

import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from imaging.frisbee.errors import DiskError, ImageError
from imaging.frisbee.inflate import CHUNKS_AHEAD, MAX_EXPANDED, expand_ahead
from imaging.frisbee.ndz import parse_header
from tests import ndz_samples
from tests.ndz_rules import make_chunk


def numbered(count: int, sectors: int = 8) -> list[bytes]:
    """Chunks that hold their own number."""
    return [
        make_chunk(
            number.to_bytes(4, "little") * 128 * sectors,
            [(number * sectors, sectors)],
            index=number,
        )
        for number in range(count)
    ]


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_chunks_come_in_their_order(threads: int) -> None:
    expected = numbered(40)
    found = []
    for header, pieces in expand_ahead(expected, parse_header, threads):
        data = b"".join(piece.data for piece in pieces)
        assert data == header.index.to_bytes(4, "little") * 1024
        found.append(header.index)
    assert found == list(range(40))
    assert list(expand_ahead([], parse_header)) == []


def test_only_so_many_are_read_ahead() -> None:
    read = 0

    def chunks() -> Iterator[bytes]:
        nonlocal read
        for chunk in numbered(30):
            read += 1
            yield chunk

    for given, _ in enumerate(expand_ahead(chunks(), parse_header, 2), start=1):
        assert read - given <= 2 + CHUNKS_AHEAD


def test_a_chunk_of_zeros_is_not_held_in_memory() -> None:
    sectors = MAX_EXPANDED // 512 + 1
    chunk = make_chunk(bytes(sectors * 512), [(0, sectors)])
    for _, pieces in expand_ahead([chunk], parse_header):
        assert not isinstance(pieces, list)
        assert sum(len(piece.data) for piece in pieces) == sectors * 512


def test_an_error_waits_for_its_turn() -> None:
    good = numbered(5)
    damaged = bytearray(good[3])
    damaged[4100] ^= 0xFF
    found: list[int] = []
    with pytest.raises(ImageError, match="inflate failed"):
        found.extend(
            header.index
            for header, _ in expand_ahead([*good[:3], bytes(damaged), good[4]], parse_header, 4)
        )
    assert found == [0, 1, 2]
    found.clear()
    with pytest.raises(ImageError, match="Bad Magic Number!"):
        found.extend(
            header.index
            for header, _ in expand_ahead([*good[:3], bytes(1 << 20), good[4]], parse_header, 4)
        )
    assert found == [0, 1, 2]


def test_an_error_of_the_source_waits_for_its_turn() -> None:
    def chunks() -> Iterator[bytes]:
        yield from numbered(3)
        raise DiskError("reading input file: gone")

    found: list[int] = []
    with pytest.raises(DiskError, match="gone"):
        found.extend(header.index for header, _ in expand_ahead(chunks(), parse_header, 4))
    assert found == [0, 1, 2]


def test_no_thread_stays_when_nobody_wants_more() -> None:
    with closing(expand_ahead(numbered(30), parse_header, 4)) as expanded:
        next(expanded)
    assert not [each for each in threading.enumerate() if each.name.startswith("imageunzip")]


def test_samples_expand_as_before() -> None:
    for sample in ndz_samples.ALL:
        total = sum(
            len(piece.data)
            for _, pieces in expand_ahead(sample.chunks, parse_header)
            for piece in pieces
        )
        assert total in (sample.decompressed, sample.decompressed - 24)
