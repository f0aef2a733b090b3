"""How long nodes took to boot their ramdisk, from the history."""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from imaging.feedback.outcomes import Step
from imaging.feedback.records.history import open_history
from imaging.feedback.records.history_rows import PastAttempt

ATTEMPTS_AT_LEAST = 200  # are looked at, and one more for each node


def past_boots(file: Path, nodes: Collection[str]) -> dict[str, list[float]]:
    """The seconds from power to ramdisk, by node, newest first. Raises HistoryError.

    Only the last attempts of all nodes are looked at, so some nodes may be missing.
    """
    with open_history(file, writing=False) as history:
        return boots_of(history.attempts(count=ATTEMPTS_AT_LEAST + len(nodes)), nodes)


def boots_of(attempts: Iterable[PastAttempt], nodes: Collection[str]) -> dict[str, list[float]]:
    """The same of these attempts; those without a reset, or that failed, tell nothing. Pure."""
    boots: dict[str, list[float]] = {}
    wanted = frozenset(nodes)
    for attempt in attempts:
        seconds = _boot_of(attempt.durations) if attempt.reason is None else None
        if seconds is not None and attempt.node in wanted:
            boots.setdefault(attempt.node, []).append(seconds)
    return boots


def _boot_of(durations: Mapping[str, float]) -> float | None:
    """The duration of a boot that followed a reset."""
    return durations.get(Step.BOOT) if Step.POWER in durations else None
