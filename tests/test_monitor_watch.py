"""The watch on real sockets: how many looks there are at once, and what they leave behind."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import asyncssh
import msgspec
import pytest
import trio

from imaging.monitor.observations import Observation, Power, Ssh
from imaging.monitor.testbed import Condition, NodeState
from imaging.monitor.watch import Watch
from imaging.node.remote import SshLogin, prepare_login
from imaging.site.inventory import Interface, Node
from imaging.site.power_schema import PowerSettings
from imaging.site.schema import MonitorSettings, Settings, SshSettings

HOST = "127.0.0.1"
PLACES = 8


class Crowd:
    """A server that answers nobody, and counts who is there."""

    def __init__(self) -> None:
        self.now = self.peak = self.total = 0

    async def serve(self, stream: trio.SocketStream) -> None:
        """Until they go."""
        self.now += 1
        self.total += 1
        self.peak = max(self.peak, self.now)
        async with stream:
            while await stream.receive_some(65536):
                pass
        self.now -= 1


@asynccontextmanager
async def crowd() -> AsyncIterator[tuple[Crowd, int]]:
    """Such a server, at its port."""
    found = Crowd()
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, found.serve, 0, host=HOST))
        yield found, listeners[0].socket.getsockname()[1]
        nursery.cancel_scope.cancel()


@pytest.fixture
def key(tmp_path: Path) -> Path:
    file = tmp_path / "key"
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(file)
    return file


def nodes(count: int) -> list[Node]:
    """Nodes that are all at one address."""
    mac = "02:00:00:00:00:01"
    return [
        Node(Interface(f"fit{n:02}", HOST, mac), Interface(f"reboot{n:02}", HOST, mac))
        for n in range(1, count + 1)
    ]


def settings_of(power_port: int, ssh_port: int) -> Settings:
    return msgspec.structs.replace(
        Settings(),
        power=PowerSettings(port=power_port),
        ssh=SshSettings(port=ssh_port),
        monitor=MonitorSettings(cycle_s=0.02, probe_timeout_s=0.1, probes_at_once=PLACES),
    )


def watch_of(count: int, settings: Settings, login: SshLogin) -> tuple[Watch, list[NodeState]]:
    """A watch, and the changes that it tells."""
    changes: list[NodeState] = []

    def changed(_before: NodeState, after: NodeState, _seen: Observation) -> None:
        changes.append(after)

    return Watch(nodes(count), settings, login, changed), changes


async def test_no_more_looks_are_under_way_than_told(key: Path) -> None:
    async with crowd() as (cards, power_port), crowd() as (servers, ssh_port):
        login = prepare_login("root", ssh_port, key)
        watch, _ = watch_of(60, settings_of(power_port, ssh_port), login)
        together = 0
        with trio.move_on_after(2):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(watch.keep)
                while True:
                    await trio.sleep(0.005)
                    together = max(together, cards.now + servers.now)
    assert cards.total > 20
    assert servers.total > 20
    # a server sees some end only a moment later
    assert 2 <= together <= 2 * PLACES
    assert {node.power for node in watch.testbed.nodes.values()} <= {Power.NO_CMC, Power.UNKNOWN}


async def test_what_is_under_way_leaves_nothing_when_it_is_cancelled(key: Path) -> None:
    async with crowd() as (cards, power_port), crowd() as (servers, ssh_port):
        login = prepare_login("root", ssh_port, key)
        watch, _ = watch_of(6, settings_of(power_port, ssh_port), login)
        before = set(os.listdir("/proc/self/fd"))
        for _ in range(3):
            with trio.move_on_after(0.3) as scope:
                await watch.keep()
            assert scope.cancelled_caught
        with trio.fail_after(5):
            while cards.now + servers.now:  # noqa: ASYNC110 - they count only
                await trio.sleep(0.01)
        assert set(os.listdir("/proc/self/fd")) <= before


async def test_once_looks_at_each_node_once(key: Path) -> None:
    async with crowd() as (cards, power_port):
        login = prepare_login("root", 1, key)  # where nobody listens
        watch, changes = watch_of(5, settings_of(power_port, 1), login)
        with trio.fail_after(10):
            await watch.once()
        assert cards.total == 5
    states = list(watch.testbed.nodes.values())
    assert [node.power for node in states] == [Power.NO_CMC] * 5
    assert [node.ssh for node in states] == [Ssh.CLOSED] * 5
    assert [node.condition for node in states] == [Condition.NO_SSH] * 5
    assert len(changes) == 10
