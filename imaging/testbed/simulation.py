"""A ramdisk that only seems to have a shell: for testbeds of hundreds of nodes on one machine.

It takes the lines that the product types (``imaging.node.markers``), and knows the few commands
that a load needs; all else is not found. What other tools type is read for a frisbee client, and
for the question how it has ended. There is no process but one frisbee client for all nodes.
"""

import os
import re
import shlex
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import trio

from imaging.frisbee.dialect import ClientDialect, Progress
from imaging.testbed.fault_file import FaultFile
from imaging.testbed.faults import Fault
from imaging.testbed.faulty import CONNECTION_DROPPED, POWER_CUT
from imaging.testbed.layout import Layout
from imaging.testbed.misbehaviour import READ_SIZE
from imaging.testbed.shared_client import SharedClient, SharedClients
from imaging.testbed.telnet import TelnetServer

LINE_LIMIT = 65536  # bytes
LINES_HELD = 16
CLIENT_WORDS = 7
NOT_FOUND, KILLED = 127, 137

_MARKED = re.compile(
    r"printf '\\n%s%s\\n' '([^']*)' '([^']*)'; \{ (.*); \} </dev/null 2>&1; "
    r"printf '\\n%s%s:%d@@\\n' '([^']*)' '([^']*)' \"\$\?\""
)
_TYPED_CLIENT = re.compile(r"\bfrisbee((?: -[imp] [^\s;]+){3} [^\s;]+)")
_STATUS = re.compile(r"echo (.*)\$\?")
# the client's options that make a channel, and the one that does not
_CHANNEL, _ADDRESS = ("-m", "-p"), "-i"

