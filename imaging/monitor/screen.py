"""The full screen of the monitor: pure functions of the state, of the user's view, and the size.

A screen has exactly as many lines as the terminal has rows, and none is wider than it.
"""

import time
from dataclasses import dataclass, replace
from enum import Enum

from imaging.feedback.display.cells import cells, clipped, fitted, visible
from imaging.feedback.display.gauges import flowed
from imaging.feedback.display.keys import Key
from imaging.feedback.display.rows import Line, Look
from imaging.monitor.testbed import Condition, NodeState, Testbed
from imaging.monitor.wording import HEADER, counts_text, leases_text, node_row

LOOKS = {
    Condition.NO_CMC: Look.FAILED,
    Condition.NO_LOGIN: Look.FAILED,
    Condition.NO_SSH: Look.WARNING,
    Condition.RAMDISK: Look.BUSY,
    Condition.UP: Look.DONE,
    Condition.OFF: Look.WAITING,
    Condition.UNKNOWN: Look.WAITING,
}
PLACES = {condition: place for place, condition in enumerate(Condition)}
# the columns that get their room first; what is left is for WHAT
WANTED = ("NODE", "STATE", "SINCE", "IMAGE", "LEASE", "UPTIME", "SYSTEM", "POWER", "KERNEL")
LIMITS = {"NODE": 20, "IMAGE": 28, "LEASE": 28, "SYSTEM": 28, "KERNEL": 24}
WHAT_MINIMUM = 16
FRAME_HEIGHT = 3  # title, header, help; besides a line that leases are not known


class Order(Enum):
    """How the nodes are sorted."""

    STATE = "state"
    NAME = "name"
    SINCE = "since"
    IMAGE = "image"
    LEASE = "lease"


@dataclass(frozen=True, slots=True)
class View:
    """What the user has chosen to see; ``top`` is the first line of the list that is shown."""

    order: Order = Order.STATE
    backwards: bool = False
    problems_only: bool = False
    top: int = 0


def pressed(view: View, key: Key, testbed: Testbed, height: int) -> View:
    """What the user sees after a key."""
    page = max(height - _frame_height(testbed), 1)
    total = len(_entries(testbed, view))
    match key:
        case Key.SORT:
            orders = list(Order)
            after = orders[(orders.index(view.order) + 1) % len(orders)]
            return replace(view, order=after, top=0)
        case Key.REVERSE:
            return replace(view, backwards=not view.backwards, top=0)
        case Key.FAILURES:
            return replace(view, problems_only=not view.problems_only, top=0)
        case Key.HOME:
            top = 0
        case Key.END:
            top = total
        case _:
            steps = {Key.UP: -1, Key.DOWN: 1, Key.PAGE_UP: -page, Key.PAGE_DOWN: page}
            top = view.top + steps.get(key, 0)
    return replace(view, top=min(max(top, 0), max(total - page, 0)))


def arranged(testbed: Testbed, view: View) -> list[NodeState]:
    """The nodes to be shown, in order; equals stay in the order of the inventory."""
    nodes = list(testbed.nodes.values())
    if view.problems_only:
        nodes = [node for node in nodes if is_problem(node)]
    match view.order:
        case Order.STATE:
            nodes.sort(key=lambda node: PLACES[node.condition])
        case Order.SINCE:
            nodes.sort(key=lambda node: -(node.since or 0.0))
        case Order.IMAGE:
            nodes.sort(key=lambda node: (not node.image_name, node.image_name))
        case Order.LEASE:
            nodes.sort(key=lambda node: (node.lease is None, node.lease and node.lease.holder))
        case Order.NAME:
            pass
    return nodes[::-1] if view.backwards else nodes


def is_problem(node: NodeState) -> bool:
    """Whether a node wants attention."""
    return bool(node.problem)


Entry = NodeState | Condition
"""A node, or the heading of a group."""


