"""The wire format, against a captured session of the C tools and against rubbish."""

import struct
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaging.frisbee.errors import ProtocolError
from imaging.frisbee.packets import (
    BLOCK_PACKET_SIZE,
    BLOCK_SIZE,
    PACKET_LIMIT,
    Block,
    ClientStatistics,
    Join,
    Join2,
    Join2Reply,
    JoinReply,
    Leave,
    Leave2,
    Packet,
    PartialRequest,
    Request,
    decode,
    encode,
    pack_address,
)
from tests.captures import Datagram, datagrams

PORT = 3564
CHUNKS = 2
SESSION = list(datagrams(Path(__file__).parent / "samples" / "session3.pcap"))
WHOLE = [d for d in SESSION if len(d.payload) == d.size]
SENDER = pack_address("10.78.0.1")


def read(datagram: Datagram) -> Packet:
    return decode(datagram.payload, datagram.sender, datagram.sender_port, PORT, CHUNKS)


def test_the_captured_session_is_what_its_description_says() -> None:
    kinds = Counter(type(read(datagram)).__name__ for datagram in WHOLE)
    # every BLOCK but the first was cut by the capture
    assert kinds == {
        "Join": 3,
        "JoinReply": 3,
        "Request": 4,
        "PartialRequest": 2,
        "Leave2": 3,
        "Block": 1,
    }
    blocks = [d for d in SESSION if d.size == BLOCK_PACKET_SIZE]
    assert len(blocks) == 2048 + 951 + 243
    assert len(SESSION) == len(WHOLE) + len(blocks) - 1


@pytest.mark.parametrize("number", range(len(WHOLE)))
def test_captured_packets_are_written_as_the_c_tools_write_them(number: int) -> None:
    datagram = WHOLE[number]
    assert encode(read(datagram), datagram.sender) == datagram.payload


def test_the_packets_say_what_the_description_says() -> None:
    packets = [read(datagram) for datagram in WHOLE]
    assert packets[:3] == [Join(373465271), JoinReply(2048), Join(139293733)]
    assert [p for p in packets if isinstance(p, Request)] == [
        Request(1, 0, 1024),
        Request(0, 0, 1024),
        Request(1, 0, 1024),
        Request(0, 0, 1024),
    ]
    first, again = [p for p in packets if isinstance(p, PartialRequest)]
    assert first == PartialRequest(1, 0, (1 << 951) - 1)
    assert again == PartialRequest(0, 1, ((1 << 243) - 1) << 781)
    left = next(p for p in packets if isinstance(p, Leave2))
    assert (left.client_id, left.elapsed) == (139293733, 0)
    statistics = left.statistics
    assert (statistics.runtime_ms, statistics.real_bytes) == (476, 12687360)
    assert (statistics.effective_bytes, statistics.no_chunk_ready) == (66060288, 168)
    assert (statistics.duplicates_done, statistics.requests, statistics.writer_idles) == (95, 2, 49)


@pytest.mark.parametrize(
    ("text", "packet"),
    [
        (
            (
                "01000000 07000000 18000000 0a4e0001"
                "28f8e86a 00000000 00040000 00040000 0000000000000000"
            ),
            Join2(1793652776),
        ),
        (
            (
                "02000000 07000000 18000000 0a4e0001"
                "28f8e86a 00000000 00040000 00040000 9005100000000000"
            ),
            Join2Reply(1793652776, 1050000),
        ),
        ("01000000 02000000 08000000 0a4e0001 cdab3412 07000000", Leave(0x1234ABCD, 7)),
    ],
)
def test_packets_that_the_captured_session_does_not_have(text: str, packet: Packet) -> None:
    data = bytes.fromhex(text)
    assert decode(data, SENDER, PORT, PORT, None) == packet
    assert encode(packet, SENDER) == data


SMALL = st.integers(0, 2**31 - 1)
BITMAPS = st.integers(0, (1 << 1024) - 1)
PACKETS = st.one_of(
    st.builds(Join, SMALL),
    st.builds(JoinReply, SMALL),
    st.builds(Join2, SMALL),
    st.builds(Join2Reply, SMALL, st.integers(0, 2**62)),
    st.builds(
        Block,
        st.integers(0, 99),
        st.integers(0, 1023),
        st.binary(min_size=BLOCK_SIZE, max_size=BLOCK_SIZE),
    ),
    st.integers(0, 1023).flatmap(
        lambda first: st.builds(
            Request, st.integers(0, 99), st.just(first), st.integers(1, 1024 - first)
        )
    ),
    st.builds(PartialRequest, st.integers(0, 99), st.integers(0, 1), BITMAPS),
    st.builds(Leave, SMALL, SMALL),
    st.builds(
        Leave2, SMALL, SMALL, st.builds(ClientStatistics, runtime_ms=SMALL, real_bytes=SMALL)
    ),
)