Send = Callable[[bytes], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class MarkedLine:
    """A command between two markers; ``end`` lacks the status."""

    begin: str
    script: str
    end: str


def parse_line(line: str) -> MarkedLine | None:
    """Read a typed line; None when it is none of the product's."""
    found = _MARKED.fullmatch(line.strip())
    if found is None:
        return None
    return MarkedLine(found[1] + found[2], found[3], found[4] + found[5])


@dataclass(frozen=True, slots=True)
class Simulation:
    """What the simulated nodes of a testbed share."""

    layout: Layout
    faults: FaultFile
    clients: SharedClients


class SimulatedShell:
    """The shell of one connection to one node."""

    def __init__(self, simulation: Simulation, node: str, address: str, send: Send) -> None:
        """``send`` takes what the terminal shows."""
        self._simulation = simulation
        self._node = node
        self._address = address
        self._send = send
        self._home = simulation.layout.node(node)
        self._status = 0

    async def run(self, line: str) -> bool:
        """Run a typed line to its end; False when that is the end of the session."""
        marked = parse_line(line)
        if marked is None:
            return await self._typed(line.strip())
        await self._send(f"\r\n{marked.begin}\r\n".encode())
        status = await self._command(marked.script)
        await self._send(f"\r\n{marked.end}:{status}@@\r\n".encode())
        return True

    async def _typed(self, line: str) -> bool:
        """Run what another tool has typed; False after exit."""
        if line == "exit":
            return False
        if client := _TYPED_CLIENT.search(line):  # wherever it is in the line
            self._status = await self._frisbee(client[1].split())
        elif question := _STATUS.fullmatch(line):
            await self._send(f"{question[1]}{self._status}\r\n".encode())
        else:
            self._status = NOT_FOUND
            await self._send(b"sh: not found\r\n")
        return True

    async def _command(self, script: str) -> int:
        if script == ":":
            return 0
        if "/proc/uptime" in script:
            await self._send(self._inspection().encode())
            return 0
        try:
            words = shlex.split(script)
        except ValueError:
            words = []
        if words and words[0] == "frisbee":
            return await self._frisbee(words[1:])
        await self._send(b"sh: not found\r\n")
        return NOT_FOUND

    def _inspection(self) -> str:
        now = float(Path("/proc/uptime").read_text().split()[0])
        up = now - float((self._home / "powered").read_text())
        lines = [f"uptime {up:.2f} {up:.2f}"]
        fault = self._take("disk", "missing", "small")
        disk = self._simulation.layout.disk(self._node)
        if fault is not None and fault.word == "small":
            lines.append(f"bytes {fault.argument or 0:.0f}")
        elif fault is None and disk.is_file():
            lines.append(f"bytes {disk.stat().st_size}")
        return "\r\n".join(lines) + "\r\n"

    async def _frisbee(self, words: list[str]) -> int:
        options = dict(zip(words[:-1:2], words[1:-1:2], strict=False))
        if len(words) != CLIENT_WORDS or {*options} != {*_CHANNEL, _ADDRESS}:
            await self._send(b"frisbee: a simulated node knows -i, -m and -p only\r\n")
            return 1
        fault = self._take("client", "missing", "fail", "stall", "killed")
        if fault is not None and fault.word == "missing":
            await self._send(b"sh: frisbee: not found\r\n")
            return NOT_FOUND
        accident = POWER_CUT if self._take("power", "cut") else None
        if accident is None and self._take("telnet", "drop"):
            accident = CONNECTION_DROPPED
        channel = [word for option in _CHANNEL for word in (option, options[option])]
        is_halved = fault is not None or accident is not None
        with self._simulation.clients.joined(self._address, channel) as client:
            if await self._listen(client, until_midway=is_halved):
                if client.status == 0:
                    client.give_disk(self._simulation.layout.disk(self._node))
                return client.status or 0
        if accident is not None:
            self._tell(accident)
            await trio.sleep_forever()
        return await self._fail(fault)

    async def _fail(self, fault: Fault | None) -> int:
        """What a client does midway that has a fault."""
        if fault is not None and fault.word == "fail":
            await self._send(b"PacketReceive(recvfrom) : Network is down\r\n")
            return int(fault.argument or 1)
        if fault is not None and fault.word == "stall":
            await trio.sleep_forever()
        return KILLED

    def _take(self, kind: str, *words: str) -> Fault | None:
        return self._simulation.faults.take(self._node, kind, *words)

    def _tell(self, accident: str) -> None:
        """Have the testbed do to this node what no command of it could."""
        pipe = os.open(self._simulation.layout.accidents, os.O_WRONLY | os.O_NONBLOCK)
        try:
            os.write(pipe, f"{self._node} {accident}\n".encode())
        finally:
            os.close(pipe)

    async def _listen(self, client: SharedClient, *, until_midway: bool) -> bool:
        """Show what the client says; False when it is midway, and that is all."""
        place = 0
        dialect = ClientDialect()
        while data := await client.after(place):
            place += len(data)
            await self._send(data.replace(b"\n", b"\r\n"))
            if until_midway and any(
                isinstance(event, Progress) and event.fraction >= 0.5
                for event in dialect.feed(data.decode("utf-8", "replace"))
            ):
                return False
        return True


async def converse(stream: trio.SocketStream, telnet: TelnetServer, shell: SimulatedShell) -> None:
    """Speak telnet with a client until it goes, whatever runs then; one command at a time."""
    lines, typed = trio.open_memory_channel[str](LINES_HELD)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_run_all, shell, typed, nursery.cancel_scope)
        with lines:
            await _read(stream, telnet, lines)
        nursery.cancel_scope.cancel()


async def _run_all(
    shell: SimulatedShell, lines: trio.MemoryReceiveChannel[str], session: trio.CancelScope
) -> None:
    async for line in lines:
        if not await shell.run(line):
            session.cancel()


async def _read(
    stream: trio.SocketStream, telnet: TelnetServer, lines: trio.MemorySendChannel[str]
) -> None:
    """Pass on what is typed, line by line, until the client goes."""
    await stream.send_all(telnet.greeting())
    text = b""
    while data := await stream.receive_some(READ_SIZE):
        received = telnet.receive(bytes(data))
        if received.replies:
            await stream.send_all(received.replies)
        text += received.text.replace(b"\r", b"\n")
        if telnet.ready:
            *whole, text = text.split(b"\n")
            for line in whole:
                await lines.send(line.decode("utf-8", "replace"))
        if len(text) > LINE_LIMIT:
            return
