"""How the nodes of a run begin: nearly one after the other, so that the first boot meanwhile.

A thousand nodes that begin at once take every step together, and the first is reset when the last
one is: then all of them boot while there is nothing to do, and all come at the same moment.
"""

from dataclasses import dataclass, field

import trio

ABREAST = 32  # nodes between their beginning and their boot
PATIENCE_S = 0.002  # for one that is slow: a thousand dead cards hold nobody up for longer than 2 s


@dataclass(slots=True)
class Place:
    """A node's place among those that begin; it is given back once, early or late."""

    _places: trio.Semaphore | None = None

    def leave(self) -> None:
        """Let another node begin."""
        if self._places is not None:
            self._places.release()
            self._places = None


@dataclass(slots=True)
class Admission:
    """Lets nodes begin."""

    _places: trio.Semaphore = field(default_factory=lambda: trio.Semaphore(ABREAST))

    async def next(self) -> Place:
        """Wait until the next node may begin: for a place, but not for long."""
        with trio.move_on_after(PATIENCE_S):
            await self._places.acquire()
            return Place(self._places)
        return Place()
