"""One frisbee session that is measured: a server, clients, and what they have written."""

import hashlib
import os
import random
import re
import time
from dataclasses import dataclass
from pathlib import Path

from tests.bench.networks import SERVER, Network
from tests.bench.processes import BenchError, Group, Measured, processes
from tests.bench.statistics import Sample, Usage, together
from tests.bench.tools import Tools

_SENT = re.compile(r"1k blocks sent: *(\d+)")
_REQUESTS = re.compile(r"  requests: *(\d+)")


@dataclass(frozen=True, slots=True)
class Session:
    """What takes place.

    Attributes:
        server, client: the tools.
        image: the file that is served.
        expected: sha256 of what each client must have in the end.
        clients: how many.
        server_options: its pace.
        raw: whether the clients store the image itself (-N) and do not expand it.
    """

    server: Tools
    client: Tools
    image: Path
    expected: str
    clients: int = 1
    server_options: tuple[str, ...] = ()
    raw: bool = False


@dataclass(frozen=True, slots=True)
class SessionSample(Sample):
    """A session's figures, as far as the server tells them.

    Attributes:
        sent: blocks for each block of the image.
        requests: how many packets with requests reached the server.
    """

    sent: float | None
    requests: int | None


def sha256(file: Path) -> str:
    """The sha256 of a file's content."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def where(network: Network, number: int, group: str, port: int) -> list[str]:
    """The options that say where the session takes place."""
    return ["-i", network.address(number), "-m", group, "-p", str(port)]


def new_group() -> tuple[str, int]:
    """Address and port of a session that hardly anybody else has."""
    chance = random.SystemRandom()
    return f"239.77.{os.getpid() % 250}.{chance.randint(1, 254)}", chance.randint(30000, 49999)


def start_server(
    group: Group, session: Session, network: Network, address: str, port: int
) -> Measured:
    """Start the server, and wait until it serves. Raises BenchError."""
    words = [
        *(session.server.frisbeed, "-d", *where(network, SERVER, address, port)),
        *(*session.server_options, str(session.image)),
    ]
    server = group.start("server", network.command(SERVER, words))
    group.wait_for_words(server, "Using Multicast")
    return server


def run_session(session: Session, network: Network, directory: Path) -> SessionSample:
    """Run a session to its end and check every byte. Raises BenchError.

    The time is from the start of the first client's process to the end of the last one's.
    """
    address, port = new_group()
    outputs = [directory / f"disk-{number}" for number in range(1, session.clients + 1)]
    try:
        with processes(directory) as group:
            server = start_server(group, session, network, address, port)
            begin = time.monotonic()
            clients = []
            for number, output in enumerate(outputs, start=1):
                words = [session.client.frisbee, *where(network, number, address, port)]
                words += [*(["-N"] if session.raw else []), "-q", str(output)]
                clients.append(group.start("client", network.command(number, words)))
            usages = [group.wait(client) for client in clients]
            wall_s = time.monotonic() - begin
            served = group.stop(server)
            said = server.words_said()
        for output in outputs:
            if sha256(output) != session.expected:
                raise BenchError(f"{output.name} is not what was sent")
    finally:
        for output in outputs:
            output.unlink(missing_ok=True)
    return _sample(wall_s, usages, served, said, session)


def _sample(
    wall_s: float, clients: list[Usage], server: Usage, said: str, session: Session
) -> SessionSample:
    sent, requests = _SENT.search(said), _REQUESTS.search(said)
    blocks = -(-session.image.stat().st_size // 1024)
    return SessionSample(
        wall_s,
        {"client": together(clients), "server": server},
        int(sent[1]) / blocks if sent else None,
        int(requests[1]) if requests else None,
    )
