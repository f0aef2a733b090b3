"""One real frisbee client for many simulated nodes: they show what it says as their own.

Hundreds of clients do not fit on one machine. So the first node of a channel has a client started,
which joins the real server and writes a real disk, and the others of that channel listen in, from
its first word on. When it has ended well, all have that disk.
"""

import logging
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import trio

from imaging.testbed.layout import Layout

log = logging.getLogger(__name__)

KILL_BUDGET_S = 1.0
CLIENT = Path(sys.executable).with_name("imaging-frisbee")  # also where PATH does not have it


@dataclass(slots=True)
class SharedClient:
    """A client that runs, or has ended; ``status`` is its exit status then."""

    disk: Path
    output: bytearray = field(default_factory=bytearray)
    status: int | None = None
    listeners: int = 0
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    _news: trio.Event = field(default_factory=trio.Event)

    async def after(self, place: int) -> bytes:
        """What it says after so many bytes; empty when it has ended, and has said no more."""
        while len(self.output) <= place and self.status is None:
            await self._news.wait()
        return bytes(self.output[place:])

    def say(self, data: bytes | bytearray, status: int | None = None) -> None:
        """Tell all who listen."""
        self.output += data
        self.status = status
        self._news.set()
        self._news = trio.Event()

    def give_disk(self, disk: Path) -> None:
        """Have what was written as the disk of a node, at once and whole; it is the same file."""
        new = disk.with_name(f".{disk.name}.new")
        new.unlink(missing_ok=True)
        os.link(self.disk, new)
        new.replace(disk)


class SharedClients:
    """The clients of a testbed, by channel; they end with the nursery."""

    def __init__(self, nursery: trio.Nursery, layout: Layout, disk_size: int) -> None:
        """``disk_size`` in bytes."""
        self._nursery = nursery
        self._layout = layout
        self._disk_size = disk_size
        self._running: dict[tuple[str, ...], SharedClient] = {}

    @contextmanager
    def joined(self, address: str, channel: Sequence[str]) -> Iterator[SharedClient]:
        """The client of a channel (its options, as the tool has them), while somebody listens.

        ``address`` is that of the node, which the client has when it is the first.
        """
        key = tuple(channel)
        client = self._running.get(key)
        if client is None:
            disk = self._layout.directory / f".shared-{address}.img"
            client = self._running[key] = SharedClient(disk)
            self._nursery.start_soon(self._run, key, client, address)
        client.listeners += 1
        try:
            yield client
        finally:
            client.listeners -= 1
            if not client.listeners:
                client.scope.cancel()
                client.disk.unlink(missing_ok=True)

    async def _run(self, key: tuple[str, ...], client: SharedClient, address: str) -> None:
        status, began = 1, trio.current_time()
        try:
            with client.scope:
                status = await self._transfer([*key, str(client.disk)], client, address)
        finally:
            # who comes from now on has another client
            del self._running[key]
        seconds = trio.current_time() - began
        log.info("shared client %s: status %d after %.3f s", " ".join(key), status, seconds)
        client.say(b"", status if status >= 0 else 128 - status)

    async def _transfer(self, words: list[str], client: SharedClient, address: str) -> int:
        """Run the client to its end; returns its status."""
        with client.disk.open("wb") as stream:
            stream.truncate(self._disk_size)
        process = await trio.lowlevel.open_process(
            [str(CLIENT), "--disk", "-i", address, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert process.stdout is not None
        try:
            async for data in process.stdout:
                client.say(data)
            return await process.wait()
        finally:
            process.kill()  # it has nothing to lose
            with trio.move_on_after(KILL_BUDGET_S, shield=True):
                await process.wait()
            with trio.CancelScope() as closing:
                closing.cancel()
                await process.stdout.aclose()
