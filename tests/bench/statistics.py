"""Medians and ratios of runs that took turns. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

GIGABYTE = 1e9


@dataclass(frozen=True, slots=True)
class Usage:
    """What processes took: CPU in seconds, user and system; peak of resident memory in bytes."""

    cpu_s: float
    peak_bytes: int


@dataclass(frozen=True, slots=True)
class Sample:
    """One run: wall time in seconds, and what each role's processes took (CPU of all together)."""

    wall_s: float
    usage: dict[str, Usage]

    def cpu_s(self, role: str) -> float:
        """The CPU seconds of a role."""
        return self.usage[role].cpu_s


def together(usages: Sequence[Usage]) -> Usage:
    """Several processes as one: their CPU times added up, the largest of their peaks."""
    return Usage(sum(u.cpu_s for u in usages), max(u.peak_bytes for u in usages))


def median_of(values: Sequence[float]) -> float:
    """The median; ValueError when there is none."""
    if not values:
        raise ValueError("no run, no median")
    return median(values)


def pair_ratio(over: Sequence[float], under: Sequence[float]) -> float:
    """The median of ``over[i] / under[i]``: the two of each pair met the same machine's mood."""
    if len(over) != len(under):
        raise ValueError(f"{len(over)} and {len(under)} runs are no pairs")
    return median_of([first / second for first, second in zip(over, under, strict=True)])


def walls(samples: Sequence[Sample]) -> list[float]:
    """The wall times."""
    return [sample.wall_s for sample in samples]


def cpu_per_gigabyte(samples: Sequence[Sample], role: str, size: int) -> list[float]:
    """CPU seconds of a role for each 10^9 bytes of ``size``."""
    return [sample.cpu_s(role) * GIGABYTE / size for sample in samples]
