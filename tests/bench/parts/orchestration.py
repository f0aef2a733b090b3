"""What the product adds to boot and transfer, on simulated nodes: time, CPU, memory.

Overhead is the wall time of a command less what nobody can save: the time that a node needs to
boot, and the time that the frisbee client needs from its start to its end.
"""

import sys
from collections.abc import Callable, Sequence
from functools import partial

from tests.bench.parts import Part, Wish
from tests.bench.processes import BenchError
from tests.bench.statistics import Sample, Usage, median_of, pair_ratio, walls
from tests.bench.tables import PartResult, Table, number
from tests.bench.testbeds import RAMDISK_BOOT_S, SYSTEM_BOOT_S, Testbed, running_testbed
from tests.bench.turns import Case, Turns, take_turns

COUNTS = (1, 8, 37, 200, 1000)
NEVER_S = 600.0  # a ramdisk boot that no run waits for
TIMEOUT_S = 5.0  # of a load that cannot end
MEGABYTE = 1e6

LOAD = ("imaging-load", "-q", "-i", "sample", "-a")
COLUMNS = (
    "nodes",
    "load: overhead s",
    "CPU s",
    "ms for each further node",
    "peak MB",
    "CPU s of the nodes",
    "wait: overhead s",
    "wait, all up: s",
    "reset: s",
)
YARDSTICK = "python -c 'import click, msgspec'"
STARTS: dict[str, tuple[str, ...]] = {
    "imaging-load --help": ("imaging-load", "--help"),
    "imaging-nodes 1-37": ("imaging-nodes", "1-37"),
    "imaging-list": ("imaging-list",),
}


def load(bed: Testbed) -> Sample:
    """A load, less boot and transfer; with what the nodes have taken themselves."""
    before = bed.cpu_s()
    sample = bed.run(*LOAD)
    nodes = Usage(bed.cpu_s() - before, 0)
    unavoidable = RAMDISK_BOOT_S + bed.client_seconds()
    return Sample(sample.wall_s - unavoidable, {**sample.usage, "nodes": nodes})


def wait(bed: Testbed) -> Sample:
    """A wait that begins when all nodes have just been reset, less their boot."""
    bed.run("imaging-reset", "-q", "-a")
    sample = bed.run("imaging-wait", "-q", "-a", "--uptime-below", "20")
    return Sample(sample.wall_s - SYSTEM_BOOT_S, sample.usage)


def cases_of(bed: Testbed) -> list[Case[Sample]]:
    """What is measured of one testbed, in this order: each leaves what the next one needs."""
    works: dict[str, Callable[[], Sample]] = {
        "load": partial(load, bed),
        "wait": partial(wait, bed),
        "wait, all up": partial(bed.run, "imaging-wait", "-q", "-a"),
        "reset": partial(bed.run, "imaging-reset", "-q", "-a"),
    }
    return [Case(name, work) for name, work in works.items()]


def end_cases_of(bed: Testbed) -> list[Case[Sample]]:
    """How soon a command ends that must, on nodes that never come."""
    works: dict[str, Callable[[], Sample]] = {
        "timeout": partial(bed.run_late, TIMEOUT_S, *LOAD),
        "SIGTERM": partial(bed.run_and_stop, TIMEOUT_S, *LOAD),
    }
    return [Case(name, work) for name, work in works.items()]


def start_cases_of(bed: Testbed) -> list[Case[Sample]]:
    """How long it takes until a command that has nothing to do has done it."""
    yardstick = (sys.executable, "-c", "import click, msgspec")
    works = {YARDSTICK: yardstick, **STARTS}
    return [Case(name, partial(bed.run, *words)) for name, words in works.items()]


def cpu_of(turns: Turns[Sample], role: str) -> float | None:
    """The CPU seconds of a load; None when it failed."""
    loads = turns.samples.get("load")
    return median_of([sample.cpu_s(role) for sample in loads]) if loads else None


