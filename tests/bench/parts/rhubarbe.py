"""rhubarbe beside ours, on the same simulated nodes, in turn: load and wait."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from tests.bench.networks import lonely_host, why_no_hosts
from tests.bench.parts import Part, Wish
from tests.bench.parts.orchestration import LOAD, MEGABYTE
from tests.bench.processes import BenchError
from tests.bench.rhubarbe import VARIABLE, Rhubarbe, find_rhubarbe, names_of, settle
from tests.bench.statistics import Sample, median_of, pair_ratio, walls
from tests.bench.tables import PartResult, Table, number
from tests.bench.testbeds import RAMDISK_BOOT_S, SYSTEM_BOOT_S, Testbed, running_testbed
from tests.bench.turns import Case, Turns, take_turns

COUNTS = (1, 37, 200)
SHIPPED_COUNT = 37  # as shipped, it is idle for as long with every number of nodes
OURS, TUNED, SHIPPED = "ours", "rhubarbe, tuned", "rhubarbe, as shipped"
MEASURES: dict[str, Callable[[Sample], float]] = {
    "overhead": lambda sample: sample.wall_s,
    "CPU": lambda sample: sample.cpu_s("command"),
}
WAIT_OURS = ("imaging-wait", "-q", "-a", "--uptime-below", "20")


@dataclass(frozen=True, slots=True)
class Contest:
    """Who takes turns on one testbed; each by its name."""

    bed: Testbed
    peers: dict[str, Rhubarbe]

    def cases(self) -> list[Case[Sample]]:
        """A load by each, then a wait by each for nodes that have just been reset."""
        loads: dict[str, tuple[str, ...]] = {OURS: LOAD}
        waits: dict[str, tuple[str, ...]] = {OURS: WAIT_OURS}
        for name, peer in self.peers.items():
            loads[name] = peer.words("load", "-i", "sample", "-a")
            waits[name] = peer.words("wait", "-a")
        return [
            *(Case(f"load, {name}", partial(self._load, words)) for name, words in loads.items()),
            *(Case(f"wait, {name}", partial(self._wait, words)) for name, words in waits.items()),
        ]

    def _load(self, words: tuple[str, ...]) -> Sample:
        before = self.bed.clients()
        sample = self.bed.run(*words)
        # whatever its exit status says; nodes that come when a client has ended have another one
        if self.bed.clients() == before:
            raise BenchError("no node has had the image")
        unavoidable = RAMDISK_BOOT_S + self.bed.client_seconds()
        return Sample(sample.wall_s - unavoidable, sample.usage)

    def _wait(self, words: tuple[str, ...]) -> Sample:
        self.bed.run("imaging-reset", "-q", "-a")
        sample = self.bed.run(*words)
        return Sample(sample.wall_s - SYSTEM_BOOT_S, sample.usage)


def run(wish: Wish) -> PartResult:
    """Measure all sizes, where rhubarbe is installed."""
    command = find_rhubarbe()
    why = "rhubarbe is not installed" if command is None else why_no_hosts()
    if command is None or why is not None:
        wish.say(f"{why}: this part is left out")
        return PartResult([Table(TITLE, COLUMNS, [], (MISSING.format(why=why),))])
    rows: list[list[str]] = []
    ratios: dict[str, float] = {}
    for count in COUNTS:
        wish.say(f"{count} nodes")
        turns = measure(wish, command, count)
        for work in ("load", "wait"):
            rows += table_rows(work, count, turns)
            ratios |= ratios_of(work, count, turns)
    return PartResult([Table(TITLE, COLUMNS, rows, NOTES)], ratios)


def measure(wish: Wish, command: str, count: int) -> Turns[Sample]:
    """All take turns on one testbed of so many nodes."""
    directory = wish.directory / f"bed{count}"
    with (
        lonely_host() as host,
        running_testbed(directory, count, prefix=host.prefix, real_ports=True) as bed,
    ):
        host.learn(names_of(bed))
        peers = {TUNED: settle(command, bed, "tuned")}
        if count == SHIPPED_COUNT:
            peers[SHIPPED] = settle(command, bed, "shipped")
        return take_turns(Contest(bed, peers).cases(), wish.runs, wish.say)


def table_rows(work: str, count: int, turns: Turns[Sample]) -> list[list[str]]:
    """A line for each who has taken part."""
    rows = []
    for who in (OURS, TUNED, SHIPPED):
        name = f"{work}, {who}"
        if name in turns.failures:
            rows.append([f"{work}, {count}", who, "failed", "", "", ""])
        if (samples := turns.samples.get(name)) is None:
            continue
        ours = turns.samples.get(f"{work}, {OURS}")
        cpu = median_of([sample.cpu_s("command") for sample in samples])
        peak = median_of([sample.usage["command"].peak_bytes for sample in samples])
        times = number(pair_ratio(walls(samples), walls(ours))) if ours else ""
        cells = [number(median_of(walls(samples))), times, number(cpu), number(peak / MEGABYTE)]
        rows.append([f"{work}, {count}", who, *cells])
    return rows


def ratios_of(work: str, count: int, turns: Turns[Sample]) -> dict[str, float]:
    """Theirs over ours, by what; more is better."""
    ours = turns.samples.get(f"{work}, {OURS}")
    if ours is None:
        raise BenchError(f"our own {work} failed: {turns.failures[f'{work}, {OURS}']}")
    return {
        f"{work}, {count} nodes, {who}: {what} over ours": pair_ratio(
            [of(sample) for sample in theirs], [of(sample) for sample in ours]
        )
        for who in (TUNED, SHIPPED)
        if (theirs := turns.samples.get(f"{work}, {who}")) is not None
        for what, of in MEASURES.items()
    }


TITLE = "Overhead of rhubarbe and of ours"
COLUMNS = ("what, nodes", "who", "overhead s", "times ours", "CPU s", "peak MB")
MISSING = f"{{why}}. It is measured where it is on PATH, or where ${VARIABLE} says."
NOTES = (
    (
        "The same simulated nodes, image, server (ours) and bandwidth for all, in turn; ramdisk up "
        f"{RAMDISK_BOOT_S:g} s and system up {SYSTEM_BOOT_S:g} s after a reset. Overhead is what a "
        "command takes beyond that, and beyond a client: all nodes that come while it runs "
        "share it."
    ),
    "*Tuned*: no fixed idling after the reset, 0.1 s between attempts. *As shipped*: 15 s and 3 s.",
    "rhubarbe's wait accepts any system that answers; ours, here, only one that has just booted.",
)

PART = Part("rhubarbe, side by side", run)
