"""The parts of the benchmark, each in a file of its own; this is their register.

A new part is a module with a ``PART``, and a line in ``PARTS``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from tests.bench.tables import PartResult

MODULES = (
    "dataplane_images",
    "dataplane_loopback",
    "dataplane_network",
    "dataplane_pacing",
    "simulation",
    "orchestration",
    "rhubarbe",
    "monitor",
)


@dataclass(frozen=True, slots=True)
class Wish:
    """What a part is asked to do.

    Attributes:
        directory: an empty one, best in memory; whatever a part leaves there is removed.
        runs: how often each case is measured, after a warm-up.
        size_mib: of the disk.
        say: is given lines of progress.
    """

    directory: Path
    runs: int
    size_mib: int
    say: Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Part:
    """One part. ``run`` may raise BenchError, when nothing could be measured at all.

    Attributes:
        title: of its section.
        run: measures.
        page: the file in docs/ that the section is in.
    """

    title: str
    run: Callable[[Wish], PartResult]
    page: str = "benchmarks.md"


def names() -> list[str]:
    """The names of all parts, as ``--only`` takes them."""
    return [module.replace("_", "-") for module in MODULES]


def chosen(wanted: Sequence[str]) -> list[str]:
    """The parts whose names begin with one of the words; all of them without any.

    Raises ValueError for a word that chooses nothing.
    """
    for word in wanted:
        if not any(name.startswith(word) for name in names()):
            raise ValueError(f"there is no part {word!r}; there are {', '.join(names())}")
    return [name for name in names() if not wanted or name.startswith(tuple(wanted))]


def find(name: str) -> Part:
    """A part by its name; imported only now, so that a process stays small."""
    part = import_module(f"{__name__}.{name.replace('-', '_')}").PART
    assert isinstance(part, Part)
    return part