def row(count: int, turns: Turns[Sample], alone_cpu_s: float | None) -> list[str]:
    """One line of the first table; ``alone_cpu_s`` is what a load of a single node takes."""

    def seconds(name: str) -> str:
        found = turns.samples.get(name)
        return "failed" if found is None else number(median_of(walls(found)))

    def known(value: float | None) -> str:
        return "failed" if value is None else number(value)

    loads = turns.samples.get("load", [])
    cpu = cpu_of(turns, "command")
    peak = median_of([s.usage["command"].peak_bytes for s in loads]) if loads else None
    further = ""
    if count > 1 and cpu is not None and alone_cpu_s is not None:
        further = number((cpu - alone_cpu_s) * 1000 / (count - 1))
    return [
        str(count),
        seconds("load"),
        known(cpu),
        further,
        known(None if peak is None else peak / MEGABYTE),
        known(cpu_of(turns, "nodes")),
        seconds("wait"),
        seconds("wait, all up"),
        seconds("reset"),
    ]


def run(wish: Wish) -> PartResult:
    """Measure all sizes."""
    rows: list[list[str]] = []
    ends: list[list[str]] = []
    alone_cpu_s: float | None = None
    for count in COUNTS:
        wish.say(f"{count} nodes")
        with running_testbed(wish.directory / f"bed{count}", count) as bed:
            turns = take_turns(cases_of(bed), wish.runs, wish.say)
        if count == 1:
            alone_cpu_s = cpu_of(turns, "command")
        rows.append(row(count, turns, alone_cpu_s))
        never = wish.directory / f"never{count}"
        with running_testbed(never, count, ramdisk_boot_s=NEVER_S) as bed:
            turns = take_turns(end_cases_of(bed), wish.runs, wish.say)
        found = [turns.samples.get(name) for name in ("timeout", "SIGTERM")]
        ends.append(
            [str(count), *("failed" if s is None else number(median_of(walls(s))) for s in found)]
        )
    wish.say("start-up")
    with running_testbed(wish.directory / "start", 37) as bed:
        starts = take_turns(start_cases_of(bed), max(wish.runs, 10), wish.say)
    return PartResult(
        [
            Table("Overhead by the number of nodes", COLUMNS, rows, (SIMULATED, COUNTED)),
            Table(
                "How soon a load ends that must",
                ("nodes", "after its --timeout: s", "after SIGTERM: s"),
                ends,
                ("Nodes that never come, all links there.",),
            ),
            _starts(starts),
        ],
        _start_ratios(starts),
    )


SIMULATED = (
    f"Simulated nodes (`imaging-testbed up --simulate`): ramdisk up {RAMDISK_BOOT_S:g} s and "
    f"system up {SYSTEM_BOOT_S:g} s after a reset, one real client for all that come while it "
    "runs. They run on the same cores as what is measured: with 1000 nodes, one process is 1000 "
    "power cards, 1000 telnet servers and 1000 ssh servers. What it takes of them during a load is "
    "the column *CPU s of the nodes*."
)
COUNTED = (
    "CPU and memory are the command's, with its frisbee server and its guard. A load takes about "
    "as much for its start as for many nodes, so a further node's share is a column of its own. "
    "From the second run on the history tells how long the nodes take to boot."
)


def _starts(turns: Turns[Sample]) -> Table:
    rows = []
    for name in (YARDSTICK, *STARTS):
        found = turns.samples.get(name)
        if found is None:
            rows.append([name, "failed", "failed", ""])
            continue
        ratio = pair_ratio(walls(found), _yardstick(turns))
        ms = median_of(walls(found)) * 1000
        cpu = median_of([s.cpu_s("command") for s in found]) * 1000
        rows.append([name, number(ms), number(cpu), number(ratio)])
    return Table("Start-up", ("command", "wall ms", "CPU ms", "times the first"), rows)


def _yardstick(turns: Turns[Sample]) -> Sequence[float]:
    found = turns.samples.get(YARDSTICK)
    if found is None:
        raise BenchError("not even the yardstick starts")
    return walls(found)


def _start_ratios(turns: Turns[Sample]) -> dict[str, float]:
    """By name; more is better, so these are the yardstick's time over ours."""
    return {
        f"start of {name}": pair_ratio(_yardstick(turns), walls(turns.samples[name]))
        for name in STARTS
        if name in turns.samples
    }


PART = Part("Orchestration: what is added to boot and transfer", run)
