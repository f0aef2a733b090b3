"""The console of a node's ramdisk: a shell over telnet, or over what ssh_console makes.

An open port is not yet a shell: inetutils' telnetd says nothing until its options are answered,
and a login program, or an old system, may sit behind the port. So nothing is believed but a
marker that a shell must have printed (see markers). telnetlib3 negotiates the options; asyncio
ends at the edge of this file.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Protocol, cast

import msgspec
import telnetlib3
import trio

from imaging._aio import from_aio
from imaging.errors import NodeError, Reason
from imaging.node.connection import words
from imaging.node.markers import MarkedCommand
from imaging.node.terminal_text import TerminalText

READ_SIZE = 65536  # bytes
OUTPUT_LIMIT = 65536  # bytes of a command's output that are kept for its result

OnOutput = Callable[[bytes], float | None]


class CommandResult(msgspec.Struct, frozen=True):
    """How a command ended: its exit status, and the end of its output (both streams)."""

    status: int
    output: str


class Terminal(Protocol):
    """A connection to a terminal of the node."""

    name: str
    """The protocol, as it is called in messages."""

    def send(self, data: bytes) -> None:
        """Type text. Raises OSError when the connection is closed."""

    async def receive(self, size: int) -> bytes:
        """What the terminal shows next; nothing at its end. Raises OSError and EOFError."""
        ...

    async def rest(self, seconds: float) -> None:
        """Take nothing for so long: what is shown meanwhile comes in few pieces then."""


class _Reader(telnetlib3.TelnetReader):
    """What telnetlib3 puts text into; who waits for it is woken in trio.

    It costs a third less than an asyncio task for each piece.
    """

    def __init__(self, limit: int = READ_SIZE) -> None:
        super().__init__(limit)
        self._unread = 0  # bytes
        self._news = trio.Event()

    def feed_data(self, data: bytes) -> None:
        super().feed_data(data)
        self._unread += len(data)
        self._news.set()

    def feed_eof(self) -> None:
        super().feed_eof()
        self._news.set()

    def set_exception(self, exc: Exception) -> None:
        super().set_exception(exc)
        self._news.set()

    async def receive(self, size: int) -> bytes:
        """The next bytes; nothing at the end. Raises what the connection has failed with."""
        while not (self._unread or self.at_eof() or self.exception()):
            self._news = trio.Event()
            await self._news.wait()
        data = _at_once(self.read(size))
        self._unread -= len(data)
        return data


def _at_once(reading: Coroutine[Any, Any, bytes]) -> bytes:
    """What a coroutine gives that has nothing to wait for."""
    try:
        reading.send(None)
    except StopIteration as end:
        return cast(bytes, end.value)
    reading.close()
    raise AssertionError("there was something to wait for")


class _Client(telnetlib3.TelnetClient):
    """telnetlib3's client, with such a reader."""

    _reader_factory = _Reader


class TelnetTerminal:
    """What telnetlib3 has made of a connection."""

    name = "telnet"

    def __init__(
        self, reader: _Reader, writer: telnetlib3.TelnetWriter, transport: asyncio.Transport
    ) -> None:
        """Made by open_console."""
        self._reader, self._writer, self._transport = reader, writer, transport
        self._stream: socket.socket = writer.get_extra_info("socket")

    def send(self, data: bytes) -> None:
        """Type text. Raises OSError when the connection is closed."""
        if self._writer.is_closing():
            raise BrokenPipeError("closed")
        self._writer.write(data)
        # telnetds leave Nagle's algorithm on: without this, each answer waits 40 ms for our ACK
        self._stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)

    async def receive(self, size: int) -> bytes:
        """What the terminal shows next; nothing at its end. Raises OSError and EOFError."""
        return await self._reader.receive(size)

    async def rest(self, seconds: float) -> None:
        """Take nothing for so long: what is shown meanwhile comes in few pieces then."""
        self._transport.pause_reading()
        try:
            await trio.sleep(seconds)
        finally:
            self._transport.resume_reading()


