"""The packets of the frisbee protocol: bytes in, values out, and back. Pure.

Every packet has a header of 16 bytes: type (1 request, 2 reply), subtype, payload length, and the
sender's IPv4 address. Integers are little-endian (host order of the sender; there is no byte
swapping at all), the address is in network order. Only replies to a join have type 2: the server's
own BLOCK packets have type 1. Rules and log texts are those of the Emulab tools of 2011.
"""

import ipaddress
import struct
from dataclasses import dataclass, field

from imaging.frisbee.errors import ProtocolError

BLOCK_SIZE = 1024  # bytes
BLOCKS_PER_CHUNK = 1024
HEADER_SIZE = 16
BLOCK_PACKET_SIZE = HEADER_SIZE + 8 + BLOCK_SIZE
PACKET_LIMIT = 1056  # the receive buffer of the C programs; nothing larger is ever sent
BITMAP_SIZE = BLOCKS_PER_CHUNK // 8

REQUEST_TYPE, REPLY_TYPE = 1, 2
JOIN, LEAVE, BLOCK, REQUEST, LEAVE2, PREQUEST, JOIN2 = range(1, 8)

_HEADER = struct.Struct("<iii4s")
BLOCK_HEADER = struct.Struct("<iii4sii")
_STATISTICS_SIZE = 1028
# runtime s and ms, start delay, bytes written, effective bytes; then 25 counters (see fields)
_STATISTICS = struct.Struct("<iiiiqq25i")
_PAYLOAD_SIZES = {
    JOIN: 4,
    LEAVE: 8,
    BLOCK: 1032,
    REQUEST: 12,
    LEAVE2: 1036,
    PREQUEST: 136,
    JOIN2: 24,
}


@dataclass(frozen=True, slots=True)
class Join:
    """A client wants to know the image's size in blocks; the id is any number but 0."""

    client_id: int


@dataclass(frozen=True, slots=True)
class JoinReply:
    """The image has so many blocks of 1024 bytes."""

    blocks: int


@dataclass(frozen=True, slots=True)
class Join2:
    """A client wants to know the image's size in bytes."""

    client_id: int


@dataclass(frozen=True, slots=True)
class Join2Reply:
    """The image has so many bytes, in chunks and blocks of the usual size."""

    client_id: int
    size: int
    chunk_size: int = BLOCKS_PER_CHUNK
    block_size: int = BLOCK_SIZE


@dataclass(frozen=True, slots=True)
class Block:
    """One block of the image; ``data`` always has 1024 bytes."""

    chunk: int
    block: int
    data: bytes | memoryview


@dataclass(frozen=True, slots=True)
class Request:
    """A client asks for a run of blocks of one chunk."""

    chunk: int
    first: int
    count: int

    @property
    def bitmap(self) -> int:
        """The blocks asked for, bit n for block n."""
        return ((1 << self.count) - 1) << self.first


@dataclass(frozen=True, slots=True)
class PartialRequest:
    """A client asks for some blocks of one chunk; ``retries`` is 1 if it has asked before."""

    chunk: int
    retries: int
    bitmap: int


@dataclass(frozen=True, slots=True)
class Leave:
    """A client has all it wants, after so many seconds."""

    client_id: int
    elapsed: int


@dataclass(frozen=True, slots=True)
class ClientStatistics:
    """What a client tells of itself when it leaves; names follow the C tool's output."""

    runtime_ms: int = 0
    start_delay_ms: int = 0
    real_bytes: int = 0
    effective_bytes: int = 0
    chunk_buffers: int = 64
    read_ahead: int = 2
    in_progress: int = 8
    receive_timeout_us: int = 30000
    start_delay_option: int = 0
    idle_count: int = 3
    writer_idle_us: int = 1000
    redo_delay_us: int = 1_000_000
    randomize: int = 1
    no_chunk_ready: int = 0
    no_buffer: int = 0
    duplicates_done: int = 0
    duplicates_in_progress: int = 0
    partial_requests: int = 0
    receive_idles: int = 0
    joins: int = 0
    requests: int = 0
    decompressor_blocked: int = 0
    writer_idles: int = 0
    write_buffer_mb: int = 64
    lost_blocks: int = 0
    re_requests: int = 0

    def encode(self) -> bytes:
        """The statistics block of 1028 bytes."""
        head = (1, *divmod(self.runtime_ms, 1000), self.start_delay_ms)
        counters = (
            self.chunk_buffers, self.read_ahead, self.in_progress, self.receive_timeout_us,
            self.start_delay_option, self.idle_count, self.writer_idle_us, self.redo_delay_us,
            self.randomize, self.no_chunk_ready, self.no_buffer, self.duplicates_done,
            self.duplicates_in_progress, self.partial_requests, self.receive_idles, self.joins,
            self.requests, self.decompressor_blocked, self.writer_idles, self.write_buffer_mb,
            self.lost_blocks, self.re_requests, 0, 0, 0,
        )  # fmt: skip
        packed = _STATISTICS.pack(*head, self.real_bytes, self.effective_bytes, *counters)
        return packed.ljust(_STATISTICS_SIZE, b"\0")

    @staticmethod
    def decode(data: bytes) -> "ClientStatistics":
        """Read a statistics block; the caller has checked its size."""
        version, seconds, millis, delay, real, effective, *counters = _STATISTICS.unpack_from(data)
        del version
        return ClientStatistics(seconds * 1000 + millis, delay, real, effective, *counters[:22])


@dataclass(frozen=True, slots=True)
class Leave2:
    """A client has all it wants, and says how it went."""

    client_id: int
    elapsed: int
    statistics: ClientStatistics = field(default_factory=ClientStatistics)


Packet = Join | JoinReply | Join2 | Join2Reply | Block | Request | PartialRequest | Leave | Leave2


