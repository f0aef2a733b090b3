"""Who is at the other end of a loopback connection.

Loopback is shared by all users of a machine, and the testbed's ramdisks give shells: a connection
is served only when its peer socket belongs to the testbed's owner, or to root. The kernel is asked
for that one socket (sock_diag(7), linux/inet_diag.h); where it has no such interface, it is looked
for in ``/proc/net/tcp`` (proc_pid_net(5)), which has all sockets of the machine.

A socket that its process has closed has inode 0 and is said to be root's, whoever had it.
"""

import logging
import os
import socket
import struct
import sys
from dataclasses import dataclass
from pathlib import Path

import trio

log = logging.getLogger(__name__)

TABLE = Path("/proc/net/tcp")

NETLINK_SOCK_DIAG = 4
SOCK_DIAG_BY_FAMILY = 20
NLM_F_REQUEST = 1
NO_COOKIE = 0xFFFFFFFF
ANSWER_LIMIT = 4096  # bytes
_HEADER = struct.Struct("=IHHII")  # struct nlmsghdr
_OWNER_OFFSET = _HEADER.size + 4 + 48 + 12  # of idiag_uid in struct inet_diag_msg

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose a socket is, and its inode: 0 when no process has it open any more."""

    uid: int
    inode: int


def table_form(address: Address) -> str:
    """An IPv4 address and port as the kernel's table has them."""
    packed = int.from_bytes(socket.inet_aton(address[0]), sys.byteorder)
    return f"{packed:08X}:{address[1]:04X}"


def owner_in(table: str, local: Address, remote: Address) -> Owner | None:
    """The owner of the socket at ``local`` that is connected to ``remote``; None: not there."""
    wanted = [table_form(local), table_form(remote)]
    for line in table.splitlines():
        fields = line.split()
        if fields[1:3] == wanted and len(fields) > 9 and (fields[7] + fields[9]).isdecimal():
            return Owner(int(fields[7]), int(fields[9]))
    return None


def ask_kernel(local: Address, remote: Address) -> Owner | None:
    """As ``owner_in``, of the one socket, whatever the table has. Raises OSError."""
    ends = struct.pack(
        ">HH4s12x4s12x", local[1], remote[1], *(socket.inet_aton(end[0]) for end in (local, remote))
    )
    request = (
        struct.pack("=BBBxI", socket.AF_INET, socket.IPPROTO_TCP, 0, NO_COOKIE)
        + ends
        + struct.pack("=III", 0, NO_COOKIE, NO_COOKIE)
    )
    header = _HEADER.pack(_HEADER.size + len(request), SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG) as kernel:
        kernel.sendto(header + request, (0, 0))
        answer = kernel.recv(ANSWER_LIMIT)
    _, kind, *_ = _HEADER.unpack_from(answer)
    # when nobody is connected so, a listener at that address is an answer too
    if kind != SOCK_DIAG_BY_FAMILY or answer[_HEADER.size + 4 :][: len(ends)] != ends:
        return None
    return Owner(*struct.unpack_from("=II", answer, _OWNER_OFFSET))


def is_allowed(peer: Address, own: Address) -> bool:
    """Whether the process behind ``peer``, connected to ``own``, may be served."""
    try:
        owner = ask_kernel(peer, own)
    except OSError:
        owner = None
    if owner is None:  # a kernel without that interface says the same as of no such socket
        owner = owner_in(TABLE.read_text(), peer, own)
    return owner is not None and owner.inode != 0 and owner.uid in (0, os.geteuid())


def is_welcome(stream: trio.SocketStream, what: str) -> bool:
    """Whether a connection to ``what`` may be served; one that is reset already may not."""
    try:
        peer, own = stream.socket.getpeername()[:2], stream.socket.getsockname()[:2]
    except OSError:
        return False
    if not is_allowed(peer, own):
        log.warning("%s: refused %s:%s, another user's, or gone already", what, *peer)
        return False
    return True
