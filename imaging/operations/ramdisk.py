"""A node's visit to its ramdisk: what load and save have in common before they part.

The link is made, the node is reset, its ramdisk is found and proven to be the one of that reset,
and the link is removed; or the node is there already, and none of this is touched.
"""

from contextlib import AsyncExitStack, ExitStack

import msgspec
import trio

from imaging.errors import NodeError, Reason
from imaging.feedback.outcomes import Step
from imaging.guard import Guard
from imaging.node.console import Console, open_console
from imaging.node.console_opener import ConsoleOpener
from imaging.node.nextboot import NextbootDirectory
from imaging.node.power import PowerCard
from imaging.node.ramdisk import Inspection
from imaging.operations.admission import Place
from imaging.operations.authorization import Authorization
from imaging.operations.boot import RamdiskSearch
from imaging.operations.escalation import Escalation
from imaging.operations.polling import Polling
from imaging.operations.stagger import Stagger
from imaging.operations.steps import NodeStory
from imaging.site.inventory import Node
from imaging.site.schema import Settings


class RamdiskVisit(msgspec.Struct):
    """How one node gets into its ramdisk; ``card`` is None when it is there already.

    ``was_reset`` is whether its card was told to boot it. Its ``place`` among those that begin is
    another's when it boots.
    """

    story: NodeStory
    node: Node
    settings: Settings
    nextboot: NextbootDirectory
    card: PowerCard | None
    guard: Guard
    polling: Polling
    stagger: Stagger
    authorization: Authorization
    opener: ConsoleOpener = open_console
    place: Place = msgspec.field(default_factory=Place)
    was_reset: bool = False

    async def begin(self, consoles: AsyncExitStack) -> tuple[Console, Inspection]:
        """Take the steps nextboot, power and boot; the console is open as long as ``consoles``.

        When this returns, or raises, the link is gone: the next boot is the disk's. Raises
        NodeError.
        """
        with ExitStack() as links:
            ordered: float | None = None
            escalation: Escalation | None = None
            if self.card is not None:
                escalation = Escalation(self.story, self.card, self.settings.power)
                await self.stagger.turn()
            # it may have been a while until the node was free, and its turn
            await self.authorization.confirm(self.story)
            if escalation is not None:
                with self.story.step(Step.NEXTBOOT):
                    mac = self.node.control.mac
                    place, target = str(self.nextboot.place(mac)), self.nextboot.ramdisk
                    links.enter_context(self.guard.link(place, target))
                    links.enter_context(self.nextboot.link(mac, self.node.name))
                with self.story.step(Step.POWER):
                    ordered = await escalation.begin(self._note_order)
                self.place.leave()
            with self.story.step(Step.BOOT) as detail:
                started = trio.current_time() if ordered is None else ordered
                search = RamdiskSearch(
                    self.story,
                    self.node.control.ip,
                    self.settings,
                    self.polling,
                    escalation=escalation,
                    booted_after=ordered,
                    opener=self.opener,
                )
                boot = self.settings.boot
                patience = boot.present_timeout_s if ordered is None else boot.timeout_s
                found = await search.reach(consoles, patience)
                detail.text = f"ramdisk up after {trio.current_time() - started:.1f} s"
        return found

    def _note_order(self) -> None:
        self.was_reset = True

    def disk_size(self, inspection: Inspection) -> int:
        """The size of the node's disk in bytes. Raises NodeError ``no-disk``."""
        disk = self.settings.ramdisk.disk
        if inspection.disk_size is None:
            raise NodeError(
                f"{self.node.name}: there is no disk {disk} in the ramdisk",
                reason=Reason.NO_DISK,
                hint="is it cabled, and is [ramdisk] disk right?",
            )
        return inspection.disk_size
