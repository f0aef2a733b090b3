"""The frisbee server of a run: one process that multicasts the image to all nodes.

It is known to be ready by its own words (``-d`` makes it say ``Using Multicast``), watched for as
long as the run lasts, and its death is told with its last words. The process is a session of its
own, so that no signal meant for the command reaches it, and is killed when the block ends.
"""

import errno
import ipaddress
import random
import re
import shlex
import shutil
import signal
import socket
import subprocess
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec
import trio

from imaging.errors import ConfigurationError, InfrastructureError, Reason
from imaging.guard import Guard, end_group, start_time
from imaging.site.locks import LockDirectory, LockTakenError
from imaging.site.schema import MulticastSettings

READY = re.compile(rb"^Using (?:Multicast|Broadcast|Unicast)\b", re.MULTILINE)
BIND_FAILED = 98  # exit status of a frisbee server whose port is taken
MEBIBIT = 1024 * 1024
LAST_WORDS = 5  # lines
CHANNEL_TRIES = 100
KILL_BUDGET_S = 1.0
GATE = 'read -r line && exec "$@" < /dev/null'


class Channel(msgspec.Struct, frozen=True):
    """Where the image is to be had: the server's own address, the group and the UDP port."""

    address: str
    group: str
    port: int


class ServerPlan(msgspec.Struct, frozen=True):
    """How to start the server; ``bandwidth_mibps`` is in Mibit/s on the wire."""

    command: tuple[str, ...]
    image: Path
    address: str
    groups: ipaddress.IPv4Network
    ports: tuple[int, int]
    bandwidth_mibps: float
    ready_timeout_s: float
    attempts: int
    locks: LockDirectory

    def argv(self, channel: Channel) -> list[str]:
        """The command line for one channel. ``-T 0``: it ends when we end it."""
        bits_per_second = round(self.bandwidth_mibps * MEBIBIT)
        return [
            *self.command, "-d", "-T", "0", "-W", str(bits_per_second),
            "-i", channel.address, "-m", channel.group, "-p", str(channel.port), str(self.image),
        ]  # fmt: skip

    def choose_channel(self) -> Channel:
        """Any group and port of the site's ranges, so that concurrent runs rarely meet."""
        first, last = self.ports
        group = self.groups[random.randrange(self.groups.num_addresses)]  # noqa: S311
        return Channel(self.address, str(group), random.randint(first, last))  # noqa: S311


def own_address(settings: MulticastSettings, node_address: str) -> str:
    """This host's address on the nodes' network: that of the settings, or the one facing a node.

    Raises ConfigurationError when it is not ours, or when there is no route to the node.
    """
    address = settings.address or address_facing(node_address)
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError as error:
            raise ConfigurationError(
                f"{address} is no address of this host: {error.strerror}",
                hint="see [multicast] address",
            ) from error
    return address


