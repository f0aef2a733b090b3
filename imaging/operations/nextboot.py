"""Looking at the nextboot links of a site, and removing those that nobody can need any more."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from imaging.errors import NodeError
from imaging.node.nextboot import NextbootDirectory, NextbootEntry, Occupant
from imaging.site.inventory import Inventory
from imaging.site.schema import Settings
from imaging.site.user import login_name

ORDERS = 4  # to a power card while the node's link is there: status, reset, and off and on


class Action(StrEnum):
    """What became of a link, or would become of it."""

    REMOVED = "removed"
    WOULD_REMOVE = "would-remove"
    LEFT = "left"
    GONE = "gone"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class NextbootLink:
    """A link of ours, or what somebody else has put at a node's place.

    ``node`` is None for a MAC that is not in the inventory; ``error`` says why it could not be
    removed.
    """

    node: str | None
    entry: NextbootEntry
    age_s: float
    action: Action | None = None
    error: NodeError | None = None

    @property
    def name(self) -> str:
        """The node, or else the MAC."""
        return self.node or self.entry.mac

    @property
    def ours(self) -> bool:
        """Whether it is a nextboot link."""
        return self.entry.occupant is Occupant.OURS

    @property
    def owner(self) -> str:
        """The login of its owner, or else the uid."""
        return login_name({}, self.entry.owner_id)


def longest_need_s(settings: Settings) -> float:
    """The age in seconds from which no running command can still need a link.

    A command makes it, gives its orders to the power card, each tried until the card is given
    up, and removes it when the ramdisk has booted or the time for that is over.
    """
    power = settings.power
    order_s = power.attempts * (power.request_timeout_s + power.retry_delay_s)
    return settings.boot.timeout_s + ORDERS * order_s


def list_links(
    directory: NextbootDirectory, inventory: Inventory, now: float
) -> list[NextbootLink]:
    """All links of ours, and what others have put at the nodes' places; by node, then by MAC.

    A file of others at the place of an unknown MAC is none of our business. ``now`` is Unix time.
    Raises ConfigurationError when the directory cannot be read.
    """
    nodes = {node.control.mac: node.name for node in inventory}
    ranks = {mac: rank for rank, mac in enumerate(nodes)}
    found = [
        NextbootLink(nodes.get(entry.mac), entry, max(0.0, now - entry.made))
        for entry in directory.entries()
        if entry.mac in nodes or entry.occupant is Occupant.OURS
    ]
    return sorted(found, key=lambda link: (ranks.get(link.entry.mac, len(ranks)), link.entry.mac))


def clean_links(
    directory: NextbootDirectory,
    links: Iterable[NextbootLink],
    *,
    stale_after_s: float,
    dry_run: bool,
) -> list[NextbootLink]:
    """Remove our links of that age, leave everything else, and tell what became of each."""
    done = []
    for link in links:
        if not link.ours or link.age_s < stale_after_s:
            done.append(replace(link, action=Action.LEFT))
        elif dry_run:
            done.append(replace(link, action=Action.WOULD_REMOVE))
        else:
            done.append(_remove(directory, link))
    return done


def _remove(directory: NextbootDirectory, link: NextbootLink) -> NextbootLink:
    try:
        removed = directory.remove(link.entry.mac, link.name)
    except NodeError as error:
        return replace(link, action=Action.FAILED, error=error)
    return replace(link, action=Action.REMOVED if removed else Action.GONE)