def _entries(testbed: Testbed, view: View) -> list[Entry]:
    """The list: the nodes, and where they are sorted by state, a heading before each group."""
    entries: list[Entry] = []
    group: Condition | None = None
    for node in arranged(testbed, view):
        if view.order is Order.STATE and node.condition is not group:
            group = node.condition
            entries.append(group)
        entries.append(node)
    return entries


def screen_lines(testbed: Testbed, view: View, width: int, height: int, now: float) -> list[Line]:
    """The whole screen; ``now`` is in seconds since the epoch."""
    entries = _entries(testbed, view)
    page = max(height - _frame_height(testbed), 0)
    top = min(view.top, max(len(entries) - page, 0))
    rows = {node.name: node_row(node, now) for node in testbed.nodes.values()}
    widths = column_widths(list(rows.values()), width)
    lines = [_title(testbed, width, now)]
    if testbed.leases_problem:
        lines.append(Line(clipped(leases_text(testbed.leases_problem), width), Look.WARNING))
    lines.append(Line(_joined(HEADER, widths, width), Look.HEADER))
    counts = testbed.conditions()
    for entry in entries[top : top + page]:
        if isinstance(entry, Condition):
            heading = f"{entry} ({counts[entry]})"
            lines.append(Line(clipped(heading, width), Look.TITLE))
        else:
            lines.append(Line(_joined(rows[entry.name], widths, width), look_of(entry)))
    if not entries:
        lines.append(Line(clipped("no node has a problem", width)))
    lines += [Line("")] * (height - 1 - len(lines))
    lines = [*lines[: max(height - 1, 0)], _help(view, top, page, len(entries), width)]
    return lines[:height]


def _frame_height(testbed: Testbed) -> int:
    """How many lines are no entries."""
    return FRAME_HEIGHT + bool(testbed.leases_problem)


def look_of(node: NodeState) -> Look:
    """How a node is, for those who see colours: a problem is seen where all else is fine."""
    look = LOOKS[node.condition]
    return Look.WARNING if look is Look.DONE and is_problem(node) else look


def column_widths(rows: list[list[str]], width: int) -> dict[str, int]:
    """How many cells each column gets; those for which there is no room are not there."""
    natural = {
        title: max((cells(row[place]) for row in rows), default=0)
        for place, title in enumerate(HEADER)
    }
    room = width - (WHAT_MINIMUM if natural["WHAT"] else 0)
    widths: dict[str, int] = {}
    for title in WANTED:
        if natural[title] == 0:
            continue
        wanted = min(max(natural[title], len(title)), LIMITS.get(title, width))
        if wanted + 2 <= room or title == "NODE":
            widths[title] = max(min(wanted, width), 0)
            room -= widths[title] + 2
    return widths


def _joined(row: list[str] | tuple[str, ...], widths: dict[str, int], width: int) -> str:
    """A row, in exactly ``width`` cells."""
    shown = [
        fitted(visible(text), widths[title])
        for title, text in zip(HEADER, row, strict=True)
        if title in widths
    ]
    return fitted("  ".join([*shown, visible(row[-1])]), width)


def _title(testbed: Testbed, width: int, now: float) -> Line:
    clock = time.strftime("%H:%M:%S", time.localtime(now))
    text = fitted(f"imaging-monitor  {counts_text(testbed)}", max(width - len(clock) - 1, 0))
    return Line(clipped(f"{text} {clock}", width), Look.TITLE)


def _help(view: View, top: int, page: int, total: int, width: int) -> Line:
    """What the keys do, and where in the list this is."""
    where = f" {top + 1}-{min(top + page, total)} of {total}" if total > page > 0 else ""
    keys = [
        "q quit",
        f"s sorted by {view.order.value}",
        "r backwards" if not view.backwards else "r forwards",
        "f all nodes" if view.problems_only else "f problems only",
        "arrows scroll",
    ]
    room = max(width - len(where), 0)
    return Line(clipped(fitted(flowed(keys, room, 1)[0], room) + where, width), Look.HELP)
