"""Trains of packets: a whole one is read as its packets are, one by one."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaging.frisbee.errors import ProtocolError
from imaging.frisbee.packets import (
    BLOCK_PACKET_SIZE,
    BLOCK_SIZE,
    PACKET_LIMIT,
    Block,
    Packet,
    Request,
    decode,
    encode,
    pack_address,
)
from imaging.frisbee.trains import BlockReader, Train

PORT, CHUNKS = 5000, 7
SERVER, OTHER = pack_address("10.0.0.254"), pack_address("10.0.0.9")


def packet(chunk: int, block: int, source: bytes = SERVER) -> bytes:
    return encode(Block(chunk, block, bytes([block % 256]) * BLOCK_SIZE), source)


def train(chunk: int, first: int, length: int) -> bytearray:
    return bytearray().join(packet(chunk, first + n) for n in range(length))


@pytest.mark.parametrize(
    ("chunk", "first", "length"), [(0, 0, 1), (3, 17, 62), (6, 962, 62), (6, 1023, 1), (2, 0, 1024)]
)
def test_consecutive_blocks_are_one_run(chunk: int, first: int, length: int) -> None:
    data = memoryview(train(chunk, first, length))
    run = BlockReader(PORT, CHUNKS).read(data, SERVER, PORT)
    assert run is not None
    assert (run.chunk, run.first, run.length) == (chunk, first, length)
    assert run.bitmap == ((1 << length) - 1) << first
    assert run.packets == data


# place in a packet, and what to put there
CHANGES = st.lists(
    st.tuples(
        st.integers(0, 4), st.sampled_from([0, 4, 8, 12, 16, 20, 24]), st.integers(0, 2**32 - 1)
    )
    | st.tuples(st.integers(0, 4), st.sampled_from([0, 4, 16, 20]), st.integers(0, 8)),
    max_size=3,
)


@given(CHANGES, st.integers(0, 6), st.integers(1015, 1023) | st.just(0), st.integers(0, 30))
def test_a_train_is_a_run_only_if_each_packet_says_so(
    changes: list[tuple[int, int, int]], chunk: int, first: int, cut: int
) -> None:
    data = bytearray().join(packet(chunk, (first + n) % 1024) for n in range(5))
    for place, offset, value in changes:
        struct.pack_into("<I", data, place * BLOCK_PACKET_SIZE + offset, value)
    view = memoryview(data)[: len(data) - cut]
    run = BlockReader(PORT, CHUNKS).read(view, SERVER, PORT)
    singly: list[Packet | None] = []
    for piece in Train(view, BLOCK_PACKET_SIZE, SERVER, PORT).packets():
        try:
            singly.append(decode(piece, SERVER, PORT, PORT, CHUNKS))
        except ProtocolError:
            singly.append(None)
    if run is None:
        # a reply's type is a block's too, but is not expected of a server
        assert cut or changes or first > 1019
        return
    assert run.length == 5
    for number, found in enumerate(singly):
        assert isinstance(found, Block)
        assert (found.chunk, found.block) == (run.chunk, run.first + number)


@pytest.mark.parametrize(
    ("sender", "port", "only"),
    [(OTHER, PORT, None), (SERVER, PORT + 1, None), (SERVER, PORT, OTHER)],
)
def test_blocks_of_somebody_else_are_not_read(sender: bytes, port: int, only: bytes | None) -> None:
    data = memoryview(train(1, 0, 3))
    assert BlockReader(PORT, CHUNKS, only).read(data, sender, port) is None


def test_two_servers_take_turns() -> None:
    reader = BlockReader(PORT, CHUNKS)
    for source in (SERVER, OTHER, SERVER):
        assert reader.read(memoryview(bytearray(packet(1, 2, source))), source, PORT) is not None


def test_a_train_falls_apart_into_its_packets() -> None:
    data = memoryview(train(1, 0, 3))
    packets = list(Train(data, BLOCK_PACKET_SIZE, SERVER, PORT).packets())
    assert [len(piece) for piece in packets] == [BLOCK_PACKET_SIZE] * 3
    assert b"".join(packets) == data
    # the last one may be shorter, and a single one longer than the protocol knows
    rest = [len(piece) for piece in Train(data[:-48], BLOCK_PACKET_SIZE, SERVER, PORT).packets()]
    assert rest == [BLOCK_PACKET_SIZE, BLOCK_PACKET_SIZE, BLOCK_PACKET_SIZE - 48]
    (single,) = Train(data, len(data), SERVER, PORT).packets()
    assert len(single) == PACKET_LIMIT
    assert list(Train(data[:0], 0, SERVER, PORT).packets()) == []


def test_requests_are_no_blocks() -> None:
    data = memoryview(bytearray(encode(Request(1, 0, 1024), SERVER)))
    assert BlockReader(PORT, CHUNKS).read(data, SERVER, PORT) is None