def address_facing(node_address: str) -> str:
    """The address of this host from which a node is reached. Nothing is sent.

    Raises ConfigurationError when there is no route to it.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((node_address, 9))
        except OSError as error:
            raise ConfigurationError(
                f"no route to the node at {node_address}: {error.strerror}",
                hint="set [multicast] address to this host's address on the nodes' network",
            ) from error
        address: str = probe.getsockname()[0]
        return address


class FrisbeeServer:
    """The server process of a run; ``run`` is its life, ``ready`` is awaited by the nodes."""

    def __init__(self, plan: ServerPlan, on_line: Callable[[str], None], guard: Guard) -> None:
        """``on_line`` is given each line of the server's own log."""
        self._plan = plan
        self._guard = guard
        self._on_line = on_line
        self._ready = trio.Event()
        self._channel: Channel | None = None
        self._words: deque[str] = deque(maxlen=LAST_WORDS)

    async def ready(self) -> Channel:
        """Wait until the server serves."""
        await self._ready.wait()
        assert self._channel is not None
        return self._channel

    async def run(self) -> None:
        """Start the server and watch it until cancelled.

        Raises InfrastructureError ``server-failed`` when it does not start, and ``server-died``
        when it ends before it is cancelled.
        """
        for _ in range(self._plan.attempts):
            with self._own_channel() as channel:
                status = await self._serve(channel)
            if status != BIND_FAILED or self._ready.is_set():
                break
        if self._ready.is_set():
            raise InfrastructureError(
                f"the frisbee server died with {_describe(status)}: {self._last_words()}",
                reason=Reason.SERVER_DIED,
                hint=self._command(channel),
            )
        raise InfrastructureError(
            f"the frisbee server did not start ({_describe(status)}): {self._last_words()}",
            reason=Reason.SERVER_FAILED,
            hint=self._command(channel),
        )

    @contextmanager
    def _own_channel(self) -> Iterator[Channel]:
        """A channel that no other run of this host uses: its port is locked.

        That some other program has the port shows when the server binds it.
        """
        for _ in range(CHANNEL_TRIES):
            channel = self._plan.choose_channel()
            try:
                lock = self._plan.locks.take(f"port-{channel.port}", "imaging-load")
            except LockTakenError:
                continue
            except OSError as error:
                raise InfrastructureError(
                    f"cannot lock port {channel.port}: {error.filename}: {error.strerror}",
                    reason=Reason.SERVER_FAILED,
                    hint="see [locks] directory",
                ) from error
            with lock, self._guard.lock(lock.descriptor):
                yield channel
            return
        raise InfrastructureError(
            "other runs have all ports that were tried",
            reason=Reason.SERVER_FAILED,
            hint="see [multicast] ports",
        )

    def _command(self, channel: Channel) -> str:
        """What to do about a server that failed: see what it says to oneself."""
        return f"the command was: {shlex.join(self._plan.argv(channel))}"

    def _last_words(self) -> str:
        return " / ".join(word for word in self._words if word) or "it said nothing"

    async def _serve(self, channel: Channel) -> int:
        """Run one server process to its end; returns its exit status."""
        self._words.clear()
        argv = self._plan.argv(channel)
        process = await _at_the_gate(argv)
        started = start_time(process.pid)
        try:
            with self._guard.group(process.pid), trio.CancelScope() as starting:
                starting.deadline = trio.current_time() + self._plan.ready_timeout_s
                await _let_in(process)
                await self._listen(process, channel, starting)
                return await process.wait()
            raise InfrastructureError(
                f"the frisbee server was not ready within {self._plan.ready_timeout_s:g} s: "
                f"{self._last_words()}",
                reason=Reason.SERVER_FAILED,
                hint=self._command(channel),
            )
        finally:
            end_group(process.pid, started)
            with trio.move_on_after(KILL_BUDGET_S, shield=True):
                await process.wait()
                assert process.stderr is not None
                await process.stderr.aclose()

    async def _listen(
        self, process: trio.Process, channel: Channel, starting: trio.CancelScope
    ) -> None:
        """Read the server's log to its end; it must be read, or a chatty server would block."""
        assert process.stderr is not None
        rest = b""
        async for data in process.stderr:
            *lines, rest = (rest + data)[-65536:].split(b"\n")
            for line in lines:
                text = line.decode("utf-8", "replace").rstrip()
                self._words.append(text)
                self._on_line(text)
                if not self._ready.is_set() and READY.match(line):
                    starting.deadline = float("inf")
                    self._channel = channel
                    self._ready.set()
        if rest.strip():
            self._words.append(rest.decode("utf-8", "replace").strip())


async def _at_the_gate(argv: Sequence[str]) -> trio.Process:
    """Start a process that waits for a line before it becomes the server, else ends with us.

    So the guard knows of it before it is one, and ``kill -9`` finds no moment in between. Raises
    InfrastructureError ``server-failed``.
    """
    try:
        if shutil.which(argv[0]) is None:
            raise FileNotFoundError(errno.ENOENT, "there is no such program")
        return await trio.lowlevel.open_process(
            ["/bin/sh", "-c", GATE, "sh", *argv],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        raise InfrastructureError(
            f"cannot start the frisbee server {argv[0]}: {error.strerror}",
            reason=Reason.SERVER_FAILED,
            hint="see [multicast] server",
        ) from error


async def _let_in(process: trio.Process) -> None:
    assert process.stdin is not None
    async with process.stdin as gate:
        with suppress(trio.BrokenResourceError):  # it has ended, which is told elsewhere
            await gate.send_all(b"\n")


def _describe(status: int) -> str:
    """An exit status in words."""
    if status < 0:
        try:
            return f"signal {signal.Signals(-status).name}"
        except ValueError:  # a real-time signal has no name
            return f"signal {-status}"
    return f"exit status {status}"
