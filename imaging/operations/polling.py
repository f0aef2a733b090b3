"""How often nodes that are not there yet are asked: bounded for all nodes of a run together.

A few nodes are asked often, so that none waits for us; a thousand are asked in turn, so that they
do not cost a thousand connections in every tenth of a second. Nodes that were reset together come
together: once one is there, the others are asked more often.
"""

import trio

from imaging.jitter import jittered

DUE_FACTOR = 2.5  # as often, when the first node has come


class Polling:
    """What the nodes of a run share while they are searched."""

    def __init__(self, polls_per_s: float) -> None:
        """At most so many attempts per second are begun, until nodes begin to come."""
        self._polls_per_s = polls_per_s
        self._gap_s = 1 / polls_per_s
        self._next = 0.0  # when the next attempt of any node may begin, by trio's clock

    def found(self) -> None:
        """A node is there."""
        self._gap_s = 1 / (DUE_FACTOR * self._polls_per_s)

    async def pause(self, shortest_s: float) -> None:
        """Wait until a node may be asked again: so many seconds, or longer when there are many."""
        now = trio.current_time()
        turn = max(now, self._next)
        self._next = turn + self._gap_s
        await trio.sleep_until(max(turn, now + jittered(shortest_s)))
