"""How exactly the server keeps to -W, and what waiting costs it."""

import sys
import time
from dataclasses import dataclass
from pathlib import Path

from imaging.frisbee.pacing import WIRE_BITS_PER_BLOCK
from imaging.frisbee.packets import BLOCKS_PER_CHUNK
from tests.bench import listener
from tests.bench.networks import Loopback
from tests.bench.parts import Part, Wish
from tests.bench.processes import BenchError, processes
from tests.bench.sessions import Session, new_group, start_server
from tests.bench.statistics import Sample, median_of
from tests.bench.tables import PartResult, Table, number
from tests.bench.tools import OURS
from tests.bench.turns import Case, take_turns

RATES_MBIT = (10, 50, 100, 500, 1000)
CHUNKS = 16
SETTLE_S = 3.0  # the server begins slowly
WINDOW_S = 2.0


@dataclass(frozen=True, slots=True)
class PacedSample(Sample):
    """A rate in bits/s on the wire, and how many seconds the server ran."""

    rate: float
    served_s: float


def run(wish: Wish) -> PartResult:
    """Measure every rate in turn."""
    image = wish.directory / "image"
    image.write_bytes(bytes(1 << 20) * CHUNKS)
    cases = [
        Case(f"{rate} Mbit/s", lambda rate=rate: _serve(image, wish.directory, rate * 1e6))  # type: ignore[misc]
        for rate in RATES_MBIT
    ]
    turns = take_turns(cases, wish.runs, wish.say)
    rows, ratios = [], {}
    for rate, case in zip(RATES_MBIT, cases, strict=True):
        samples = turns.samples.get(case.name)
        if samples is None:
            rows.append([case.name, f"failed: {turns.failures[case.name]}", "", "", ""])
            continue
        met = [sample.rate / (rate * 1e6) for sample in samples]
        worst = max(met, key=lambda share: abs(share - 1))
        share = median_of([sample.cpu_s("server") / sample.served_s for sample in samples])
        rows.append(
            [
                case.name,
                number(median_of(met) * rate, 4),
                f"{median_of(met) - 1:+.1%}",
                f"{worst - 1:+.1%}",
                f"{share:.1%}",
            ]
        )
        ratios[f"-W {rate} Mbit/s: rate kept"] = median_of([min(m, 1 / m) for m in met])
    columns = ["-W", "Mbit/s on the wire", "deviation", "worst", "server's share of a core"]
    note = (
        f"Blocks heard by a plain socket on loopback in {WINDOW_S:g} s, after {SETTLE_S:g} s to "
        f"settle; a block is {WIRE_BITS_PER_BLOCK} bits on the wire."
    )
    return PartResult([Table("The bandwidth asked for, and got", columns, rows, [note])], ratios)


def _serve(image: Path, directory: Path, rate: float) -> PacedSample:
    network = Loopback()
    address, port = new_group()
    session = Session(OURS, OURS, image, "", server_options=("-W", f"{rate:.0f}"))
    with processes(directory) as group:
        server = start_server(group, session, network, address, port)
        begin = time.monotonic()
        # before the server runs out of work; each request costs it time
        ask_s = 0.4 * CHUNKS * BLOCKS_PER_CHUNK * WIRE_BITS_PER_BLOCK / rate
        words = [network.address(1), address, str(port), str(CHUNKS), str(ask_s)]
        words += [str(SETTLE_S), str(WINDOW_S)]
        output = directory / "heard"
        ears = group.start(
            "listener", [sys.executable, "-I", listener.__file__, *words, str(output)]
        )
        usage = group.wait(ears)
        served = group.stop(server)
        served_s = time.monotonic() - begin
    blocks, seconds = output.read_text().split()
    if int(blocks) == 0:
        raise BenchError("no block came")
    heard = float(seconds)
    rate = int(blocks) * WIRE_BITS_PER_BLOCK / heard
    return PacedSample(heard, {"server": served, "listener": usage}, rate, served_s)


PART = Part("Pacing", run)
