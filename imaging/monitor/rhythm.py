"""When a node is looked at, and how many are at once.

A look that waits for a node which does not answer takes a place for as long as its timeout. Such
nodes are then looked at in a lane of their own: however many there are, they only wait for each
other.
"""

import random
from collections.abc import Awaitable, Callable

import trio

from imaging.jitter import jittered

LOGINS_AT_ONCE = 32  # each is some ten ms of work for this host, and holds two descriptors
OFF_CYCLES = 10  # what is at a node without power is looked at so much more rarely


class Lanes:
    """The places for one kind of work; a quarter of them is for who was late the last time."""

    def __init__(self, places: int) -> None:
        """``places`` are at least 4."""
        late = places // 4
        self._lanes = {
            False: trio.CapacityLimiter(places - late),
            True: trio.CapacityLimiter(late),
        }

    def place(self, *, late: bool) -> trio.CapacityLimiter:
        """A place, to be had in an ``async with`` block."""
        return self._lanes[late]


class Proof:
    """When something that answers is to be proven: at once when it is new, and then rarely.

    What could not be proven is tried again after a cycle, then after twice as long, and so on.
    """

    def __init__(self, cycle_s: float, interval_s: float) -> None:
        """There is nothing to prove yet."""
        self._cycle_s = cycle_s
        self._interval_s = interval_s
        self.forget()

    def forget(self) -> None:
        """What was there has gone, or something else has come."""
        self.holds = False
        self._pause_s = self._cycle_s
        self._due = float("-inf")

    def is_due(self) -> bool:
        """Whether it is time."""
        return trio.current_time() >= self._due

    def succeeded(self) -> None:
        """It is proven."""
        self.forget()
        self.holds = True
        self._due = trio.current_time() + jittered(self._interval_s)

    def failed(self) -> None:
        """It could not be proven."""
        self.holds = False
        self._due = trio.current_time() + jittered(self._pause_s)
        self._pause_s = min(2 * self._pause_s, self._interval_s)


class Rhythm:
    """Has something looked at in cycles, from the beginning of one look to that of the next."""

    def __init__(self, cycle_s: float) -> None:
        """A cycle is so many seconds, jittered."""
        self.cycles = 1  # a look is made every so many cycles
        self._cycle_s = cycle_s
        self._wanted = trio.Event()

    def hurry(self) -> None:
        """Let the next look be at once."""
        self._wanted.set()

    async def keep(self, look: Callable[[], Awaitable[None]]) -> None:
        """Look until cancelled."""
        await trio.sleep(random.uniform(0, self._cycle_s))  # noqa: S311 - not all at the same time
        while True:
            next_look = trio.current_time() + jittered(self._cycle_s * self.cycles)
            self._wanted = trio.Event()
            await look()
            await trio.lowlevel.checkpoint()  # the look may be late
            with trio.move_on_at(next_look):
                await self._wanted.wait()
