"""Collect the free stretches of a disk in bounded memory. Pure."""

from dataclasses import dataclass

MAX_STRETCHES = 1 << 17
"""When there are more, the shortest are no longer taken for free."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found in a partition.

    Attributes:
        name: of the file system.
        free: stretches (begin, end), in sectors from the beginning of the partition.
    """

    name: str
    free: tuple[tuple[int, int], ...]


class Stretches:
    """Free stretches (begin, end) in ascending order; those that touch are joined.

    Attributes:
        minimum: shorter ones are not kept; it grows when there are very many.
    """

    def __init__(self, minimum: int, limit: int = MAX_STRETCHES) -> None:
        """Begin; `limit` is how many are kept at most."""
        self.minimum = max(minimum, 1)
        self._limit = limit
        self._kept: list[tuple[int, int]] = []
        self._begin = self._end = 0

    def add(self, begin: int, end: int) -> None:
        """Add what lies after all that was added before; an empty stretch is none."""
        if begin >= end:
            return
        if begin != self._end:
            self._keep()
            self._begin = begin
        self._end = end

    def _keep(self) -> None:
        if self._end - self._begin < self.minimum:
            return
        self._kept.append((self._begin, self._end))
        while len(self._kept) > self._limit:
            self.minimum *= 2
            self._kept = [each for each in self._kept if each[1] - each[0] >= self.minimum]

    def finish(self) -> tuple[tuple[int, int], ...]:
        """Give them all."""
        self._keep()
        self._begin = self._end = 0
        return tuple(self._kept)
