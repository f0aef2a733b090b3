"""Images, their sidecars, and the packets in which they come: a result or an error of ours.

What they say of themselves never decides how much memory is taken.
"""

import json
import struct
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imaging.feedback.wording import human_size
from imaging.frisbee.client import Client
from imaging.frisbee.errors import FrisbeeError, ImageError, ProtocolError
from imaging.frisbee.ndz import (
    CHUNK_SIZE,
    HEADER_SIZE,
    MAX_COMPRESSED,
    PIECE_SIZE,
    SECTOR_SIZE,
    inflate_pieces,
    parse_header,
)
from imaging.frisbee.packets import (
    BLOCKS_PER_CHUNK,
    Block,
    Join,
    Join2,
    Join2Reply,
    JoinReply,
    PartialRequest,
    Request,
    blocks_of_chunk,
    decode,
    encode,
)
from imaging.frisbee.reception import ClientOptions
from imaging.frisbee.server_session import CLIENT_LIMIT, ServerOptions, ServerSession
from imaging.images.provenance import provenance
from imaging.images.sidecar import SIZE_LIMIT, read_sidecar, sidecar_path

INTEGERS = st.sampled_from([0, 1, -1, 2**31 - 1, -(2**31), 1023, 1024, 469]) | st.integers(
    -(2**31), 2**31 - 1
)


@st.composite
def raw_headers(draw: st.DrawFn) -> bytes:
    """The first bytes of a header, every field anything."""
    magic = draw(st.sampled_from([b"iiii", b"jiii", b"kiii", b"liii"]))
    size = draw(st.integers(1, MAX_COMPRESSED) | INTEGERS)
    fields = [size, draw(INTEGERS), draw(INTEGERS), HEADER_SIZE, draw(st.integers(0, 5) | INTEGERS)]
    data = magic + struct.pack("<5i", *fields)
    return data + draw(st.binary(max_size=400))


@given(raw_headers(), st.integers(0, HEADER_SIZE))
def test_any_header_is_read_or_refused(data: bytes, length: int) -> None:
    for header in (data.ljust(HEADER_SIZE, b"\0"), data[:length]):
        try:
            found = parse_header(header)
        except ImageError as error:
            assert str(error)
        else:
            assert 0 < found.compressed_size <= MAX_COMPRESSED
            assert len(found.regions) <= HEADER_SIZE // 8


def chunk_of(stream: bytes, sectors: int) -> bytes:
    """A chunk of version 1 that says that its stream expands to so many sectors."""
    header = b"iiii" + struct.pack("<5iII", len(stream), 0, 1, HEADER_SIZE, 1, 0, sectors)
    return (header.ljust(HEADER_SIZE, b"\0") + stream).ljust(CHUNK_SIZE, b"\0")


@settings(deadline=None)
@given(
    st.binary(max_size=100) | st.binary(max_size=3000).map(zlib.compress),
    st.integers(1, 8) | st.just(2**31),
    st.lists(st.tuples(st.integers(0, 80), st.integers(0, 255)), max_size=2),
)
def test_any_stream_expands_to_what_was_said_or_is_refused(
    stream: bytes, sectors: int, changes: list[tuple[int, int]]
) -> None:
    damaged = bytearray(stream or b"x")
    for place, value in changes:
        damaged[place % len(damaged)] = value
    chunk = chunk_of(bytes(damaged), sectors)
    header = parse_header(chunk)
    expanded = 0
    try:
        for piece in inflate_pieces(chunk, header):
            assert len(piece) <= PIECE_SIZE
            expanded += len(piece)
    except ImageError:
        assert expanded <= header.data_bytes
    else:
        assert expanded == header.data_bytes


@pytest.mark.parametrize("sectors", [1, 40 * 1024 * 1024 // SECTOR_SIZE, 2**31])
def test_a_bomb_expands_in_pieces(sectors: int) -> None:
    """40 MiB of zeros in 40 KiB, whatever the header says of it."""
    packer = zlib.compressobj()
    stream = b"".join(packer.compress(bytes(1 << 20)) for _ in range(40)) + packer.flush()
    chunk = chunk_of(stream, sectors)
    header, expanded = parse_header(chunk), 0
    tracemalloc.start()
    try:
        for piece in inflate_pieces(chunk, header):
            expanded += len(piece)
        told = ""
    except ImageError as error:
        told = str(error)
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 8 * PIECE_SIZE
    assert (told == "") == (sectors * SECTOR_SIZE == 40 << 20)
    assert expanded <= 40 << 20


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=8)
    | st.datetimes().map(lambda date: f"{date.isoformat()}+23:59"),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2)
    ),
    max_leaves=4,
)
GOOD: dict[str, Any] = {
    "name": "fedora",
    "date": "2026-01-02T03:04:05Z",
    "size": 10,
    "covered_bytes": 1,
    "data_bytes": 1,
    "minimum_disk_size": 1,
    "sha256": "ab" * 32,
}
FIELDS = st.sampled_from([*GOOD, "format_version", "node", "user", "comment", "parent", "x"])


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("images") / "fedora.ndz"
    made.write_bytes(bytes(10))
    return made


