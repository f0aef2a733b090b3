"""Who is at the other end of a loopback connection.

Loopback is shared by all users of a machine, and the testbed's ramdisks give shells: a connection
is served only when its peer socket belongs to the testbed's owner, or to root. The kernel tells it
in ``/proc/net/tcp`` (proc_pid_net(5)): addresses in hexadecimal host order, and the owner's uid.
"""

import logging
import os
import socket
import sys
from pathlib import Path

import trio

log = logging.getLogger(__name__)

TABLE = Path("/proc/net/tcp")

Address = tuple[str, int]


def table_form(address: Address) -> str:
    """An IPv4 address and port as the kernel's table has them."""
    packed = int.from_bytes(socket.inet_aton(address[0]), sys.byteorder)
    return f"{packed:08X}:{address[1]:04X}"


def owner_in(table: str, local: Address, remote: Address) -> int | None:
    """The uid of the socket at ``local`` that is connected to ``remote``; None when not there."""
    wanted = [table_form(local), table_form(remote)]
    for line in table.splitlines():
        fields = line.split()
        if fields[1:3] == wanted and len(fields) > 7 and fields[7].isdecimal():
            return int(fields[7])
    return None


def is_allowed(peer: Address, own: Address) -> bool:
    """Whether the process behind ``peer``, connected to ``own``, may be served."""
    uid = owner_in(TABLE.read_text(), peer, own)
    return uid is not None and uid in (0, os.geteuid())


def is_welcome(stream: trio.SocketStream, what: str) -> bool:
    """Whether a connection to ``what`` may be served; one that is reset already may not."""
    try:
        peer, own = stream.socket.getpeername()[:2], stream.socket.getsockname()[:2]
    except OSError:
        return False
    if not is_allowed(peer, own):
        log.warning("%s: refused %s:%s, another user's", what, *peer)
        return False
    return True
