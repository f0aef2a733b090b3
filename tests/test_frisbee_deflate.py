"""Pieces of compressed data, and the streams that they make; judged by the stdlib's zlib."""

import random
import zlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaging.frisbee.deflate import (
    HISTORY,
    PIECE_SIZE,
    STREAM_BEGIN,
    STREAM_END_SIZE,
    DeflatedPiece,
    deflate_pieces,
    joined_adler,
    stream_end,
)


def stream_of(pieces: list[DeflatedPiece]) -> bytes:
    """The zlib stream of some pieces."""
    adler = 1
    for piece in pieces:
        adler = joined_adler(adler, piece.adler, len(piece.data))
    end = stream_end(adler)
    assert len(end) == STREAM_END_SIZE
    return STREAM_BEGIN + b"".join(piece.deflated for piece in pieces) + end


def text(length: int, seed: int = 1) -> bytes:
    generator = random.Random(seed)
    words = [generator.randbytes(3).hex().encode() for _ in range(500)]
    return b" ".join(generator.choices(words, k=length // 7 + 1))[:length]


@pytest.mark.parametrize("level", range(10))
def test_pieces_make_a_stream(level: int) -> None:
    data = text(3 * PIECE_SIZE) + bytes(2 * PIECE_SIZE) + random.Random(level).randbytes(512 * 77)
    pieces = list(deflate_pieces(data, 1000, level))
    assert zlib.decompress(stream_of(pieces)) == data
    assert [piece.sector for piece in pieces] == [1000 + 256 * number for number in range(6)]
    assert sum(piece.sectors for piece in pieces) * 512 == len(data)
    history = HISTORY if level else 0
    # zeros are no use to what follows them
    assert [piece.history for piece in pieces] == [0, history, history, 0, 0, 0]


def test_the_history_is_worth_it() -> None:
    data = text(4 * PIECE_SIZE)
    whole = list(deflate_pieces(data, 0, 1))
    alone = [piece.tail(0, 1) for piece in whole]
    assert [piece.history for piece in alone] == [0, 0, 0, 0]
    assert zlib.decompress(stream_of(alone)) == data
    assert sum(len(piece.deflated) for piece in whole) < sum(len(piece.deflated) for piece in alone)


@pytest.mark.parametrize("level", [0, 1, 4, 6])
def test_a_piece_in_two_parts(level: int) -> None:
    data = text(2 * PIECE_SIZE)
    first, second = deflate_pieces(data, 10, level)
    head, tail = second.head(100, level), second.tail(100, level)
    assert (head.sector, head.sectors, tail.sector, tail.sectors) == (266, 100, 366, 156)
    assert zlib.decompress(stream_of([first, head])) == data[: PIECE_SIZE + 51200]
    assert zlib.decompress(stream_of([tail])) == data[PIECE_SIZE + 51200 :]


@given(
    st.lists(st.tuples(st.sampled_from("ztn"), st.integers(1, 200)), min_size=1, max_size=12),
    st.integers(0, 9),
    st.booleans(),
)
def test_whatever_is_compressed_comes_back(
    layout: list[tuple[str, int]], level: int, leave_out: bool
) -> None:
    data = b""
    for number, (kind, sectors) in enumerate(layout):
        length = sectors * 512
        noise = random.Random(number).randbytes(length)
        data += {"z": bytes(length), "t": text(length, number), "n": noise}[kind]
    pieces = list(deflate_pieces(data, 0, level, leave_out_zeros=leave_out))
    expected = bytearray(len(data))
    content = zlib.decompress(stream_of(pieces))
    position = 0
    for piece in pieces:
        length = piece.sectors * 512
        part = content[position : position + length]
        expected[piece.sector * 512 : piece.sector * 512 + length] = part
        position += length
        # what it refers to is what comes before it in the stream
        assert piece.history <= position - length
    assert position == len(content)
    assert bytes(expected) == data
    if not leave_out:
        assert len(content) == len(data)
    assert all(one.sector + one.sectors <= other.sector for one, other in pairwise(pieces))


@given(st.binary(max_size=3000), st.binary(max_size=3000))
def test_checksums_are_joined(one: bytes, other: bytes) -> None:
    joined = joined_adler(zlib.adler32(one), zlib.adler32(other), len(other))
    assert joined == zlib.adler32(one + other)
