"""May this user act now, on these nodes? Four answers that are never mixed up. Pure.

Yes; no lease; a lease that ends before the run does; and nobody knows, which is not decided here:
that what keeps the leases did not answer is a LeaseServiceError.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from imaging.leases.lease import Lease, moment_text
from imaging.site.selection import format_names

HOLDERS_SHOWN = 3


class Answer(StrEnum):
    """What comes of the question."""

    YES = "yes"
    NO_LEASE = "no-lease"
    ENDS_EARLY = "ends-early"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer in a word and in words.

    ``until`` is the end of the right on the first node that loses it, in seconds since the epoch;
    None when there is none, and when there is no end.
    """

    answer: Answer
    message: str
    until: float | None = None


def decide(
    leases: Iterable[Lease], login: str, nodes: Sequence[str], now: float, until: float
) -> Decision:
    """May ``login`` act on ``nodes`` from ``now`` to ``until``? Seconds since the epoch.

    Leases of the same holder that follow each other without a gap are as good as one. The answer
    is no when it is no for any of the nodes.
    """
    leases = list(leases)
    own = sorted((one for one in leases if one.holder == login), key=lambda one: one.start)
    ends = {node: _covered_until(own, node, now) for node in nodes}
    missing = [node for node, end in ends.items() if end <= now]
    if missing:
        return Decision(Answer.NO_LEASE, _refusal(leases, own, login, missing, now))
    end = min(ends.values(), default=until)
    if end < until:
        message = (
            f"the lease of {login} ends at {moment_text(end)}, and is needed until "
            f"{moment_text(until)}"
        )
        return Decision(Answer.ENDS_EARLY, message, end)
    return Decision(Answer.YES, f"the lease of {login} lasts until {moment_text(end)}", end)


def _covered_until(own: Sequence[Lease], node: str, now: float) -> float:
    """From ``now`` on without a gap; ``own`` is sorted by start."""
    end = now
    for lease in own:
        if lease.start <= end < lease.end and lease.covers(node):
            end = lease.end
    return end


def _refusal(
    leases: Sequence[Lease], own: Sequence[Lease], login: str, missing: list[str], now: float
) -> str:
    """Who has the nodes that the user has not, until when, and when it is his turn."""
    told = f"{login} has no lease on {format_names(missing)} now: {_holders(leases, missing, now)}"
    coming = [one for one in own if one.start > now and any(map(one.covers, missing))]
    if coming:
        told += f"; the next lease of {login} begins at {moment_text(coming[0].start)}"
    return told


def _holders(leases: Sequence[Lease], nodes: Sequence[str], now: float) -> str:
    held: dict[Lease, list[str]] = defaultdict(list)
    for lease in leases:
        if lease.is_current(now):
            held[lease].extend(node for node in nodes if lease.covers(node))
    words = [
        f"{lease.who} holds {lease.what if lease.nodes is None else format_names(some)} "
        f"until {moment_text(lease.end)}"
        for lease, some in held.items()
        if some
    ]
    if not words:
        return "nobody else has one"
    more = len(words) - HOLDERS_SHOWN
    return ", ".join(words[:HOLDERS_SHOWN]) + (f", and {more} more leases" if more > 0 else "")
