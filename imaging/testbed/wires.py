"""The wires of a virtual node, which go dead when its power is cut: no FIN, no RST, no ACK.

Loopback is never unplugged; but a socket whose filter (``SO_ATTACH_FILTER``, socket(7)) takes no
packet acknowledges nothing, answers no keepalive, and as a listener no SYN. That needs no
privilege. What the node itself would send is up to its processes, which must be stopped.
"""

import ctypes
import socket
import struct
from typing import Protocol

SO_ATTACH_FILTER = 26  # asm-generic/socket.h; the socket module does not have it
RETURN_CONSTANT = 0x06  # BPF_RET | BPF_K: so many bytes of the packet are kept


class WireEnd(Protocol):
    """A socket of trio, asyncio or the standard library."""

    def setsockopt(self, level: int, option: int, value: bytes, /) -> None:
        """As that of socket.socket."""


def cut(end: WireEnd) -> None:
    """Let nothing that is sent to this socket arrive any more."""
    code = ctypes.create_string_buffer(struct.pack("HBBI", RETURN_CONSTANT, 0, 0, 0))
    program = struct.pack("HP", 1, ctypes.addressof(code))  # struct sock_fprog
    try:
        end.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)
    except OSError:
        return  # it is closed already


class Wires:
    """All sockets of a machine that runs."""

    def __init__(self) -> None:
        """None yet."""
        self._ends: set[WireEnd] = set()

    def add(self, end: WireEnd) -> None:
        """One more socket."""
        self._ends.add(end)

    def remove(self, end: WireEnd) -> None:
        """It is closed."""
        self._ends.discard(end)

    def cut(self) -> None:
        """The power is gone."""
        for end in self._ends:
            cut(end)