@given(changes=st.dictionaries(FIELDS, ANYTHING, max_size=3))
def test_any_sidecar_is_read_or_refused(image: Path, changes: dict[str, Any]) -> None:
    sidecar_path(image).write_text(json.dumps(GOOD | changes))
    try:
        sidecar = read_sidecar(image)
    except ImageError as error:
        assert str(error)
    else:
        assert sidecar is not None
        for size in (sidecar.size, sidecar.covered_bytes, sidecar.data_bytes):
            assert human_size(size)
    assert provenance(image).date.year >= 1970


@pytest.mark.parametrize(
    "text",
    [
        '{"x":' + "[" * 30_000 + "]" * 30_000 + "}",
        '{"x":' * 10_000,
        json.dumps(GOOD | {"covered_bytes": 10**4000}),
        json.dumps(GOOD | {"size": 2**63}),
    ],
    ids=["deep", "deeper", "huge", "large"],
)
def test_a_sidecar_that_cannot_be_is_refused(image: Path, text: str) -> None:
    assert len(text) < SIZE_LIMIT
    sidecar_path(image).write_text(text)
    with pytest.raises(ImageError, match="is no sidecar of an image"):
        read_sidecar(image)


SENDER, PORT = bytes([10, 0, 0, 1]), 7000


@st.composite
def datagrams(draw: st.DrawFn) -> bytes:
    """A datagram whose header is mostly right, and whose payload is anything."""
    subtype = draw(st.integers(-1, 9))
    payload = b"".join(
        struct.pack("<i", number) for number in draw(st.lists(INTEGERS, max_size=12))
    )
    payload = payload.ljust(draw(st.sampled_from([0, 4, 8, 12, 24, 136, 1032, 1036])), b"\xff")
    length = draw(st.just(len(payload)) | INTEGERS)
    source = draw(st.just(SENDER) | st.binary(min_size=4, max_size=4))
    return struct.pack("<iii4s", draw(st.integers(0, 3)), subtype, length, source) + payload


@given(st.lists(datagrams(), max_size=6), st.integers(1, 3 << 20))
def test_a_server_takes_any_packet(data: list[bytes], size: int) -> None:
    said: list[str] = []
    session = ServerSession(ServerOptions("image"), size, said.append, now=0.0)
    for datagram in data:
        try:
            packet = decode(datagram, SENDER, PORT, PORT, session.chunks)
        except ProtocolError as error:
            assert str(error)
            continue
        if isinstance(packet, Block | Request | PartialRequest):
            assert 0 <= packet.chunk < session.chunks
        reply = session.take(packet, "10.0.0.1")
        assert reply is None or encode(reply, SENDER)
    assert session.queue.chunks <= session.chunks
    now = 2.0
    while session.queue:
        for run in session.next_runs(now, BLOCKS_PER_CHUNK):
            assert run.first + run.count <= blocks_of_chunk(run.chunk, session.blocks)
        now += 1


def test_made_up_clients_take_no_more_than_so_much_memory() -> None:
    session = ServerSession(ServerOptions("image"), 1 << 20, lambda _: None, now=0.0)
    for number in range(CLIENT_LIMIT):
        host = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
        assert session.take(Join2(number), host) is not None
    assert session.take(Join2(CLIENT_LIMIT), "192.0.2.1") is None
    assert session.take(Join(CLIENT_LIMIT), "192.0.2.1") is None
    assert session.take(Join2(7), "10.0.0.7") is not None, "who is known already may ask again"
    assert session.take(Join2(CLIENT_LIMIT), "10.0.0.8") is not None, "in place of the one before"
    assert len(session._clients) == len(session._ids) == CLIENT_LIMIT


@given(st.integers(-(2**31), 2**31 - 1), st.integers(0, 2**64 - 1), INTEGERS, INTEGERS)
@pytest.mark.parametrize("raw", [False, True])
def test_any_size_of_an_image_is_sane_or_refused(
    raw: bool, blocks: int, size: int, chunk_size: int, block_size: int
) -> None:
    client = Client.__new__(Client)  # its sockets do not matter
    client._options = ClientOptions(raw=raw)
    for answer in (
        Join2Reply(1, size, chunk_size, block_size) if raw else JoinReply(blocks),
        Join2Reply(1, size) if raw else JoinReply(blocks // 1024 * 1024),
    ):
        try:
            found = client._check_size(answer)
        except FrisbeeError as error:
            assert str(error)
        else:
            assert 0 < found.blocks < 2**31
