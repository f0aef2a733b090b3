"""The state of the testbed, folded from observations; pure.

Probes tell the same thing again and again: ``Testbed.fold`` says whether anything has changed, and
only changes are events for the faces.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum

from imaging.monitor.observations import (
    ImageSeen,
    LeaseSeen,
    LoadedImage,
    NodeLease,
    Observation,
    Power,
    PowerSeen,
    Ramdisk,
    ReachSeen,
    Ssh,
    System,
)

CLOCK_SLACK_S = 2.0  # two calculations of the same boot's time do not differ by more


class Condition(StrEnum):
    """What a node is doing, in one word: those that want attention first."""

    NO_CMC = "no-cmc"  # nothing answers, and its card does not say whether it has power
    NO_LOGIN = "no-login"  # something answers, and lets us not in
    NO_SSH = "no-ssh"  # has power, or refuses ssh, and is no ramdisk: it boots, or hangs
    RAMDISK = "ramdisk"
    UP = "up"
    OFF = "off"
    UNKNOWN = "unknown"  # not everything was probed yet


@dataclass(frozen=True, slots=True)
class NodeState:
    """What is known of a node.

    ``since`` is when its condition began, and ``gone`` when its last system or ramdisk went away,
    both in seconds since the epoch (None when it was not seen to go). ``boot_s`` are the seconds
    that its last boot has taken, from there to ssh.

    ``last_power`` is what is known of its power while its card does not say, and ``off_at`` when
    that was on for the last time before it was off: a look that began earlier tells nothing.
    """

    name: str
    power: Power = Power.UNKNOWN
    power_message: str = ""
    ssh: Ssh = Ssh.UNKNOWN
    ssh_message: str = ""
    ramdisk: Ramdisk = Ramdisk.UNKNOWN
    ramdisk_message: str = ""
    system: System | None = None
    image: LoadedImage | None = None
    lease: NodeLease | None = None
    since: float | None = None
    gone: float | None = None
    boot_s: float | None = None
    last_power: Power = Power.UNKNOWN
    off_at: float | None = None

    @property
    def condition(self) -> Condition:
        """The one word. A card that says off is believed, whatever was seen before."""
        if self.power is Power.OFF:
            return Condition.OFF
        if self.ssh is Ssh.UP:
            return Condition.UP
        if self.ramdisk is Ramdisk.UP:
            return Condition.RAMDISK
        if self.ssh in (Ssh.NO_LOGIN, Ssh.NOT_SSH) or self.ramdisk is Ramdisk.NO_SHELL:
            return Condition.NO_LOGIN
        if self.power is Power.UNKNOWN or self.ssh is Ssh.UNKNOWN:
            return Condition.UNKNOWN
        # who refuses has power, whatever its card says
        has_power = self.power is Power.ON or self.ssh is Ssh.CLOSED
        return Condition.NO_SSH if has_power else Condition.NO_CMC

    @property
    def problem(self) -> str:
        """What is wrong, in words; "" when nothing is. A dead card is told of a node that is up."""
        if self.power in (Power.NO_CMC, Power.REFUSED):
            return self.power_message
        match self.condition:
            case Condition.NO_LOGIN if self.ramdisk is Ramdisk.NO_SHELL:
                return self.ramdisk_message
            case Condition.NO_LOGIN | Condition.NO_SSH:
                return self.ssh_message
            case _:
                return ""

    @property
    def image_name(self) -> str:
        """The image on its disk: by the history, else by the stamp of its system."""
        if self.image is not None:
            return self.image.name
        return self.system.stamp if self.system is not None else ""


def folded(node: NodeState, seen: Observation) -> NodeState:
    """A node after an observation."""
    match seen:
        case PowerSeen():
            after = _after_power(node, seen)
        case ReachSeen():
            after = _after_reach(node, seen)
        case ImageSeen():
            after = replace(node, image=seen.image)
        case LeaseSeen():
            after = replace(node, lease=seen.lease)
    if after.condition is not node.condition:
        # a look is known when it ends, and is of when it began; a card speaks of now
        late = isinstance(seen, ReachSeen) and node.since is not None and node.since > seen.at
        after = replace(after, since=node.since if late else seen.at)
    return after


def _after_power(node: NodeState, seen: PowerSeen) -> NodeState:
    after = replace(node, power=seen.power, power_message=seen.message)
    if node.off_at is not None:
        after = replace(after, off_at=min(node.off_at, seen.at))  # the clock may be set back
    if seen.power is Power.OFF:
        # what was there is gone, whether it was looked at meanwhile or not
        answered = node.ssh in (Ssh.UP, Ssh.NO_LOGIN, Ssh.NOT_SSH)
        there = node.ramdisk in (Ramdisk.UP, Ramdisk.NO_SHELL)
        return replace(
            after,
            last_power=Power.OFF,
            off_at=seen.at if node.last_power is Power.ON else after.off_at,
            gone=None,
            system=None,
            ssh=Ssh.SILENT if answered else node.ssh,
            ssh_message="" if answered else node.ssh_message,
            ramdisk=Ramdisk.ABSENT if there else node.ramdisk,
        )
    if seen.power is Power.ON:
        came = node.last_power is Power.OFF
        return replace(after, last_power=Power.ON, gone=seen.at if came else node.gone)
    return after


def _after_reach(node: NodeState, seen: ReachSeen) -> NodeState:
    if node.off_at is not None and seen.at < node.off_at:
        return node  # of what was there before
    is_up = seen.ssh is Ssh.UP or seen.ramdisk is Ramdisk.UP
    after = replace(
        node,
        last_power=Power.ON if is_up and node.power is not Power.OFF else node.last_power,
        ssh=seen.ssh,
        ssh_message=seen.ssh_message,
        ramdisk=seen.ramdisk,
        ramdisk_message=seen.ramdisk_message,
    )
    if seen.ssh is not Ssh.UP:
        was_there = node.ssh is Ssh.UP or node.ramdisk is Ramdisk.UP
        has_gone = was_there and seen.ramdisk is not Ramdisk.UP and node.power is not Power.OFF
        return replace(after, system=None, gone=seen.at if has_gone else node.gone)
    return after if seen.system is None else _after_login(after, node, seen.at, seen.system)


def _after_login(after: NodeState, before: NodeState, at: float, system: System) -> NodeState:
    """A system was asked about itself: it may be another one, or another boot of it."""
    if before.system is not None and _same_boot(before.system.booted, system.booted):
        system = replace(system, booted=before.system.booted)
    after = replace(after, system=system, gone=None)
    gone = before.gone
    if gone is None or system.booted is None or system.booted < gone - CLOCK_SLACK_S:
        return after  # it was not away, or only out of reach
    return replace(after, boot_s=round(at - gone, 3))


def _same_boot(one: float | None, other: float | None) -> bool:
    return one is not None and other is not None and abs(one - other) <= CLOCK_SLACK_S


@dataclass(slots=True)
class Testbed:
    """All nodes that are watched, by name, in their order.

    ``leases_problem`` says why it is not known who holds them; "" when that is known, and None
    where there are no leases. The lease of a node is what was known last then.
    """

    __test__ = False  # not a test class, whatever pytest thinks of its name

    nodes: dict[str, NodeState] = field(default_factory=dict)
    leases_problem: str | None = None

    @classmethod
    def of(cls, names: Iterable[str]) -> "Testbed":
        """A testbed of which nothing is known yet."""
        return cls({name: NodeState(name) for name in names})

    def fold(self, seen: Observation) -> NodeState | None:
        """Take an observation into account; gives the node when that has changed it."""
        before = self.nodes[seen.node]
        after = folded(before, seen)
        if after == before:
            return None
        self.nodes[seen.node] = after
        return after

    def conditions(self) -> Counter[Condition]:
        """How many nodes are in each condition."""
        return Counter(node.condition for node in self.nodes.values())
