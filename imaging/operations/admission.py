"""Who works on a node now, where a thousand at once would take longer than each of them may.

Nodes that are begun at once take every step together, and the first is reset when the last one is:
then all of them boot while there is nothing to do, and all come at the same moment. Shells and
logins that are opened at once share this host's time: where it is busy, each takes longer than its
timeout, all fail, and all begin again.

So they get places, and the next is let in after a moment even when there is none: what is slow by
itself, as a dead card is, holds nobody up. On a host that is busy that moment is as long as a pass
through all tasks, so that fewer are let in the more there is to do.
"""

from dataclasses import dataclass, field

import trio


@dataclass(slots=True)
class Place:
    """A place among those at work; it is given back once, early or late."""

    _places: trio.Semaphore | None = None

    def leave(self) -> None:
        """Let another one begin."""
        if self._places is not None:
            self._places.release()
            self._places = None


@dataclass(slots=True)
class Admission:
    """Lets so many work ``abreast``, and others one by one, ``patience_s`` seconds apart."""

    abreast: int = 32
    patience_s: float = 0.002  # a thousand that all are slow hold nobody up for longer than 2 s
    _places: trio.Semaphore = field(init=False)
    _door: trio.Lock = field(default_factory=trio.Lock)

    def __post_init__(self) -> None:
        """Nobody is at work."""
        self._places = trio.Semaphore(self.abreast)

    async def next(self) -> Place:
        """Wait for a place, but not for long when one is the next; first come, first served."""
        async with self._door:
            with trio.move_on_after(self.patience_s):
                await self._places.acquire()
                return Place(self._places)
            return Place()
