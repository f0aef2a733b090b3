"""The UDP sockets of a session, and the kernel's segmentation offload where it is to be had.

Each side has one socket at its own address and port, from which it sends and at which unicast
arrives, and in multicast mode a second one at the group's address. So a server and many clients
can live on one host, each at its own loopback address, without privilege. Every packet of a
session has the session's port as source and as destination port.
"""

import contextlib
import errno
import ipaddress
import select
import socket
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from imaging.frisbee.errors import FrisbeeError
from imaging.frisbee.packets import BLOCK_PACKET_SIZE, pack_address
from imaging.frisbee.trains import Train

BUFFER_SIZE = 8 * 1024 * 1024  # bytes asked of the kernel; only root may exceed its limit
MULTICAST_TTL = 5
DATAGRAM_LIMIT = 65507  # bytes in one call, also when the kernel cuts it into packets
BLOCKS_PER_CALL = DATAGRAM_LIMIT // BLOCK_PACKET_SIZE
BYTES_PER_CALL = BLOCKS_PER_CALL * BLOCK_PACKET_SIZE
RETRY_S = 0.001
CALLS_PER_TURN = 16
SENDERS_REMEMBERED = 4096

# linux/udp.h, linux/in.h; not in the socket module
UDP_SEGMENT, UDP_GRO = 103, 104
IP_MULTICAST_ALL = 49
IP_BLOCK_SOURCE = 38
SO_SNDBUFFORCE, SO_RCVBUFFORCE = 32, 33

_CUT = [(socket.IPPROTO_UDP, UDP_SEGMENT, struct.pack("@H", BLOCK_PACKET_SIZE))]
_CUT_REFUSALS = frozenset({errno.EIO, errno.EINVAL, errno.EMSGSIZE})
_OTHERS_ABSENCE = frozenset({errno.ECONNREFUSED, errno.EHOSTUNREACH})
# what the kernel says of one destination, and not of the network that the group is in
_HOST_ERRORS = frozenset(
    {
        errno.EACCES,
        errno.EADDRNOTAVAIL,
        errno.EHOSTDOWN,
        errno.EINVAL,
        errno.EIO,
        errno.EMSGSIZE,
        errno.ENETDOWN,
        errno.ENETUNREACH,
        errno.EPERM,
    }
)
_ANCILLARY_SIZE = socket.CMSG_SPACE(4)

BIND_STATUS, NETWORK_STATUS = 98, 255


class UnreachableHostError(FrisbeeError):
    """Nothing can be sent to one host. Who that is, anybody can make up: no reason to end."""


@dataclass(frozen=True, slots=True)
class SessionAddress:
    """Where a session takes place; ``broadcast`` is the tools' -b."""

    own: str
    group: str
    port: int
    broadcast: bool = False

    @property
    def is_multicast(self) -> bool:
        """Whether the group is in 224.0.0.0/4."""
        return ipaddress.IPv4Address(self.group).is_multicast


