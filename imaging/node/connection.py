"""A TCP connection to a node that may be booting, or lose its power."""

import errno
import os
import socket

import trio

KEEPALIVE_S = 5  # a node whose power was cut sends no FIN; TCP notices after about 3 of these


async def connect(address: str, port: int) -> socket.socket:
    """Open a TCP connection. Raises OSError; the caller's scope bounds it."""
    with trio.socket.socket(socket.AF_INET, socket.SOCK_STREAM) as stream:
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_S)
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_S)
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 4 * KEEPALIVE_S * 1000)
        await stream.connect((address, port))
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        if stream.getsockname() == stream.getpeername():
            # TCP's simultaneous open with itself: only when an ephemeral port is polled
            raise OSError(errno.ECONNREFUSED, "connected to itself")
        return socket.socket(fileno=stream.detach())


def words(error: OSError | trio.TooSlowError) -> str:
    """Why an attempt failed, in words."""
    if isinstance(error, trio.TooSlowError):
        return "no answer"
    # not strerror: trio puts the address there, which the user has read already
    return (os.strerror(error.errno) if error.errno else str(error)).lower()
