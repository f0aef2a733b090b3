"""Where a session takes place: loopback, or hosts of their own on a bridge.

A namespace is a host, a veth pair its cable, a bridge in one more namespace the switch. All of
it vanishes with the namespaces.
"""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tests.bench.processes import BenchError

SERVER = 254
Words = Sequence[str | Path]


class Network(Protocol):
    """Hosts with numbers; 254 is the server's."""

    def address(self, number: int) -> str:
        """The address of a host."""

    def command(self, number: int, words: Words) -> Words:
        """A command line that runs on that host."""


class Loopback:
    """Everybody on this host, each at a loopback address of its own."""

    def address(self, number: int) -> str:
        """The address of a participant."""
        return f"127.77.{os.getpid() % 250}.{number}"

    def command(self, number: int, words: Words) -> Words:
        """The command line as it is."""
        del number
        return words


@dataclass(frozen=True, slots=True)
class Cables:
    """What the network does.

    Attributes:
        loss: share of the packets lost on the way to each client, 0 to 1.
        cut: packets leave the server one by one, as on a wire; otherwise a whole call of up to
            62 of them travels, and is lost, in one piece.
    """

    loss: float = 0.0
    cut: bool = False


class Hosts:
    """Network namespaces on a bridge."""

    def __init__(self, prefix: str) -> None:
        """``prefix`` of the namespaces' names."""
        self._prefix = prefix

    def address(self, number: int) -> str:
        """The address of a host."""
        return f"10.99.0.{number}"

    def name(self, number: int) -> str:
        """The namespace of a host."""
        return f"{self._prefix}-{number}"

    @property
    def switch(self) -> str:
        """The namespace of the bridge."""
        return f"{self._prefix}-switch"

    def command(self, number: int, words: Words) -> Words:
        """The command line in the namespace of a host."""
        return ["ip", "netns", "exec", self.name(number), *words]


def why_no_hosts() -> str | None:
    """Why namespaces cannot be made here; None when they can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if shutil.which("ip") is None:
        return "ip (iproute2) is not on PATH"
    probe = f"imaging-bench-{os.getpid()}-probe"
    try:
        _ip("netns", "add", probe)
    except BenchError as error:
        return f"network namespaces cannot be made here: {error}"
    _ip("netns", "del", probe)
    return None


@contextmanager
def hosts(clients: int, cables: Cables) -> Iterator[Hosts]:
    """A switch, a server and clients; removed with the block."""
    network = Hosts(f"imaging-bench-{os.getpid()}")
    made: list[str] = []
    try:
        _make(made, network.switch)
        _in(network.switch, "link", "add", "bridge", "type", "bridge", "mcast_snooping", "0")
        _in(network.switch, "link", "set", "bridge", "up")
        for number in [SERVER, *range(1, clients + 1)]:
            _make(made, network.name(number))
            _connect(network, number)
            if cables.loss and number != SERVER:
                _lose(network, number, cables.loss)
        if cables.cut:
            name = network.name(SERVER)
            _in(name, "link", "set", "eth0", "gso_max_segs", "1")
        yield network
    finally:
        for name in made:
            with contextlib.suppress(BenchError):
                _ip("netns", "del", name)


class LonelyHost:
    """A host that has nothing but a loopback of its own, where every port is free."""

    def __init__(self, name: str) -> None:
        """``name`` of the namespace."""
        self._name = name
        self._files = Path("/etc/netns") / name  # ip-netns(8): in the place of those in /etc

    @property
    def prefix(self) -> tuple[str, ...]:
        """What comes before a command line that is to run there."""
        return ("ip", "netns", "exec", self._name)

    def learn(self, addresses: Mapping[str, str]) -> None:
        """Have names resolve to these addresses, for what is started from now on."""
        self._files.mkdir(parents=True, exist_ok=True)
        lines = ["127.0.0.1 localhost", *(f"{ip} {name}" for name, ip in addresses.items())]
        (self._files / "hosts").write_text("\n".join(lines) + "\n")

    def forget(self) -> None:
        """Remove what was learnt."""
        shutil.rmtree(self._files, ignore_errors=True)


@contextmanager
def lonely_host() -> Iterator[LonelyHost]:
    """Such a host; removed with the block. Raises BenchError."""
    made: list[str] = []
    host = LonelyHost(f"imaging-bench-{os.getpid()}")
    try:
        _make(made, host.prefix[-1])
        yield host
    finally:
        host.forget()
        for name in made:
            with contextlib.suppress(BenchError):
                _ip("netns", "del", name)


def _make(made: list[str], name: str) -> None:
    made.append(name)  # first: what has been made by half is removed too
    _ip("netns", "add", name)
    _in(name, "link", "set", "lo", "up")


def _connect(network: Hosts, number: int) -> None:
    name, port = network.name(number), f"port{number}"
    ends = ("eth0", "netns", name, "type", "veth", "peer", "name", port, "netns", network.switch)
    _ip("link", "add", *ends)
    _in(name, "address", "add", f"{network.address(number)}/24", "dev", "eth0")
    _in(name, "link", "set", "eth0", "up")
    _in(network.switch, "link", "set", port, "master", "bridge")
    _in(network.switch, "link", "set", port, "up")


def _lose(network: Hosts, number: int, loss: float) -> None:
    """Have packets lost at random: by netem, or by nftables where the kernel has no netem."""
    words = ("qdisc", "add", "dev", f"port{number}", "root", "netem", "limit", "100000")
    try:
        _run("tc", "-n", network.switch, *words, "loss", f"{loss:.3%}")
    except BenchError as error:
        rules = (
            "add table inet bench; "
            "add chain inet bench heard { type filter hook input priority 0; }; "
            f"add rule inet bench heard numgen random mod 100000 < {loss * 100000:.0f} drop"
        )
        try:
            _run("ip", "netns", "exec", network.name(number), "nft", rules)
        except BenchError as other:
            raise BenchError(f"no packets can be lost here: {error}; {other}") from error


def _in(name: str, *words: str) -> None:
    _ip("-n", name, *words)


def _ip(*words: str) -> None:
    _run("ip", *words)


def _run(*words: str) -> None:
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    except OSError as error:
        raise BenchError(f"{words[0]}: {error.strerror}") from error
    if done.returncode != 0:
        raise BenchError(f"{' '.join(words)}: {done.stderr.strip()}")
