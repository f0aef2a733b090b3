"""The ramdisk of a virtual node: telnet in front, a real shell on a pseudo-terminal behind."""

import errno
import fcntl
import logging
import os
import signal
import socket
import struct
import subprocess
import termios
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import trio

from imaging.testbed.fault_file import FaultFile
from imaging.testbed.faults import Fault
from imaging.testbed.misbehaviour import READ_SIZE, ask_for_login, flood, make_noise, say_nothing
from imaging.testbed.peers import is_welcome
from imaging.testbed.simulation import SimulatedShell, Simulation, converse
from imaging.testbed.telnet import Flavour, TelnetServer
from imaging.testbed.wires import Wires

log = logging.getLogger(__name__)

KILL_ROUNDS = 100
NETCAT = b"imaging.testbed.netcat"
BANNER = b"\r\nvirtual node\r\n"


@dataclass(frozen=True, slots=True)
class Ramdisk:
    """The system that the firmware boots when the nextboot link tells it to."""

    name: str
    home: Path
    environment: dict[str, str]
    shell: tuple[str, ...]
    flavour: Flavour
    faults: FaultFile
    wires: Wires
    address: str
    simulation: Simulation | None
    sessions: set[trio.CancelScope] = field(default_factory=set)

    def drop_connections(self) -> None:
        """Close all connections, now."""
        for session in self.sessions:
            session.cancel()

    async def serve(self, address: str, port: int, on_ready: Callable[[], None]) -> None:
        """Answer telnet until cancelled; ``on_ready`` is called when the port is open."""
        listeners = await trio.open_tcp_listeners(port, host=address)
        for listener in listeners:
            self.wires.add(listener.socket)
        try:
            async with trio.open_nursery() as connections:
                serve = partial(
                    trio.serve_listeners, self._connection, listeners, handler_nursery=connections
                )
                await connections.start(serve)
                on_ready()
        finally:
            if self.simulation is None:
                # also what has left its terminal's session; synchronous, as the loss of power is
                kill_all(lambda: node_members(self.home))

    async def _connection(self, stream: trio.SocketStream) -> None:
        async with stream:
            if not is_welcome(stream, f"{self.name} telnet"):
                return
            log.info("%s telnet: connection", self.name)
            self.wires.add(stream.socket)
            with trio.CancelScope() as scope:
                self.sessions.add(scope)
                try:
                    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    await self._converse(stream)
                except* (OSError, trio.BrokenResourceError, trio.ClosedResourceError) as group:
                    # the client hangs up when it likes
                    log.info("%s telnet: %s", self.name, group.exceptions[0])
                finally:
                    self.sessions.discard(scope)
                    self.wires.remove(stream.socket)
            log.info("%s telnet: end of connection", self.name)

    async def _converse(self, stream: trio.SocketStream) -> None:
        fault = self.faults.take(
            self.name,
            "telnet",
            *("silent", "no-negotiation", "login", "flood", "garbage", "drop-after"),
        )
        match fault.word if fault else "":
            case "silent":
                await say_nothing(stream)
            case "no-negotiation":
                # its questions are those of the telnetd that waits for the answers
                await stream.send_all(TelnetServer(Flavour.INETUTILS).greeting())
                await say_nothing(stream)
            case "login":
                await stream.send_all(TelnetServer(Flavour.BUSYBOX).greeting())
                await ask_for_login(stream, self.name)
            case "flood":
                await flood(stream)
            case "garbage":
                await make_noise(stream)
            case _ if self.simulation is not None:
                telnet = TelnetServer(self.flavour)

                async def show(text: bytes) -> None:
                    await stream.send_all(telnet.send(text))

                shell = SimulatedShell(self.simulation, self.name, self.address, show)
                await converse(stream, telnet, shell)
            case _:
                await _Session(self, stream, fault).run()