@given(PACKETS)
def test_what_is_written_reads_the_same(packet: Packet) -> None:
    data = encode(packet, SENDER)
    assert len(data) <= PACKET_LIMIT
    found = decode(data, SENDER, PORT, PORT, 100)
    if isinstance(found, Block):
        found = Block(found.chunk, found.block, bytes(found.data))
    assert found == packet


@given(st.binary(max_size=1100), st.sampled_from([None, 0, 1, 100]))
def test_rubbish_is_refused_or_sane(data: bytes, chunks: int | None) -> None:
    try:
        packet = decode(data, SENDER, PORT, PORT, chunks)
    except ProtocolError:
        return
    assert encode(packet, SENDER)


@given(PACKETS, st.data())
def test_a_damaged_packet_is_refused_or_sane(packet: Packet, data: st.DataObject) -> None:
    """What is accepted never leads out of the image or out of a chunk."""
    damaged = bytearray(encode(packet, SENDER))
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, min(27, len(damaged) - 1)))] = data.draw(
            st.integers(0, 255)
        )
    cut = bytes(damaged[: data.draw(st.integers(0, len(damaged)))])
    for datagram in (bytes(damaged), cut):
        try:
            found = decode(datagram, SENDER, PORT, PORT, 100)
        except ProtocolError:
            continue
        match found:
            case Block(chunk, block, content):
                assert 0 <= chunk < 100
                assert 0 <= block < 1024
                assert len(content) == BLOCK_SIZE
            case Request(chunk, first, count):
                assert 0 <= chunk < 100
                assert 0 <= first < first + count <= 1024
            case PartialRequest(chunk, _, bitmap):
                assert 0 <= chunk < 100
                assert 0 <= bitmap < 1 << 1024
            case _:
                pass


def request(chunk: int, first: int, count: int) -> bytes:
    return encode(Request(chunk, first, count), SENDER)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "Bad message length (0 != 0)"),
        (b"\1" * 15, "Bad message length (15 != 0)"),
        (struct.pack("<iii4s", 1, 1, 4, SENDER), "Bad message length (16 != 4)"),
        (struct.pack("<iii4s", 1, 1, -1, SENDER), "Bad message length (16 != -1)"),
        (struct.pack("<iii4si", 3, 1, 4, SENDER, 1), "bad packet 3/1 from 10.78.0.1, ignored"),
        (struct.pack("<iii4si", 1, 8, 4, SENDER, 1), "bad packet 1/8 from 10.78.0.1, ignored"),
        (struct.pack("<iii4si", 1, 4, 4, SENDER, 1), "bad packet 1/4 from 10.78.0.1, ignored"),
        (request(2, 0, 1), "bad packet 1/4 from 10.78.0.1, ignored"),
        (request(-1, 0, 1), "bad packet 1/4 from 10.78.0.1, ignored"),
        (request(0, 1024, 1), "bad packet 1/4 from 10.78.0.1, ignored"),
        (request(0, 1000, 25), "bad packet 1/4 from 10.78.0.1, ignored"),
        # the C server ends with an assertion
        (request(0, 0, 0), "bad packet 1/4 from 10.78.0.1, ignored"),
        (encode(Block(2, 0, bytes(1024)), SENDER), "bad packet 1/3 from 10.78.0.1, ignored"),
        (encode(Block(0, 1024, bytes(1024)), SENDER), "bad packet 1/3 from 10.78.0.1, ignored"),
        (encode(PartialRequest(2, 0, 1), SENDER), "bad packet 1/6 from 10.78.0.1, ignored"),
    ],
)
def test_bad_packets_are_named_as_the_c_tools_name_them(data: bytes, words: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        decode(data, SENDER, PORT, PORT, CHUNKS)
    assert caught.value.message == words


def test_a_packet_must_come_from_where_it_says() -> None:
    data = encode(Join(1), SENDER)
    with pytest.raises(ProtocolError, match="Bad message source"):
        decode(data, pack_address("10.78.0.2"), PORT, PORT, None)
    with pytest.raises(ProtocolError, match="Bad message port"):
        decode(data, SENDER, PORT + 1, PORT, None)