def blocks_of_chunk(chunk: int, blocks: int) -> int:
    """How many blocks a chunk of an image of so many has: 1024, but for a short last one."""
    return min(BLOCKS_PER_CHUNK, blocks - chunk * BLOCKS_PER_CHUNK)


def pack_address(address: str) -> bytes:
    """An IPv4 address as the header has it."""
    return ipaddress.IPv4Address(address).packed


def encode(packet: Packet, source: bytes) -> bytes:
    """A packet as a datagram; ``source`` is the sender's address, 4 bytes."""
    kind = REQUEST_TYPE
    match packet:
        case Join(client_id):
            subtype, payload = JOIN, struct.pack("<I", client_id)
        case JoinReply(blocks):
            kind, subtype, payload = REPLY_TYPE, JOIN, struct.pack("<i", blocks)
        case Join2(client_id):
            subtype = JOIN2
            payload = struct.pack("<IiiiQ", client_id, 0, BLOCKS_PER_CHUNK, BLOCK_SIZE, 0)
        case Join2Reply(client_id, size, chunk_size, block_size):
            kind, subtype = REPLY_TYPE, JOIN2
            payload = struct.pack("<IiiiQ", client_id, 0, chunk_size, block_size, size)
        case Block(chunk, block, data):
            subtype, payload = BLOCK, struct.pack("<ii", chunk, block) + bytes(data)
        case Request(chunk, first, count):
            subtype, payload = REQUEST, struct.pack("<iii", chunk, first, count)
        case PartialRequest(chunk, retries, bitmap):
            subtype = PREQUEST
            payload = struct.pack("<ii", chunk, retries) + bitmap.to_bytes(BITMAP_SIZE, "little")
        case Leave(client_id, elapsed):
            subtype, payload = LEAVE, struct.pack("<Ii", client_id, elapsed)
        case Leave2(client_id, elapsed, statistics):
            subtype = LEAVE2
            payload = struct.pack("<Ii", client_id, elapsed) + statistics.encode()
    return _HEADER.pack(kind, subtype, len(payload), source) + payload


def decode(
    datagram: bytes | memoryview, sender: bytes, sender_port: int, port: int, chunks: int | None
) -> Packet:
    """Read a datagram that came from ``sender`` (4 bytes) and ``sender_port``.

    ``port`` is the session's, ``chunks`` the number of chunks in the image, None when it is not
    known yet. Raises ProtocolError with the text that the C tools log.
    """
    size = len(datagram)
    if size < HEADER_SIZE:
        raise ProtocolError(f"Bad message length ({size} != {0})")
    kind, subtype, data_length, source = _HEADER.unpack_from(datagram)
    if data_length < 0 or size < HEADER_SIZE + data_length:
        raise ProtocolError(f"Bad message length ({size} != {data_length})")
    if source != sender:
        raise ProtocolError(
            f"Bad message source ({int.from_bytes(sender):x} != {int.from_bytes(source):x})"
        )
    if sender_port != port:
        raise ProtocolError(f"Bad message port ({sender_port} != {port})")
    text = str(ipaddress.IPv4Address(sender))
    bad = ProtocolError(f"bad packet {kind}/{subtype} from {text}, ignored")
    if kind not in (REQUEST_TYPE, REPLY_TYPE) or subtype not in _PAYLOAD_SIZES:
        raise bad
    if data_length < _PAYLOAD_SIZES[subtype]:
        raise bad
    packet = _decode_payload(kind, subtype, memoryview(datagram)[HEADER_SIZE:])
    if not _is_sane(packet, chunks):
        raise bad
    return packet


def _decode_payload(kind: int, subtype: int, payload: memoryview) -> Packet:
    reply = kind == REPLY_TYPE
    match subtype:
        case 1:
            (value,) = struct.unpack_from("<I", payload)
            return JoinReply(_signed(value)) if reply else Join(value)
        case 2:
            return Leave(*struct.unpack_from("<Ii", payload))
        case 3:
            chunk, block = struct.unpack_from("<ii", payload)
            return Block(chunk, block, payload[8 : 8 + BLOCK_SIZE])
        case 4:
            return Request(*struct.unpack_from("<iii", payload))
        case 5:
            client_id, elapsed = struct.unpack_from("<Ii", payload)
            statistics = ClientStatistics.decode(bytes(payload[8 : 8 + _STATISTICS_SIZE]))
            return Leave2(client_id, elapsed, statistics)
        case 6:
            chunk, retries = struct.unpack_from("<ii", payload)
            bitmap = int.from_bytes(payload[8 : 8 + BITMAP_SIZE], "little")
            return PartialRequest(chunk, retries, bitmap)
        case _:
            client_id, _, chunk_size, block_size, byte_count = struct.unpack_from("<IiiiQ", payload)
            if reply:
                return Join2Reply(client_id, byte_count, chunk_size, block_size)
            return Join2(client_id)


def _signed(value: int) -> int:
    return value - (1 << 32) if value >= 1 << 31 else value


def _is_sane(packet: Packet, chunks: int | None) -> bool:
    """Whether the numbers of a packet stay within the image. A run of no blocks does not."""
    match packet:
        case Block(chunk, block):
            return _is_chunk(chunk, chunks) and 0 <= block < BLOCKS_PER_CHUNK
        case Request(chunk, first, count):
            return (
                _is_chunk(chunk, chunks)
                and 0 <= first < BLOCKS_PER_CHUNK
                and 1 <= count <= BLOCKS_PER_CHUNK - first
            )
        case PartialRequest(chunk):
            return _is_chunk(chunk, chunks)
        case _:
            return True


def _is_chunk(chunk: int, chunks: int | None) -> bool:
    return chunk >= 0 and (chunks is None or chunk < chunks)
