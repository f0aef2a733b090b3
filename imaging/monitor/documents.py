"""What is known of the nodes as JSON for scripts: pure functions of the state.

The types are the format: ``docs/monitor.schema.json`` is made from them, for one line of events.
"""

import time
from typing import Literal

import msgspec

from imaging.feedback.scripts.reports import Moment, Seconds, moment
from imaging.feedback.wording import encodable
from imaging.monitor.observations import Power, Ramdisk, Ssh
from imaging.monitor.testbed import Condition, NodeState, Testbed

FORMAT_VERSION: Literal[1] = 1


class WatchedImage(msgspec.Struct, frozen=True, kw_only=True):
    """The image on a node's disk.

    By the ``history`` of this host, with when and by whom it was loaded, or else by the ``stamp``
    of the node's own system. ``half_written``: that load has failed while it wrote.
    """

    name: str
    source: Literal["history", "stamp"]
    since: Moment | None
    user: str | None
    half_written: bool


class WatchedLease(msgspec.Struct, frozen=True, kw_only=True):
    """Who holds a node now, and until when."""

    holder: str
    until: Moment


class WatchedLeases(msgspec.Struct, frozen=True, kw_only=True):
    """Whether it is known who holds the nodes, and why it is not.

    When it is not, the lease of a node is what was known before, until it is over.
    """

    known: bool
    problem: str | None


class WatchedNode(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a node.

    ``since`` is when its condition was seen first, ``problem`` what is wrong, in words.
    ``release``, ``kernel`` and ``booted`` are what its system says of itself. ``boot_s`` are the
    seconds of its last boot that was seen, from when it was gone to ssh. What is not known is
    null.
    """

    name: str
    condition: Condition
    since: Moment | None
    problem: str | None
    power: Power
    ssh: Ssh
    ramdisk: Ramdisk
    release: str | None
    kernel: str | None
    booted: Moment | None
    image: WatchedImage | None
    lease: WatchedLease | None
    boot_s: Seconds | None


class Line(msgspec.Struct, frozen=True, kw_only=True, tag_field="event"):
    """What all lines have: the word of the event, and when it happened."""

    at: Moment


class TestbedLine(Line, frozen=True, kw_only=True, tag="testbed"):
    """All nodes that are watched, as they are now; always the first line.

    ``leases`` is null where the site has none.
    """

    __test__ = False  # not a test class, whatever pytest thinks of its name

    leases: WatchedLeases | None
    nodes: list[WatchedNode]


class ChangedLine(Line, frozen=True, kw_only=True, tag="changed"):
    """Something about a node has changed: these of its fields."""

    changed: list[str]
    node: WatchedNode


class LeasesLine(Line, frozen=True, kw_only=True, tag="leases"):
    """Who holds the nodes is known, or not known, from now on."""

    leases: WatchedLeases


class AtLine(Line, frozen=True, kw_only=True, tag="at"):
    """Nothing has changed for a while; told to those who want to know that we are still there."""


class EndedLine(Line, frozen=True, kw_only=True, tag="ended"):
    """The monitor ends; always the last line."""


AnyLine = TestbedLine | ChangedLine | LeasesLine | AtLine | EndedLine


class OnceDocument(msgspec.Struct, frozen=True, kw_only=True):
    """What ``--once --json`` prints; ``counts`` are the nodes by condition."""

    format_version: Literal[1]
    at: Moment
    counts: dict[Condition, int]
    leases: WatchedLeases | None
    nodes: list[WatchedNode]


def watched(node: NodeState) -> WatchedNode:
    """A node for scripts."""
    system = node.system
    return WatchedNode(
        name=node.name,
        condition=node.condition,
        since=_moment(node.since),
        problem=encodable(node.problem) or None,
        power=node.power,
        ssh=node.ssh,
        ramdisk=node.ramdisk,
        release=system.release or None if system else None,
        kernel=system.kernel or None if system else None,
        booted=_moment(system.booted) if system else None,
        image=_image(node),
        lease=_lease(node),
        boot_s=node.boot_s,
    )


def _image(node: NodeState) -> WatchedImage | None:
    if node.image is not None:
        return WatchedImage(
            name=encodable(node.image.name),
            source="history",
            since=moment(node.image.since),
            user=encodable(node.image.user),
            half_written=node.image.half_written,
        )
    if not node.image_name:
        return None
    return WatchedImage(
        name=encodable(node.image_name), source="stamp", since=None, user=None, half_written=False
    )


def _lease(node: NodeState) -> WatchedLease | None:
    if node.lease is None:
        return None
    return WatchedLease(holder=encodable(node.lease.holder), until=moment(node.lease.until))


def _leases(problem: str | None) -> WatchedLeases | None:
    return None if problem is None else _watched_leases(problem)


def _watched_leases(problem: str) -> WatchedLeases:
    return WatchedLeases(known=not problem, problem=encodable(problem) or None)


def _moment(at: float | None) -> str | None:
    return None if at is None else moment(at)


def once_document(testbed: Testbed) -> bytes:
    """All nodes, as one JSON object."""
    counts = testbed.conditions()
    document = OnceDocument(
        format_version=FORMAT_VERSION,
        at=moment(time.time()),
        counts={condition: counts[condition] for condition in Condition},
        leases=_leases(testbed.leases_problem),
        nodes=[watched(node) for node in testbed.nodes.values()],
    )
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def testbed_line(testbed: Testbed) -> bytes:
    """The line of all nodes."""
    line = TestbedLine(
        at=moment(time.time()),
        leases=_leases(testbed.leases_problem),
        nodes=[watched(node) for node in testbed.nodes.values()],
    )
    return _encoded(line)


def changed_line(at: float, before: NodeState, after: NodeState) -> bytes | None:
    """The line of a change; None when nothing has changed that scripts are told."""
    old, new = watched(before), watched(after)
    changed = [
        name for name in WatchedNode.__struct_fields__ if getattr(old, name) != getattr(new, name)
    ]
    return _encoded(ChangedLine(at=moment(at), changed=changed, node=new)) if changed else None


def leases_line(at: float, problem: str) -> bytes:
    """The line of why it is not known who holds the nodes; "" when it is."""
    return _encoded(LeasesLine(at=moment(at), leases=_watched_leases(problem)))


def at_line() -> bytes:
    """The line that says that we are still there."""
    return _encoded(AtLine(at=moment(time.time())))


def ended_line() -> bytes:
    """The last line."""
    return _encoded(EndedLine(at=moment(time.time())))


def _encoded(line: AnyLine) -> bytes:
    return msgspec.json.encode(line) + b"\n"
