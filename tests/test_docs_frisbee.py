"""The tables of the protocol and the format are those of the code."""

import re
import struct

import pytest

from imaging.frisbee import ndz, packets
from imaging.frisbee.packets import (
    BITMAP_SIZE,
    BLOCK_SIZE,
    HEADER_SIZE,
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
    encode,
    pack_address,
)
from tests.documented_commands import ROOT

PAGE = (ROOT / "docs/explanation/frisbee.md").read_text()
SOURCE = pack_address("10.78.0.1")
SUBTYPES = ("JOIN", "LEAVE", "BLOCK", "REQUEST", "LEAVE2", "PREQUEST", "JOIN2")


def table(mark: str) -> list[list[str]]:
    """The rows of the table after a mark, without its heading."""
    after = PAGE.partition(f"<!-- {mark} -->\n")[2].lstrip("\n").partition("\n\n")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in after.splitlines()]
    assert rows[1] == ["---"] * len(rows[0])
    return rows[2:]


def fields(packet: str) -> list[tuple[int, int]]:
    """Offsets and sizes of a packet's payload on the page."""
    return [
        (int(offset), int(size)) for name, offset, size, _ in table("payloads") if name == packet
    ]


def sizes_of(layout: str) -> list[int]:
    """The sizes of a struct's fields."""
    return [struct.calcsize(f"<{code}") for code in re.findall(r"\d*s|[a-zA-Z]", layout)]


def test_the_header_is_the_codes() -> None:
    rows = [(int(offset), int(size)) for offset, size, _ in table("packet header")]
    assert [size for _, size in rows] == sizes_of(packets._HEADER.format)
    assert rows == [(0, 4), (4, 4), (8, 4), (12, 4)]
    assert packets._HEADER.size == HEADER_SIZE


def test_the_subtypes_are_the_codes() -> None:
    for number, name, payload, *_ in table("subtypes"):
        assert getattr(packets, name) == int(number)
        assert packets._PAYLOAD_SIZES[int(number)] == int(payload)
    assert [row[1] for row in table("subtypes")] == list(SUBTYPES)


A, B, C = NUMBERS = 0x01020304, 0x11121314, 0x21222324


@pytest.mark.parametrize(
    ("name", "packet", "values"),
    [
        ("JOIN, asked", Join(A), [A]),
        ("JOIN, answered", JoinReply(A), [A]),
        ("JOIN2", Join2(A), [A, 0, 1024, 1024, 0]),
        ("JOIN2", Join2Reply(A, 1 << 40), [A, 0, 1024, 1024, 1 << 40]),
        ("BLOCK", Block(A, B, b"\x07" * BLOCK_SIZE), [A, B, b"\x07" * BLOCK_SIZE]),
        ("REQUEST", Request(*NUMBERS), [*NUMBERS]),
        (
            "PREQUEST",
            PartialRequest(A, B, 1 << 9),
            [A, B, (b"\0\2").ljust(BITMAP_SIZE, b"\0")],
        ),
        ("LEAVE", Leave(A, B), [A, B]),
        (
            "LEAVE2",
            Leave2(A, B),
            [A, B, ClientStatistics().encode()],
        ),
    ],
)
def test_every_field_of_a_packet_is_where_the_page_says(
    name: str, packet: Packet, values: list[int | bytes]
) -> None:
    datagram = encode(packet, SOURCE)
    end = HEADER_SIZE
    for (offset, size), value in zip(fields(name), values, strict=True):
        assert offset == end, "fields follow each other"
        end = offset + size
        found = datagram[offset:end]
        assert found == (value if isinstance(value, bytes) else value.to_bytes(size, "little"))
    assert end == len(datagram)


def test_every_row_is_of_a_packet() -> None:
    names = {name.partition(",")[0] for name, *_ in table("payloads")}
    assert names == set(SUBTYPES)


@pytest.mark.parametrize("version", [1, 2, 3, 4])
def test_every_field_of_a_chunks_header_is_where_the_page_says(version: int) -> None:
    later = version > 1
    header = ndz.ChunkHeader(
        version=version,
        compressed_size=0x11121,
        index=0x21,
        total=0x31,
        regions=(ndz.Region(64, 8), ndz.Region(128, 16)),
        first_sector=60 if later else None,
        last_sector=4000 if later else None,
        relocations=(),
        uuid=b"\x09" * 16 if version == 4 else None,
    )
    data = ndz.encode_header(header)
    values: dict[int, int | bytes] = {
        0: 0x69696969 + version - 1, 4: 0x11121, 8: 0x21, 12: 0x31, 16: 4096, 20: 2,
        24: 60, 28: 4000, 32: 0, 328: b"\x09" * 16,
    }  # fmt: skip
    rows = table("chunk header")
    assert [int(row[0]) for row in rows] == list(values)
    for offset_text, size_text, _, versions in rows:
        first, _, last = versions.partition(" to ")
        if not int(first) <= version <= int(last or first):
            continue
        offset, size = int(offset_text), int(size_text)
        value, found = values[offset], data[offset : offset + size]
        assert found == (value if isinstance(value, bytes) else value.to_bytes(size, "little"))
    regions = {1: 24, 2: 36, 3: 36, 4: 344}[version]
    assert data[regions : regions + 16] == struct.pack("<IIII", 64, 8, 128, 16)


def test_the_sizes_in_words_are_the_codes() -> None:
    words = " ".join(PAGE.split())
    assert f"chunks of {ndz.CHUNK_SIZE} bytes" in words
    assert f"header in {ndz.HEADER_SIZE} bytes" in words
    offsets = ndz._HEADER_LENGTH
    assert (
        f"offset {offsets[1]} in version 1, {offsets[2]} in versions 2 and 3, and {offsets[4]}"
        in words
    )
    assert f"relocations of {ndz._RELOCATION.size} bytes" in words
