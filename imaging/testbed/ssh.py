"""The operating system of a virtual node, as far as ssh shows it.

A real ssh server that opens to the testbed's own key only, and runs nothing but the few commands
below: loopback is shared by all users of a machine.
"""

import logging
from collections.abc import Callable
from pathlib import Path

import asyncssh
import trio

from imaging._aio import from_aio
from imaging.site.inventory import Node
from imaging.testbed.layout import SSH_PORT
from imaging.testbed.peers import is_allowed

log = logging.getLogger(__name__)

COMMAND_NOT_FOUND = 127
KEY_TYPE = "ssh-ed25519"


class SshHost:
    """What all nodes share: the host key, and the key that opens them."""

    def __init__(self, directory: Path) -> None:
        """The keys are made in ``directory`` when they are not there."""
        self._host_key = _key(directory / "host_ed25519")
        user_key = _key(directory / "id_ed25519")
        self._authorized = asyncssh.import_authorized_keys(
            user_key.export_public_key("openssh").decode()
        )

    async def serve(self, node: Node, home: Path, on_ready: Callable[[], None]) -> None:
        """Answer ssh until cancelled; ``on_ready`` is called when the port is open."""
        connections: set[asyncssh.SSHServerConnection] = set()

        class Server(asyncssh.SSHServer):
            def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
                peer, own = conn.get_extra_info("peername"), conn.get_extra_info("sockname")
                if not (peer and own and is_allowed(peer[:2], own[:2])):
                    log.warning("%s ssh: refused %s, gone or another user's", node.name, peer)
                    conn.abort()
                    return
                log.info("%s ssh: connection", node.name)
                connections.add(conn)

        def run(process: "asyncssh.SSHServerProcess[str]") -> None:
            status, output = command_output(process.command or "", node.name, home)
            process.stdout.write(output)
            process.exit(status)

        # a reset in the middle of this would leave a listener that nobody closes
        with trio.CancelScope(shield=True):
            acceptor = await from_aio(
                asyncssh.listen,
                node.control.ip,
                SSH_PORT,
                server_factory=Server,
                server_host_keys=[self._host_key],
                authorized_client_keys=self._authorized,
                password_auth=False,
                kbdint_auth=False,
                process_factory=run,
            )
        try:
            on_ready()
            await trio.sleep_forever()
        finally:
            # synchronous: the power is gone
            acceptor.close()
            for connection in connections:
                connection.abort()


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