class SessionSocket:
    """The sockets of one participant."""

    def __init__(
        self, address: SessionAddress, *, hear_oneself: bool, offload: bool = True
    ) -> None:
        """Open and bind.

        Without ``hear_oneself``, nothing that has our own address is received.
        With ``offload``, packets are cut and joined by the kernel where it can. Raises FrisbeeError
        with the C tools' words and status.
        """
        self.address = address
        # the kernel leaves out what comes from there in multicast mode, and only there
        self._unheard = None if hear_oneself else address.own
        self._target = (address.group, address.port)
        self._own = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._cuts = offload and _can_cut(self._own)
        self._group: socket.socket | None = None
        try:
            self._bind()
        except OSError:
            self.close()
            raise
        except FrisbeeError:
            self.close()
            raise
        self._receivers = [s for s in (self._own, self._group) if s is not None]
        for receiver in self._receivers:
            receiver.setblocking(False)
            _enlarge(receiver, socket.SO_RCVBUF, SO_RCVBUFFORCE)
            with contextlib.suppress(OSError):  # a kernel before 5.0 hands packets singly
                receiver.setsockopt(socket.IPPROTO_UDP, UDP_GRO, int(offload))
        _enlarge(self._own, socket.SO_SNDBUF, SO_SNDBUFFORCE)
        self._view = memoryview(bytearray(DATAGRAM_LIMIT + 1))
        self._buffers = [self._view]

    def _bind(self) -> None:
        address = self.address
        try:
            self._own.bind((address.own, address.port))
            if address.is_multicast:
                self._group = self._join_group()
            elif address.broadcast:
                self._own.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
                self._group = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                self._group.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                self._group.bind((address.group, address.port))
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                raise FrisbeeError(
                    f"Could not bind to port {address.port}!", exit_status=BIND_STATUS
                ) from error
            if error.errno == errno.EADDRNOTAVAIL:
                raise FrisbeeError(
                    f"{address.own} is no address of this host", exit_status=NETWORK_STATUS
                ) from error
            raise FrisbeeError(
                f"setsockopt(IPPROTO_IP, IP_ADD_MEMBERSHIP) : {error.strerror}",
                exit_status=NETWORK_STATUS,
            ) from error

    def _add_membership(self, receiver: socket.socket) -> None:
        """Join the group. What is not to be heard is a property of each membership."""
        own, group = (socket.inet_aton(a) for a in (self.address.own, self.address.group))
        receiver.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group + own)
        if self._unheard:
            receiver.setsockopt(socket.IPPROTO_IP, IP_BLOCK_SOURCE, group + own + own)

    def _join_group(self) -> socket.socket:
        own = socket.inet_aton(self.address.own)
        receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            receiver.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            receiver.bind(self._target)
            receiver.setsockopt(socket.IPPROTO_IP, IP_MULTICAST_ALL, 0)
            self._add_membership(receiver)
        except OSError:
            receiver.close()
            raise
        self._own.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, own)
        self._own.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, MULTICAST_TTL)
        # loopback stays on: other nodes of a virtual testbed are on this host
        return receiver

    def close(self) -> None:
        """Close all sockets."""
        self._own.close()
        if self._group is not None:
            self._group.close()

    def renew_membership(self) -> None:
        """Leave and join the group, for switches that forget (the tools' -K).

        What fails is tried again when it is next renewed; until then nothing may be heard.
        """
        if self._group is not None and self.address.is_multicast:
            request = socket.inet_aton(self.address.group) + socket.inet_aton(self.address.own)
            with contextlib.suppress(OSError):  # an interface that was gone has left the group
                self._group.setsockopt(socket.IPPROTO_IP, socket.IP_DROP_MEMBERSHIP, request)
            with contextlib.suppress(OSError):
                self._add_membership(self._group)

    def receive(self, wait_s: float) -> Iterator[Train]:
        """What is there, or comes within ``wait_s`` seconds.

        The content of a train is valid until the next one is asked for. Comes to an end also while
        more and more arrives, so that the caller can look at its clock. Raises FrisbeeError, status
        255.
        """
        ready, _, _ = select.select(self._receivers, [], [], max(0.0, wait_s))
        for receiver in ready:
            for _ in range(CALLS_PER_TURN):
                try:
                    size, ancillary, _, sender = receiver.recvmsg_into(
                        self._buffers, _ANCILLARY_SIZE
                    )
                except BlockingIOError:
                    break
                except OSError as error:
                    # an ICMP answer to something sent earlier is not ours to die of
                    if error.errno in _OTHERS_ABSENCE:
                        continue
                    raise _network_error("PacketReceive(recvfrom)", error) from error
                if sender[0] == self._unheard:
                    continue
                segment = _segment_size(ancillary) or size
                yield Train(self._view[:size], segment, _packed_address(sender[0]), sender[1])

    def send(self, datagram: bytes, to: str | None = None) -> None:
        """Send one packet to the group, or to one host.

        Raises UnreachableHostError when it cannot go to that host, and FrisbeeError, status 255,
        when the network fails.
        """
        try:
            self._send([datagram], (to, self.address.port) if to else self._target)
        except OSError as error:
            if to and error.errno in _HOST_ERRORS:
                raise UnreachableHostError(f"{to} cannot be sent to: {error.strerror}") from error
            raise _network_error("PacketSend(sendto)", error) from error

    def send_blocks(self, runs: Sequence[memoryview]) -> None:
        """Send runs of block packets. Raises FrisbeeError, status 255.

        The kernel gathers and cuts them where it can (UDP_SEGMENT); where it cannot, which is
        found out by trying once, they go out singly.
        """
        try:
            for call in _calls(runs):
                if not (self._cuts and self._send_cut(call)):
                    for packets in call:
                        for start in range(0, len(packets), BLOCK_PACKET_SIZE):
                            self._send([packets[start : start + BLOCK_PACKET_SIZE]], self._target)
        except OSError as error:
            raise _network_error("PacketSend(sendto)", error) from error

    def _send_cut(self, call: Sequence[memoryview]) -> bool:
        """Have the kernel cut packets; False when it does not, now and for ever."""
        try:
            self._send(call, self._target, _CUT)
        except OSError as error:
            if error.errno not in _CUT_REFUSALS:
                raise
            self._cuts = False
        return self._cuts

    def _send(
        self,
        data: Sequence[bytes | memoryview],
        target: tuple[str, int],
        ancillary: Sequence[tuple[int, int, bytes]] = (),
    ) -> None:
        """Send, and wait for room as long as it takes. Raises OSError."""
        while True:
            try:
                self._own.sendmsg(data, ancillary, 0, target)
            except BlockingIOError:
                select.select([], [self._own], [], RETRY_S)
            except OSError as error:
                if error.errno in _OTHERS_ABSENCE:
                    return
                if error.errno != errno.ENOBUFS:
                    raise
                select.select([], [], [], RETRY_S)
            else:
                return


