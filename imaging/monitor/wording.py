"""What the faces for people say about nodes: pure functions of the state.

``now`` is in seconds since the epoch.
"""

import time
from collections.abc import Collection, Sequence

from imaging.feedback.display.cells import visible
from imaging.feedback.wording import age_text
from imaging.monitor.observations import NodeLease, Power
from imaging.monitor.testbed import Condition, NodeState, Testbed

HEADER = ("NODE", "STATE", "SINCE", "POWER", "IMAGE", "SYSTEM", "KERNEL", "UPTIME", "LEASE", "WHAT")


def image_text(node: NodeState) -> str:
    """The image on a node's disk."""
    half = " (half written)" if node.image is not None and node.image.half_written else ""
    return visible(node.image_name) + half if node.image_name else ""


def lease_text(lease: NodeLease | None, now: float) -> str:
    """Who holds a node, and until when, by the clock of this host."""
    if lease is None:
        return ""
    end, today = time.localtime(lease.until), time.localtime(now)
    form = "%H:%M" if end[:3] == today[:3] else "%Y-%m-%d %H:%M"
    return f"{visible(lease.holder)} until {time.strftime(form, end)}"


def leases_text(problem: str | None) -> str:
    """That it is not known who holds the nodes, and why; "" when it is known."""
    return visible(f"who holds the nodes is not known: {problem}") if problem else ""


def since_text(node: NodeState, now: float) -> str:
    """How long a node is in its condition."""
    return age_text(max(now - node.since, 0)) if node.since is not None else ""


def uptime_text(node: NodeState, now: float) -> str:
    """How long a node's system is up."""
    if node.system is None or node.system.booted is None:
        return ""
    return age_text(max(now - node.system.booted, 0))


def power_text(power: Power) -> str:
    """What a card says, in a word as short as it gets."""
    return "" if power is Power.UNKNOWN else power.value


def node_row(node: NodeState, now: float) -> list[str]:
    """The cells of a node, under ``HEADER``; "" for what is not known."""
    system = node.system
    return [
        node.name,
        node.condition.value,
        since_text(node, now),
        power_text(node.power),
        image_text(node),
        visible(system.release) if system else "",
        visible(system.kernel) if system else "",
        uptime_text(node, now),
        lease_text(node.lease, now),
        visible(node.problem),
    ]


def table_rows(
    testbed: Testbed, now: float, leave_out: Collection[str] = ()
) -> list[Sequence[str]]:
    """All nodes under a header, without the columns that are left out or say nothing at all."""
    rows = [node_row(node, now) for node in testbed.nodes.values()]
    kept = [
        place
        for place, title in enumerate(HEADER)
        if title not in leave_out and any(row[place] for row in rows)
    ]
    return [[row[place] or "-" for place in kept] for row in (list(HEADER), *rows)]


def counts_text(testbed: Testbed) -> str:
    """How many nodes are in each condition: ``8 nodes: 1 no-cmc, 7 up``."""
    counts = testbed.conditions()
    total = len(testbed.nodes)
    parts = [f"{counts[condition]} {condition}" for condition in Condition if counts[condition]]
    return f"{total} node{'s' if total != 1 else ''}: {', '.join(parts)}"


def _lease_change(before: NodeLease | None, after: NodeLease | None) -> list[str]:
    """What has changed about who holds a node."""
    if before == after:
        return []
    if after is None:
        return ["not held any more"]
    if before is None or before.holder != after.holder:
        return [f"held by {after.holder}"]
    return [f"held by {after.holder} for {'longer' if after.until > before.until else 'less long'}"]


def change_text(before: NodeState, after: NodeState) -> str | None:
    """A change in a line; None for what is not worth one, as another uptime."""
    if after.condition is Condition.UNKNOWN:
        return None
    first = before.condition is Condition.UNKNOWN
    parts = []
    if before.condition is not after.condition:
        parts.append(after.condition.value)
    if after.boot_s is not None and after.boot_s != before.boot_s:
        parts.append(f"booted in {after.boot_s:.1f} s")
    if after.image_name and (first or before.image_name != after.image_name):
        parts.append(f"image {image_text(after)}")
    parts += _lease_change(None if first else before.lease, after.lease)
    if after.problem and (before.problem != after.problem or before.condition != after.condition):
        parts.append(after.problem)
    elif before.problem and not after.problem and not parts:
        parts.append("its card answers again")
    return visible(f"{after.name}: {', '.join(parts)}") if parts else None