class _Session:
    """One connection: the negotiation, then a shell."""

    def __init__(
        self, ramdisk: Ramdisk, stream: trio.SocketStream, drop_after: Fault | None
    ) -> None:
        self._ramdisk = ramdisk
        self._left = drop_after.argument if drop_after else None  # bytes until it is dropped
        self._stream = stream
        self._telnet = TelnetServer(ramdisk.flavour)
        self._master = -1

    async def run(self) -> None:
        await self._stream.send_all(self._telnet.greeting())
        early = b""
        while not self._telnet.ready:
            data = await self._stream.receive_some(READ_SIZE)
            if not data:
                return
            received = self._telnet.receive(bytes(data))
            early += received.text
            await self._stream.send_all(received.replies)
        await self._stream.send_all(self._telnet.start_of_shell() + self._telnet.send(BANNER))
        self._master, slave = os.openpty()
        try:
            self._set_window(80, 24)
            process = self._start_shell(slave)
        finally:
            os.close(slave)
        terminal = trio.lowlevel.FdStream(self._master)
        try:
            await terminal.send_all(early)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._to_client, terminal, nursery.cancel_scope)
                nursery.start_soon(self._to_shell, terminal, nursery.cancel_scope)
        finally:
            # synchronous: a reset must not be able to skip it
            kill_all(lambda: session_members(process.pid))
            process.wait()
            with trio.CancelScope() as closing:
                closing.cancel()
                await terminal.aclose()

    def _start_shell(self, slave: int) -> "subprocess.Popen[bytes]":
        # a session's leader gets the terminal that it opens by name as its controlling terminal
        opener = 'tty=$1; shift; exec "$@" <"$tty" >"$tty" 2>&1'
        return subprocess.Popen(
            ["/bin/sh", "-c", opener, "sh", os.ttyname(slave), *self._ramdisk.shell],
            cwd=self._ramdisk.home,
            env=self._ramdisk.environment,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )

    async def _to_client(self, terminal: trio.lowlevel.FdStream, scope: trio.CancelScope) -> None:
        while True:
            try:
                output = await terminal.receive_some(READ_SIZE)
            except trio.BrokenResourceError as error:
                if isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.EIO:
                    break  # the last process of the terminal has ended
                raise
            if not output:
                break
            sent = self._telnet.send(bytes(output))
            if self._left is not None:
                sent = sent[: int(self._left)]
                self._left -= len(sent)
            await self._stream.send_all(sent)
            if self._left == 0:
                break
        scope.cancel()

    async def _to_shell(self, terminal: trio.lowlevel.FdStream, scope: trio.CancelScope) -> None:
        async for data in self._stream:
            received = self._telnet.receive(bytes(data))
            if received.window is not None:
                self._set_window(*received.window)
            if received.replies:
                await self._stream.send_all(received.replies)
            await terminal.send_all(received.text)
        scope.cancel()

    def _set_window(self, columns: int, rows: int) -> None:
        size = struct.pack("HHHH", rows, columns, 0, 0)
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, size)


def live_processes() -> Iterator[Path]:
    """The /proc directories of all processes that there are."""
    return (entry for entry in Path("/proc").iterdir() if entry.name.isdecimal())


def session_members(session: int) -> Iterator[int]:
    """The processes of a session that are not dead yet, as /proc tells."""
    for entry in live_processes():
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[3]) == session and fields[0] not in "ZX":
            yield int(entry.name)


def node_members(home: Path) -> Iterator[int]:
    """The processes that were started in a node's environment, whatever session they are in."""
    mark = f"NODE_DIRECTORY={home}".encode()
    for entry in live_processes():
        try:
            variables = (entry / "environ").read_bytes().split(b"\0")
        except OSError:
            continue  # it is gone, or somebody else's
        if mark in variables:
            yield int(entry.name)


def freeze(home: Path) -> None:
    """Stop the node's processes as the loss of power does: none of them can close anything."""
    for member in node_members(home):
        try:
            words = Path(f"/proc/{member}/cmdline").read_bytes()
            # its connection is the one that a process of the node has to somewhere else
            number = signal.SIGUSR1 if NETCAT in words else signal.SIGSTOP
            os.kill(member, number)
        except (OSError, ProcessLookupError):
            continue  # it has ended


def kill_all(members: Callable[[], Iterable[int]]) -> None:
    """Kill processes until there are none: one that forks meanwhile is met again."""
    for _ in range(KILL_ROUNDS):
        found = list(members())
        if not found:
            return
        for member in found:
            try:
                os.kill(member, signal.SIGKILL)
            except ProcessLookupError:
                continue
    log.warning("some processes survive SIGKILL")