def _can_cut(sender: socket.socket) -> bool:
    """Whether the kernel knows UDP_SEGMENT: one before 4.18 would overlook it, and not cut."""
    try:
        sender.getsockopt(socket.IPPROTO_UDP, UDP_SEGMENT)
    except OSError:
        return False
    return True


def _calls(runs: Sequence[memoryview]) -> Iterator[list[memoryview]]:
    """Gather and split runs of packets, so that each list fits in one call."""
    call: list[memoryview] = []
    room = BYTES_PER_CALL
    for run in runs:
        rest = run
        while rest:
            part, rest = rest[:room], rest[room:]
            call.append(part)
            room -= len(part)
            if not room:
                yield call
                call, room = [], BYTES_PER_CALL
    if call:
        yield call


def _network_error(where: str, error: OSError) -> FrisbeeError:
    return FrisbeeError(f"{where} : {error.strerror}", exit_status=NETWORK_STATUS)


_packed_address = lru_cache(SENDERS_REMEMBERED)(pack_address)


def _segment_size(ancillary: list[tuple[int, int, bytes]]) -> int:
    """The size of the packets that the kernel has joined; 0 when it does not say."""
    for level, kind, data in ancillary:
        if level == socket.IPPROTO_UDP and kind == UDP_GRO:
            (size,) = struct.unpack_from("@i", data)
            return int(size)
    return 0


def _enlarge(target: socket.socket, option: int, forced: int) -> None:
    """Ask for a large buffer: as root beyond the kernel's limit, else up to it."""
    try:
        target.setsockopt(socket.SOL_SOCKET, forced, BUFFER_SIZE)
    except PermissionError:
        target.setsockopt(socket.SOL_SOCKET, option, BUFFER_SIZE)
