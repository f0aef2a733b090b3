"""The ssh port of a node, without a login: who listens there says what it is."""

import trio

from imaging.node.connection import connect

LINES_LIMIT = 1024  # bytes; RFC 4253, 4.2: lines may come before the one that counts
BEGIN = b"SSH-"


async def ssh_banner(address: str, port: int) -> str | None:
    """The line by which an ssh server introduces itself; None when this is none.

    The caller's scope bounds it. Raises OSError when nobody listens.
    """
    with trio.socket.from_stdlib_socket(await connect(address, port)) as stream:
        received = b""
        while len(received) < LINES_LIMIT:
            data = await stream.recv(LINES_LIMIT - len(received))
            received += data
            banner = find_banner(received, is_whole=not data)
            if banner is not None or not data:
                return banner
    return None


def find_banner(received: bytes, *, is_whole: bool) -> str | None:
    """The line of an ssh server in what has come; without its end only when that is all."""
    lines = received.split(b"\n")
    for line in lines if is_whole else lines[:-1]:
        if line.startswith(BEGIN):
            return line.strip().decode("ascii", "replace")
    return None
