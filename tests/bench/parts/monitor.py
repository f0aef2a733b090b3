"""What it costs to watch nodes: CPU while nothing changes, and memory, on simulated nodes.

Start-up and the first logins are left out: two runs of different lengths take turns, and what the
longer one takes more is what its further seconds cost.
"""

from functools import partial

from tests.bench.parts import Part, Wish
from tests.bench.statistics import Sample, median_of
from tests.bench.tables import PartResult, Table, number
from tests.bench.testbeds import Testbed, running_testbed
from tests.bench.turns import Case, Turns, take_turns

COUNTS = (8, 200)
CYCLE_S = 2.0  # the default
SHORT_S, LONG_S = 6.0, 18.0
MEGABYTE = 1e6
FACES = ("--web", ":0", "--prometheus", ":0")


def watch(bed: Testbed, seconds: float) -> Sample:
    """The monitor with a page and metrics, for so long."""
    return bed.run("imaging-monitor", "-q", "-a", "-t", str(seconds), *FACES)


def row(count: int, turns: Turns[Sample]) -> list[str]:
    """One line of the table."""
    short, long = (turns.samples.get(name) for name in ("short", "long"))
    if short is None or long is None:
        return [str(count), "failed", "failed", "failed"]
    further_s = LONG_S - SHORT_S
    pairs = zip(short, long, strict=True)
    core = median_of([(b.cpu_s("command") - a.cpu_s("command")) / further_s for a, b in pairs])
    first = median_of([sample.cpu_s("command") for sample in short]) - core * SHORT_S
    peak = median_of([sample.usage["command"].peak_bytes for sample in long])
    return [str(count), number(core * 100), number(first), number(peak / MEGABYTE)]


def run(wish: Wish) -> PartResult:
    """Measure all sizes."""
    rows = []
    for count in COUNTS:
        wish.say(f"{count} nodes")
        with running_testbed(wish.directory / f"watched{count}", count) as bed:
            config = bed.directory / "imaging.conf"
            text = config.read_text()
            assert "cycle_s = 0.5" in text
            config.write_text(text.replace("cycle_s = 0.5", f"cycle_s = {CYCLE_S:g}"))
            bed.run("imaging-load", "-q", "-i", "sample", "--wait", "-a")
            cases = [
                Case("short", partial(watch, bed, SHORT_S)),
                Case("long", partial(watch, bed, LONG_S)),
            ]
            rows.append(row(count, take_turns(cases, wish.runs, wish.say)))
    columns = ("nodes", "% of a core", "CPU s until all are known", "peak MB")
    return PartResult([Table("Watching by the number of nodes", columns, rows, (NOTE,))])


NOTE = (
    f"All nodes up, looked at every {CYCLE_S:g} s, with a page and metrics that nobody asks for. "
    "The simulated nodes run on the same cores."
)

PART = Part("Monitor: what it costs to watch", run)
