"""Sessions between network namespaces, side by side with the C tools, with and without loss."""

from pathlib import Path

from tests.bench.networks import Cables, hosts, why_no_hosts
from tests.bench.parts import Part, Wish
from tests.bench.parts.transfers import (
    C_PACE,
    COUNTS,
    UNLIMITED,
    WHAT_IS_TIMED,
    Freight,
    transfer_table,
)
from tests.bench.processes import BenchError
from tests.bench.sessions import Session, SessionSample, run_session
from tests.bench.statistics import pair_ratio, walls
from tests.bench.tables import PartResult, Table
from tests.bench.tools import OURS, Tools, find_theirs, theirs_or_note
from tests.bench.turns import Case, Turns, take_turns

LOSS = 0.01
WIRES = {
    "": Cables(),
    ", one by one": Cables(cut=True),
    ", one by one, 1 % lost": Cables(loss=LOSS, cut=True),
    ", whole bursts, 1 % lost": Cables(loss=LOSS),
}
LOSSY_COUNTS = (1, 8)
WIRES_TOLD = (
    "Each host is a network namespace; veth pairs and a bridge join them. Without more words a "
    "call of the server, up to 62 packets, travels as one. *One by one*: packets leave the server "
    "singly, as on a wire. Loss is at random, on each client's way in, by netem or nftables."
)


def run(wish: Wish) -> PartResult:
    """Measure. Raises BenchError where namespaces cannot be made."""
    reason = why_no_hosts()
    if reason is not None:
        raise BenchError(f"not measured: {reason}")
    freight = Freight(wish.directory, wish.size_mib)
    theirs = find_theirs()
    clients: dict[str, int] = {}
    cases = []
    for wire, cables in WIRES.items():
        for count in COUNTS if not wire else LOSSY_COUNTS:
            for who, (server, client) in _pairs(theirs).items():
                name = f"{who}: {_counted(count)}{wire}"
                clients[name] = count
                pace = UNLIMITED if server is OURS else C_PACE
                session = Session(server, client, freight.image, freight.digest, count, pace)
                cases.append(_case(name, session, cables, wish.directory))
    turns = take_turns(cases, wish.runs, wish.say)
    notes = [freight.content, WHAT_IS_TIMED, WIRES_TOLD, *theirs_or_note(theirs)]
    title = "One server and its clients, a host each"
    tables = [transfer_table(title, turns, clients, freight.size, notes)]
    if theirs is not None:
        tables.append(_against(turns))
    return PartResult(tables, _ratios(turns))


def _pairs(theirs: Tools | None) -> dict[str, tuple[Tools, Tools]]:
    """Who serves whom."""
    if theirs is None:
        return {"ours": (OURS, OURS)}
    return {
        "C": (theirs, theirs),
        "ours": (OURS, OURS),
        "our server, C clients": (OURS, theirs),
        "C server, our clients": (theirs, OURS),
    }


def _counted(count: int) -> str:
    return f"{count} client{'s' * (count > 1)}"


def _case(name: str, session: Session, cables: Cables, directory: Path) -> Case[SessionSample]:
    def measure() -> SessionSample:
        with hosts(session.clients, cables) as network:
            return run_session(session, network, directory)

    return Case(name, measure)


def _ratios(turns: Turns[SessionSample]) -> dict[str, float]:
    """What loss costs; ours against ours, so that it means something everywhere."""
    samples = turns.samples
    found = {}
    for count in LOSSY_COUNTS:
        base = f"ours: {_counted(count)}"
        for plain, lossy in (
            (", one by one", ", one by one, 1 % lost"),
            ("", ", whole bursts, 1 % lost"),
        ):
            if {base + plain, base + lossy} <= samples.keys():
                name = f"{base}{lossy}: speed of the lossless one's"
                found[name] = pair_ratio(walls(samples[base + plain]), walls(samples[base + lossy]))
    return found


def _against(turns: Turns[SessionSample]) -> Table:
    """Each pair of tools against C with C, of the same round."""
    rows = []
    for name, samples in turns.samples.items():
        who, _, what = name.partition(": ")
        base = turns.samples.get(f"C: {what}")
        if base is None or who == "C":
            continue
        row = [name, f"{pair_ratio(walls(base), walls(samples)):.2f}x"]
        for role in ("server", "client"):
            ratio = pair_ratio([s.cpu_s(role) for s in base], [s.cpu_s(role) for s in samples])
            row.append(f"1/{ratio:.1f}")
        rows.append(row)
    columns = ["case", "speed of C with C's", "server CPU of C's", "client CPU of C's"]
    return Table("Against the C tools, pair by pair", columns, rows)


PART = Part("Sessions between network namespaces", run)
