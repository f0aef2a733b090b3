"""The operating system of a virtual node, as far as ssh shows it.

A real ssh server that opens to the testbed's own key only, and runs nothing but the few commands
below: loopback is shared by all users of a machine.
"""

import logging
import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path

import asyncssh
import trio

from imaging._aio import from_aio
from imaging.site.inventory import Node
from imaging.testbed.fault_file import FaultFile
from imaging.testbed.misbehaviour import make_noise, reset_at_close, say_nothing
from imaging.testbed.peers import is_welcome
from imaging.testbed.wires import Wires

log = logging.getLogger(__name__)

COMMAND_NOT_FOUND = 127
KEY_TYPE = "ssh-ed25519"


class SshHost:
    """What all nodes share: the host key, and the key that opens them."""

    def __init__(self, directory: Path, faults: FaultFile) -> None:
        """The keys are made in ``directory`` when they are not there."""
        self._host_key = _key(directory / "host_ed25519")
        self._faults = faults
        user_key = _key(directory / "id_ed25519")
        self._authorized = _authorize(user_key)
        self._nobody = _authorize(self._host_key)

    async def serve(
        self, node: Node, port: int, home: Path, wires: Wires, on_ready: Callable[[], None]
    ) -> None:
        """Answer ssh until cancelled; ``on_ready`` is called when the port is open."""
        system = _System(node.name, home, wires)

        async def answer(stream: trio.SocketStream) -> None:
            async with stream:
                if is_welcome(stream, f"{node.name} ssh"):
                    log.info("%s ssh: connection", node.name)
                    await self._answer(system, stream)

        listeners = await trio.open_tcp_listeners(port, host=node.control.ip)
        for listener in listeners:
            wires.add(listener.socket)
        try:
            async with trio.open_nursery() as nursery:
                serve = partial(trio.serve_listeners, answer, listeners, handler_nursery=nursery)
                await nursery.start(serve)
                on_ready()
        finally:
            # synchronous: the power is gone
            system.abort()

    async def _answer(self, system: "_System", stream: trio.SocketStream) -> None:
        fault = self._faults.take(
            system.name, "ssh", "refuse", "hang", "wrong-key", "closes", "garbage"
        )
        word = fault.word if fault else ""
        try:
            match word:
                case "refuse":
                    reset_at_close(stream)
                case "hang":
                    await say_nothing(stream)
                case "garbage":
                    await make_noise(stream)
                case _:
                    await from_aio(
                        asyncssh.run_server,
                        system.adopt(stream),
                        server_factory=partial(_Server, system, closes=word == "closes"),
                        server_host_keys=[self._host_key],
                        authorized_client_keys=(
                            self._nobody if word == "wrong-key" else self._authorized
                        ),
                        password_auth=False,
                        kbdint_auth=False,
                        process_factory=system.run,
                    )
        except* (OSError, trio.BrokenResourceError, asyncssh.Error) as group:
            # the client is not let in, or goes away
            log.info("%s ssh: %s", system.name, group.exceptions[0])


class _System:
    """One node's system while it runs."""

    def __init__(self, name: str, home: Path, wires: Wires) -> None:
        self.name = name
        self._home = home
        self._wires = wires
        self.connections: set[asyncssh.SSHServerConnection] = set()

    def adopt(self, stream: trio.SocketStream) -> socket.socket:
        """The stream's socket, for asyncio."""
        own = socket.socket(fileno=stream.socket.detach())
        own.setblocking(False)
        self._wires.add(own)
        return own

    def run(self, process: "asyncssh.SSHServerProcess[str]") -> None:
        """Run one command."""
        status, output = command_output(process.command or "", self.name, self._home)
        process.stdout.write(output)
        process.exit(status)

    def abort(self) -> None:
        """End all connections."""
        for connection in list(self.connections):
            connection.abort()


class _Server(asyncssh.SSHServer):
    """One connection."""

    def __init__(self, system: _System, *, closes: bool) -> None:
        self._system = system
        self._closes = closes
        self._connection: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        self._system.connections.add(conn)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        if self._connection is not None:
            self._system.connections.discard(self._connection)

    def auth_completed(self) -> None:
        if self._closes and self._connection is not None:
            self._connection.abort()


def _authorize(key: asyncssh.SSHKey) -> asyncssh.SSHAuthorizedKeys:
    """The one key that opens."""
    return asyncssh.import_authorized_keys(key.export_public_key("openssh").decode())


def command_output(command: str, name: str, home: Path) -> tuple[int, str]:
    """The exit status and output of one of the few commands that a virtual system has."""
    match command.split():
        case ["true"]:
            return 0, ""
        case ["false"]:
            return 1, ""
        case ["hostname"] | ["cat", "/etc/hostname"]:
            return 0, f"{name}\n"
        case ["cat", "/proc/uptime"] | ["uptime"]:
            now = float(Path("/proc/uptime").read_text().split()[0])
            powered = float((home / "powered").read_text().split()[0])
            return 0, f"{now - powered:.2f} 0.00\n"
        case ["uname", "-r"]:
            return 0, "6.1.0-virtual\n"
        case ["cat", "/etc/os-release"]:
            return 0, 'NAME="Virtual Linux"\nPRETTY_NAME="Virtual Linux 1 (loopback)"\n'
        case ["cat", "/etc/imaging-image"]:
            stamp = home / "stamp"  # there when somebody has written it
            return (0, stamp.read_text()) if stamp.is_file() else (1, "")
        case _:
            return COMMAND_NOT_FOUND, f"{command}: command not found\n"


def _key(file: Path) -> asyncssh.SSHKey:
    """Read a private key, or make it, readable by its owner only."""
    if not file.exists():
        key = asyncssh.generate_private_key(KEY_TYPE)
        file.touch(mode=0o600)
        key.write_private_key(file)
        key.write_public_key(file.with_suffix(".pub"))
    return asyncssh.read_private_key(file)
