"""Nodes that are not all switched on at the same moment: a rack's fuse has to bear it."""

import trio


class Stagger:
    """The turns of the nodes of a run, so many seconds apart; with 0, all have theirs at once."""

    def __init__(self, gap_s: float) -> None:
        """``gap_s`` is [power] stagger_s."""
        self._gap_s = gap_s
        self._next = 0.0  # trio's clock

    async def turn(self) -> None:
        """Wait until the next node may draw its power. First come, first served."""
        if not self._gap_s:
            return
        turn = max(trio.current_time(), self._next)
        self._next = turn + self._gap_s
        await trio.sleep_until(turn)
