"""The system of a node behind ssh; asyncio ends at the edge of this file.

Nodes get a new host key with every image, so host keys are not looked at: the testbed's control
network is trusted. Nothing secret is sent, and nothing that comes back is believed but an exit
status and an uptime; the rest is shown, and no more. The user's ssh configuration does not
matter, his keys and agent do.
"""

import logging
import re
import socket
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncssh
import msgspec

from imaging._aio import from_aio
from imaging.errors import ConfigurationError, ImagingError
from imaging.feedback.wording import printable
from imaging.node.connection import connect

log = logging.getLogger(__name__)

# what a peer offers is no business of the user: weak parameters, as deprecations
warnings.filterwarnings("ignore", module=r"(asyncssh|cryptography)\b")

_UPTIME = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,6})?)(?: .*)?")


DEFAULT_KEYS = ("id_ed25519", "id_ecdsa", "id_rsa")

UPTIME = "cat /proc/uptime"
"""What a system is asked for the seconds since it has booted; see :func:`parse_uptime`."""


READ_LIMIT = 16384  # characters of an answer; what a node says may never end


class RemoteError(ImagingError):
    """An attempt to use ssh failed; the next may not."""


class SshLogin(msgspec.Struct, frozen=True):
    """How to log in on the nodes of a run: the port, and the user with his keys, read once."""

    port: int
    options: asyncssh.SSHClientConnectionOptions


def prepare_login(user: str, port: int, key: Path | None, *, section: str = "ssh") -> SshLogin:
    """Read the key, or those of ``~/.ssh`` and the agent. Raises ConfigurationError.

    ``section`` is that of the settings which names the key.
    """
    try:
        keys = _default_keys() if key is None else [asyncssh.read_private_key(key)]
    except OSError as error:
        raise ConfigurationError(
            f"the ssh key {key} cannot be read: {error.strerror}", hint=f"see [{section}] key"
        ) from error
    except asyncssh.KeyImportError as error:
        raise ConfigurationError(
            f"the ssh key {key} cannot be used: {error}",
            hint=f"see [{section}] key; for a key with a passphrase, use the agent",
        ) from error
    try:
        options = asyncssh.SSHClientConnectionOptions(
            username=user,
            known_hosts=None,
            config=None,
            preferred_auth="publickey",
            client_keys=keys,
            # dropbear dies of an assertion when it is asked for an RSA key first, and has none
            server_host_key_algs="^ssh-ed25519",
            # by one call for a packet, where chacha20 takes four: a tenth of a login's CPU time
            encryption_algs="^aes128-gcm@openssh.com",
        )
    except asyncssh.KeyImportError as error:  # without any key of ours, it looks for itself
        raise ConfigurationError(
            f"no key of ~/.ssh can be used: {error}", hint=f"name one in [{section}] key"
        ) from error
    return SshLogin(port, options)


def parse_uptime(output: str) -> float:
    """The seconds since a system has booted, in its answer. Raises RemoteError."""
    found = _UPTIME.fullmatch(output.strip())
    if found is None:
        raise RemoteError("it does not tell its uptime")
    return float(found[1])


def _default_keys() -> list[asyncssh.SSHKey]:
    """The keys of ``~/.ssh`` that can be used; one with a passphrase is the agent's business."""
    found = []
    for name in DEFAULT_KEYS:
        try:
            found.append(asyncssh.read_private_key(Path.home() / ".ssh" / name))
        except FileNotFoundError:
            continue
        except (OSError, RuntimeError, asyncssh.KeyImportError) as error:
            log.info("~/.ssh/%s is not used: %s", name, error)
    return found


class Remote:
    """A login on a node."""

    def __init__(self, connection: asyncssh.SSHClientConnection) -> None:
        """Made by open_remote."""
        self._connection = connection

    async def run(self, command: str) -> tuple[int, str]:
        """Run a command to its end; its exit status and its output. Raises RemoteError."""
        status, text = await self._collect(command, READ_LIMIT)
        if len(text) == READ_LIMIT:
            raise RemoteError(f"{command} says more than {READ_LIMIT} characters")
        if status is None:
            raise RemoteError(f"{command} was cut off: the connection was lost, or it was killed")
        return status, text

    async def read(self, command: str, limit: int = READ_LIMIT) -> str:
        """What a command says, at most ``limit`` characters; "" when it fails.

        Raises RemoteError.
        """
        status, text = await self._collect(command, limit)
        return text if len(text) == limit or status == 0 else ""

    async def _collect(self, command: str, limit: int) -> tuple[int | None, str]:
        """Run a command until it ends, or has said ``limit`` characters: then it has no status."""
        try:
            process = await from_aio(
                self._connection.create_process,
                command,
                stdin=asyncssh.DEVNULL,
                stderr=asyncssh.DEVNULL,
                errors="replace",
            )
            try:
                text = ""
                while len(text) < limit and not process.stdout.at_eof():
                    text += await from_aio(process.stdout.read, limit - len(text))
                if len(text) < limit:
                    await from_aio(process.wait_closed)
            finally:
                process.close()
        except Exception as error:
            raise attempt_failed(error) from error
        return process.exit_status, text


@asynccontextmanager
async def open_remote(address: str, login: SshLogin) -> AsyncIterator[Remote]:
    """Log in on a node; the caller's scope bounds it. Raises OSError and RemoteError."""
    stream = await connect(address, login.port)
    async with log_in(stream, login) as remote:
        yield remote


@asynccontextmanager
async def log_in(stream: socket.socket, login: SshLogin) -> AsyncIterator[Remote]:
    """Log in over a connection, which is closed at the end of the block. Raises RemoteError."""
    try:
        connection = await from_aio(asyncssh.connect, sock=stream, options=login.options)
    except Exception as error:
        stream.close()
        raise attempt_failed(error) from error
    except BaseException:
        stream.close()
        raise
    try:
        yield Remote(connection)
    finally:
        # synchronous, so that no cancellation can skip it
        connection.abort()


def attempt_failed(error: Exception) -> RemoteError:
    """The error of an attempt, whatever asyncssh has raised.

    It raises ValueError, OverflowError and others for packets that are garbage: one node's must
    not end the run of all. What is none of its usual errors goes to the log as well.
    """
    if isinstance(error, asyncssh.Error):
        text = error.reason
    elif isinstance(error, OSError):
        text = error.strerror or str(error)
    elif isinstance(error, TypeError):
        # asyncssh unpacks the peer's address, which a connection that was reset has no more
        text = "connection reset by peer"
        log.info("ssh: %r", error)
    else:
        log.info("ssh: %r", error)
        text = f"what answers speaks no proper ssh: {error}"
    told = printable(text)[:200] or "the connection was lost"
    return RemoteError(told[0].lower() + told[1:])
