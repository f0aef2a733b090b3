"""Choosing images by patterns, in which case does not matter."""

from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase

from imaging.images.catalogue import Entry
from imaging.images.sidecar import SUFFIX

WILDCARDS = frozenset("*?[")


def matches(pattern: str, name: str) -> bool:
    """Whether the name of an image fits: a pattern with wildcards whole, any other somewhere."""
    pattern, name = pattern.lower().removesuffix(SUFFIX), name.lower()
    return fnmatchcase(name, pattern) if WILDCARDS & set(pattern) else pattern in name


def choose(
    entries: Iterable[Entry], patterns: Sequence[str], *, every: bool
) -> tuple[list[Entry], list[str]]:
    """The entries that fit any of the patterns, or ``every`` one; all when there is no pattern.

    Also the patterns in vain: those that no entry fits or, with ``every``, all when no entry fits
    them together.
    """
    entries = list(entries)
    quantifier: Callable[[Iterable[object]], bool] = all if every or not patterns else any
    chosen = [
        entry
        for entry in entries
        if quantifier(matches(pattern, entry.name) for pattern in patterns)
    ]
    if every:
        return chosen, [] if chosen else [" and ".join(patterns)] * bool(patterns)
    in_vain = [
        pattern
        for pattern in patterns
        if not any(matches(pattern, entry.name) for entry in entries)
    ]
    return chosen, in_vain
