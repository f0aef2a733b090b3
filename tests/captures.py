"""Reading packet captures (pcap, Ethernet), as far as a captured frisbee session needs."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

UDP = 17


@dataclass(frozen=True, slots=True)
class Datagram:
    """One UDP datagram; ``payload`` may have been cut by the capture, ``size`` is its real size."""

    at: float
    sender: bytes
    receiver: bytes
    sender_port: int
    receiver_port: int
    size: int
    payload: bytes


def datagrams(capture: Path) -> Iterator[Datagram]:
    """The UDP datagrams of a capture, in order."""
    data = capture.read_bytes()
    assert data[:4] == b"\xd4\xc3\xb2\xa1", "not a little-endian pcap file"
    place = 24
    while place < len(data):
        seconds, micros, captured, _ = struct.unpack_from("<IIII", data, place)
        frame = data[place + 16 : place + 16 + captured]
        place += 16 + captured
        if frame[12:14] != b"\x08\0" or frame[23] != UDP:
            continue
        udp = 14 + (frame[14] & 15) * 4
        source, target, length, _ = struct.unpack_from(">HHHH", frame, udp)
        yield Datagram(
            seconds + micros / 1e6,
            frame[26:30],
            frame[30:34],
            source,
            target,
            length - 8,
            frame[udp + 8 : udp + length],
        )