async def _adopt(
    stream: socket.socket, protocol: Callable[[], _Client]
) -> tuple[asyncio.Transport, _Client]:
    # not telnetlib3.open_connection: that waits for the end of the negotiation by the clock
    return await asyncio.get_running_loop().create_connection(protocol, sock=stream)


@asynccontextmanager
async def open_console(
    stream: socket.socket, node: str, *, on_traffic: Callable[[str, bytes], None] | None = None
) -> AsyncIterator["Console"]:
    """Speak telnet over a connection; it is closed, without waiting, at the end of the block.

    ``on_traffic`` is told all that is sent (``">"``) and all that is received (``"<"``).
    """
    made: list[_Client] = []

    def protocol() -> _Client:
        made.append(_Client(encoding=False, term="vt100", cols=80, rows=24))
        return made[-1]

    try:
        transport, _ = await from_aio(_adopt, stream, protocol)
        # with encoding=False, reader and writer are those of bytes
        reader = cast(_Reader, made[0].reader)
        writer = cast(telnetlib3.TelnetWriter, made[0].writer)
        yield Console(TelnetTerminal(reader, writer, transport), node, on_traffic)
    finally:
        # synchronous, so that no cancellation can skip it
        for client in made:
            if client.writer is not None:
                client.writer.close()
        if not made:
            stream.close()


class Console:
    """A shell on a terminal of the node; one command at a time."""

    def __init__(
        self,
        terminal: Terminal,
        node: str,
        on_traffic: Callable[[str, bytes], None] | None,
    ) -> None:
        """Made by open_console and open_ssh_console."""
        self._terminal = terminal
        self._node = node
        self._on_traffic = on_traffic
        self._text = TerminalText()

    async def wait_for_shell(self, retry_s: float, question: str = ":") -> CommandResult:
        """Return when a shell has proven to be there; the caller's scope bounds it.

        What is typed before the shell runs may be lost, so a new question is typed every
        ``retry_s`` seconds: ``question`` is the first thing to ask it, shell text as in ``run``
        that may run several times. Raises NodeError ``console-lost``.
        """
        while True:
            command = MarkedCommand(question)
            self._type(command.typed)
            with trio.move_on_after(retry_s):
                return await self._until_end(command, None)

    async def run(self, script: str, *, on_output: OnOutput | None = None) -> CommandResult:
        """Run shell text (quoted already, one line) to its end; the caller's scope bounds it.

        ``on_output`` is given the output as it comes, and says for how many seconds nothing more
        of it need be read. Raises NodeError ``console-lost``.
        """
        command = MarkedCommand(script)
        self._type(command.typed)
        return await self._until_end(command, on_output)

    def _type(self, line: bytes) -> None:
        try:
            self._terminal.send(line)
        except OSError as error:
            raise self._lost("closed") from error
        if self._on_traffic:
            self._on_traffic(">", line)

    async def _until_end(self, command: MarkedCommand, on_output: OnOutput | None) -> CommandResult:
        kept = b""
        while True:
            output, end = command.feed(self._text.feed(await self._read()))
            rest_s = None
            if output:
                kept = (kept + output)[-OUTPUT_LIMIT:]
                if on_output:
                    rest_s = on_output(output)
            if end is not None:
                return CommandResult(end.status, kept.decode("utf-8", "replace").strip("\n"))
            if rest_s:
                await self._terminal.rest(rest_s)

    async def _read(self) -> bytes:
        try:
            data = await self._terminal.receive(READ_SIZE)
        except OSError as error:
            raise self._lost(words(error)) from error
        except EOFError as error:
            raise self._lost("closed by the node") from error
        if not data:
            raise self._lost("closed by the node")
        if self._on_traffic:
            self._on_traffic("<", data)
        return data

    def _lost(self, how: str) -> NodeError:
        return NodeError(
            f"{self._node}: the {self._terminal.name} connection to the ramdisk was lost: {how}",
            reason=Reason.CONSOLE_LOST,
            hint="did the node lose power?",
        )
