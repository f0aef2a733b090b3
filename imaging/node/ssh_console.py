"""The console of a ramdisk over ssh: only who has the key that it was built for gets a shell.

The ramdisk's host key is of its own boot, so it is not looked at: what proves the ramdisk is its
uptime, as over telnet. A terminal is asked for, so that what runs there ends with the connection.
"""

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import asyncssh
import trio

from imaging._aio import from_aio
from imaging.errors import NodeError, Reason
from imaging.node.console import Console
from imaging.node.remote import SshLogin, attempt_failed

TERMINAL = "vt100"
WINDOW = (80, 24)


class SshTerminal:
    """What asyncssh has made of a connection: a terminal with a shell on it."""

    name = "ssh"

    def __init__(self, process: asyncssh.SSHClientProcess[bytes]) -> None:
        """Made by open_ssh_console."""
        self._process = process

    def send(self, data: bytes) -> None:
        """Type text. Raises OSError when the connection is closed."""
        self._process.stdin.write(data)

    async def receive(self, size: int) -> bytes:
        """What the terminal shows next; nothing at its end. Raises OSError."""
        try:
            data: bytes = await from_aio(self._process.stdout.read, size)
        except asyncssh.Error as error:
            raise OSError(error.reason) from error
        return data

    async def rest(self, seconds: float) -> None:
        """Take nothing for so long: what is shown meanwhile comes in few pieces then."""
        await trio.sleep(seconds)


@asynccontextmanager
async def open_ssh_console(
    stream: socket.socket,
    node: str,
    *,
    login: SshLogin,
    on_traffic: Callable[[str, bytes], None] | None = None,
) -> AsyncIterator[Console]:
    """Log in over a connection; it is closed, without waiting, at the end of the block.

    ``on_traffic`` is told all that is sent (``">"``) and all that is received (``"<"``). Raises
    NodeError ``not-our-ramdisk`` when we are not let in.
    """
    connection: asyncssh.SSHClientConnection | None = None
    try:
        try:
            connection = await from_aio(asyncssh.connect, sock=stream, options=login.options)
            process = await from_aio(
                connection.create_process, term_type=TERMINAL, term_size=WINDOW, encoding=None
            )
        except Exception as error:
            raise NodeError(
                f"{node}: ssh answers, but gives no shell: {attempt_failed(error).message}",
                reason=Reason.NOT_OUR_RAMDISK,
                hint="was the ramdisk built for the key of [ramdisk] key?",
            ) from error
        yield Console(SshTerminal(process), node, on_traffic)
    finally:
        # synchronous, so that no cancellation can skip it
        if connection is not None:
            connection.abort()
        stream.close()
