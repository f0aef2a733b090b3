"""Sessions on this host alone: one server, 1 to 8 clients, without privilege."""

import time
from pathlib import Path

from tests.bench.networks import SERVER, Loopback
from tests.bench.parts import Part, Wish
from tests.bench.parts.transfers import COUNTS, UNLIMITED, WHAT_IS_TIMED, Freight, transfer_table
from tests.bench.processes import processes
from tests.bench.sessions import Session, SessionSample, new_group, run_session
from tests.bench.statistics import pair_ratio, walls
from tests.bench.tables import PartResult
from tests.bench.tools import OURS, yardstick
from tests.bench.turns import Case, take_turns

UNZIP = "imaging-imageunzip of the same image (no network)"
PLAIN = "plain sends of the image, one call per block, nobody listens"
RAW = "1 client, image stored as it is (-N)"


def run(wish: Wish) -> PartResult:
    """Measure sessions, and what they are compared with, in turn."""
    freight = Freight(wish.directory, wish.size_mib)
    network = Loopback()
    clients = {f"{count} client{'s' * (count > 1)}": count for count in COUNTS}
    cases = [
        Case(name, lambda count=count: _session(freight, wish.directory, count))  # type: ignore[misc]
        for name, count in clients.items()
    ]
    cases += [
        Case(RAW, lambda: _session(freight, wish.directory, 1, raw=True)),
        Case(UNZIP, lambda: _unzip(freight, wish.directory)),
        Case(PLAIN, lambda: _plain(freight, network, wish.directory)),
    ]
    turns = take_turns(cases, wish.runs, wish.say)
    samples = turns.samples
    ratios = {}
    if {"1 client", UNZIP, PLAIN, RAW} <= samples.keys():
        one = samples["1 client"]
        ratios = {
            "1 client: speed of imageunzip's": pair_ratio(walls(samples[UNZIP]), walls(one)),
            "1 client: CPU of plain sends over the server's": pair_ratio(
                [sample.cpu_s("server") for sample in samples[PLAIN]],
                [sample.cpu_s("server") for sample in one],
            ),
            "1 client: CPU of imageunzip over the client's": pair_ratio(
                [sample.cpu_s("client") for sample in samples[UNZIP]],
                [sample.cpu_s("client") for sample in one],
            ),
            "-N: speed of plain sends": pair_ratio(walls(samples[PLAIN]), walls(samples[RAW])),
        }
    if {"1 client", "8 clients"} <= samples.keys():
        ratios["8 clients: speed of 1 client's, times 8"] = 8 * pair_ratio(
            walls(samples["1 client"]), walls(samples["8 clients"])
        )
    table = transfer_table(
        "One server and its clients on loopback",
        turns,
        {**clients, RAW: 1, UNZIP: 1, PLAIN: 1},
        freight.size,
        [
            freight.content,
            WHAT_IS_TIMED,
            "The C tools cannot share a host's port: they are measured in network namespaces.",
        ],
    )
    return PartResult([table], ratios)


def _session(freight: Freight, directory: Path, count: int, *, raw: bool = False) -> SessionSample:
    session = Session(
        OURS,
        OURS,
        freight.image,
        freight.image_digest if raw else freight.digest,
        clients=count,
        server_options=UNLIMITED,
        raw=raw,
    )
    return run_session(session, Loopback(), directory)


def _unzip(freight: Freight, directory: Path) -> SessionSample:
    """Expanding alone: what a client does besides receiving."""
    output = directory / "unzipped"
    with processes(directory) as group:
        begin = time.monotonic()
        tool = group.start("client", [OURS.imageunzip, str(freight.image), str(output)])
        usage = group.wait(tool)
        wall_s = time.monotonic() - begin
    output.unlink()
    return SessionSample(wall_s, {"client": usage}, None, None)


def _plain(freight: Freight, network: Loopback, directory: Path) -> SessionSample:
    """Sending alone, in the obvious way."""
    address, port = new_group()
    with processes(directory) as group:
        begin = time.monotonic()
        own = network.address(SERVER)
        tool = group.start("server", yardstick("send", freight.image, own, address, str(port)))
        usage = group.wait(tool)
        wall_s = time.monotonic() - begin
    return SessionSample(wall_s, {"server": usage}, 1.0, None)


PART = Part("Sessions on loopback", run)
