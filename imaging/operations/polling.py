"""How often nodes that are not there yet are asked: bounded for all nodes of a run together.

A few nodes are asked often, so that none waits for us; a thousand are asked in turn, so that they
do not cost a thousand connections in every tenth of a second. Nodes that were reset together come
together: once one is there, the others are asked more often.

A node whose earlier boots are known is hardly asked before it can be there. That it is asked at
all is for a history that is wrong: the first node that comes too early has it disregarded.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import trio

from imaging.jitter import jittered
from imaging.operations.admission import Admission, Place

DUE_FACTOR = 2.5  # as often, when the first node has come
EARLY = 0.9  # of the fastest boot so far: from then on a node is due
SPARSE_SHARE = 0.25  # of that time is between two attempts before it
SPARSE_AT_MOST_S = 2.0  # what a history that is wrong may cost a node
TALKS_ABREAST = 64  # shells and logins that are being opened
TALK_PATIENCE_S = 0.005  # a thousand that do not answer hold nobody up for longer than 5 s
SPARSE_FACTOR = 0.125  # of all attempts per second may be for nodes that are not due


def due_after_s(boots: Sequence[float]) -> float | None:
    """How many seconds after its reset a node is due, by how long it has taken before.

    None when nothing is known. The fastest boot counts: who is asked too early costs an attempt,
    who is asked too late makes the run longer.
    """
    return min(boots) * EARLY if boots else None


def pause_s(shortest_s: float, since_s: float, due_s: float | None) -> float:
    """How long to leave a node alone that was reset ``since_s`` ago and is due ``due_s`` after it.

    Until then it is at most ``SPARSE_AT_MOST_S``, and not longer than that moment is away; from
    then on, and when nothing is known, it is ``shortest_s``.
    """
    if due_s is None or since_s >= due_s:
        return shortest_s
    sparse_s = min(due_s * SPARSE_SHARE, SPARSE_AT_MOST_S, due_s - since_s)
    return max(shortest_s, sparse_s)


@dataclass(slots=True)
class _Turns:
    """Attempts one after the other, with a gap between them."""

    gap_s: float
    _next: float = 0.0  # when the next one may begin, by trio's clock

    def coming(self, now: float) -> float:
        """When the next attempt may begin."""
        return max(now, self._next)

    def take(self, now: float) -> float:
        """The same, and nobody else has that turn."""
        turn = self.coming(now)
        self._next = turn + self.gap_s
        return turn


@dataclass(slots=True)
class Polling:
    """What the nodes of a run share while they are searched.

    At most ``polls_per_s`` attempts per second are begun, until nodes begin to come.
    """

    polls_per_s: float
    _talks: Admission = field(default_factory=lambda: Admission(TALKS_ABREAST, TALK_PATIENCE_S))
    _due: Mapping[str, float] = field(default_factory=dict)
    _surprise: trio.Event = field(default_factory=trio.Event)
    _turns: _Turns = field(init=False)
    _sparse_turns: _Turns = field(init=False)

    def __post_init__(self) -> None:
        """No node has been asked yet."""
        self._turns = _Turns(1 / self.polls_per_s)
        self._sparse_turns = _Turns(1 / (SPARSE_FACTOR * self.polls_per_s))

    async def place_to_talk(self, give_up: Callable[[], None]) -> Place:
        """A place for a node that answers: to open a shell, or to log in, is work for this host.

        ``give_up`` is called when this is cancelled, to close the connection to it.
        """
        try:
            return await self._talks.next()
        except BaseException:
            give_up()
            raise

    def expect(self, boots: Mapping[str, Sequence[float]]) -> None:
        """Know how long the nodes have taken before, in seconds after their reset."""
        due = {node: due_after_s(past) for node, past in boots.items()}
        self._due = {node: seconds for node, seconds in due.items() if seconds is not None}

    def found(self, node: str | None = None, since_s: float | None = None) -> None:
        """A node is there, ``since_s`` after its reset."""
        self._turns.gap_s = 1 / (DUE_FACTOR * self.polls_per_s)
        due_s = self._due.get(node) if node is not None else None
        if since_s is not None and due_s is not None and since_s < due_s:
            self._due = {}  # so the history is wrong, and perhaps not for this node alone
            self._surprise.set()

    async def pause(
        self, shortest_s: float, node: str | None = None, since_s: float | None = None
    ) -> None:
        """Wait until a node may be asked again: so many seconds, or longer when there are many.

        ``since_s`` is the time since the reset of a node that is booting.
        """
        due_s = self._due.get(node) if node is not None else None
        if since_s is not None and due_s is not None and since_s < due_s:
            await self._pause_sparsely(pause_s(shortest_s, since_s, due_s), due_s - since_s)
            return
        now = trio.current_time()
        await trio.sleep_until(max(self._turns.take(now), now + jittered(shortest_s)))

    async def _pause_sparsely(self, least_s: float, due_in_s: float) -> None:
        """Wait for a turn of those that are not due, at most until it is due, or until they are."""
        now = trio.current_time()
        turn = max(self._sparse_turns.coming(now), now + jittered(least_s))
        is_asked_before = turn < now + due_in_s
        if is_asked_before:
            self._sparse_turns.take(now)
        with trio.move_on_at(turn if is_asked_before else now + due_in_s):
            await self._surprise.wait()
        if not is_asked_before or self._surprise.is_set():
            await trio.sleep_until(self._turns.take(trio.current_time()))
