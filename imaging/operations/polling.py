"""How often nodes that are not there yet are asked: bounded for all nodes of a run together.

A few nodes are asked often, so that none waits for us; a thousand are asked in turn, so that they
do not cost a thousand connections in every tenth of a second.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import trio


class Polling:
    """What the nodes of a run share while they are searched."""

    def __init__(self, polls_per_s: float) -> None:
        """At most so many attempts per second are begun, on average."""
        self._polls_per_s = polls_per_s
        self._searched = 0

    @contextmanager
    def searching(self) -> Iterator[None]:
        """Count a node as searched for as long as the block lasts."""
        self._searched += 1
        try:
            yield
        finally:
            self._searched -= 1

    async def pause(self, shortest_s: float) -> None:
        """Wait until a node may be asked again: so many seconds, or longer when there are many."""
        period = max(shortest_s, self._searched / self._polls_per_s)
        await trio.sleep(period * random.uniform(0.75, 1.25))  # noqa: S311 - no secret
