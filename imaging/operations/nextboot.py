"""Looking at the nextboot links of a site, and removing those that nobody can need any more."""

from collections.abc import Iterable
from enum import StrEnum

import msgspec
from msgspec.structs import replace

from imaging.errors import NodeError, Reason
from imaging.node.nextboot import NextbootDirectory, NextbootEntry, Occupant
from imaging.site.inventory import Inventory
from imaging.site.locks import LockDirectory, LockTakenError, Owner
from imaging.site.schema import Settings
from imaging.site.user import login_name

ORDERS = 6  # to a power card before the boot: status, shutdown, status, off, status, on


class Action(StrEnum):
    """What became of a link, or would become of it."""

    REMOVED = "removed"
    WOULD_REMOVE = "would-remove"
    LEFT = "left"
    GONE = "gone"
    FAILED = "failed"


class NextbootLink(msgspec.Struct, frozen=True):
    """A link of ours, or what somebody else has put at a node's place.

    ``node`` is None for a MAC that is not in the inventory; ``holder`` is the command that works on
    the node now; ``error`` says why it could not be
    removed.
    """

    node: str | None
    entry: NextbootEntry
    age_s: float
    holder: Owner | None = None
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
    waits_s = power.settle_timeout_s + power.shutdown_timeout_s
    return settings.boot.timeout_s + waits_s + ORDERS * order_s


def list_links(
    directory: NextbootDirectory, inventory: Inventory, locks: LockDirectory, now: float
) -> list[NextbootLink]:
    """All links of ours, and what others have put at the nodes' places; by node, then by MAC.

    A file of others at the place of an unknown MAC is none of our business. ``now`` is Unix time.
    Raises ConfigurationError when the directory cannot be read.
    """
    nodes = {node.control.mac: node.name for node in inventory}
    ranks = {mac: rank for rank, mac in enumerate(nodes)}
    found = [
        NextbootLink(
            nodes.get(entry.mac),
            entry,
            max(0.0, now - entry.made),
            _holder(locks, nodes.get(entry.mac)),
        )
        for entry in directory.entries()
        if entry.mac in nodes or entry.occupant is Occupant.OURS
    ]
    return sorted(found, key=lambda link: (ranks.get(link.entry.mac, len(ranks)), link.entry.mac))


def _holder(locks: LockDirectory, node: str | None) -> Owner | None:
    """Who works on a node now; nobody, where there are no locks yet."""
    try:
        return locks.holder(node) if node is not None else None
    except OSError:
        return None


def clean_links(
    directory: NextbootDirectory,
    links: Iterable[NextbootLink],
    locks: LockDirectory,
    *,
    stale_after_s: float,
    dry_run: bool,
) -> list[NextbootLink]:
    """Remove the links that nobody needs, leave everything else, and tell what became of each.

    That is a link of ours whose node no command works on; for a MAC that no node has, and so no
    lock, it is one of that age.
    """
    done = []
    for link in links:
        needed = link.holder is not None or (link.node is None and link.age_s < stale_after_s)
        if not link.ours or needed:
            done.append(replace(link, action=Action.LEFT))
        elif dry_run:
            done.append(replace(link, action=Action.WOULD_REMOVE))
        else:
            done.append(_remove_if_free(directory, locks, link))
    return done


def _remove_if_free(
    directory: NextbootDirectory, locks: LockDirectory, link: NextbootLink
) -> NextbootLink:
    """Remove a link while its node is ours, so that no command can begin to need it."""
    if link.node is None:
        return _remove(directory, link)
    try:
        with locks.take(link.node, "imaging-nextboot"):
            return _remove(directory, link)
    except LockTakenError as taken:
        return replace(link, action=Action.LEFT, holder=taken.owner)
    except OSError as error:
        failure = NodeError(
            f"{link.name}: cannot be locked: {error.filename}: {error.strerror}",
            reason=Reason.LOCK_FAILED,
            hint="see [locks] directory",
        )
        return replace(link, action=Action.FAILED, error=failure)


def _remove(directory: NextbootDirectory, link: NextbootLink) -> NextbootLink:
    try:
        removed = directory.remove(link.entry.mac, link.name)
    except NodeError as error:
        return replace(link, action=Action.FAILED, error=error)
    return replace(link, action=Action.REMOVED if removed else Action.GONE)
