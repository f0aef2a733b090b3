"""imaging-save: the disk of one node becomes an image.

The node visits its ramdisk; there imagezip reads the disk and netcat sends what it makes to our
collector, which proves every chunk. Complete means: each command of the node's pipe has ended
with status 0, imagezip's own count of bytes is what arrived, and the chunks are a whole image.
Only then does it get its name.
"""

import shlex
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import trio

from imaging._aio import open_aio
from imaging.errors import InfrastructureError, NodeError, Reason
from imaging.feedback.events import Emit, ImageHashed
from imaging.feedback.outcomes import ImageFacts, Step
from imaging.frisbee.image import ImageSummary
from imaging.guard import Guard, open_guard
from imaging.images.collector import AGAIN, Collector
from imaging.images.partial import (
    PartialImage,
    PartialInMaking,
    kept_path,
    partial_path,
    settle,
    staged_path,
)
from imaging.images.sidecar import SUFFIX, Sidecar, sidecar_path
from imaging.node.console import Console, open_console
from imaging.node.console_opener import ConsoleOpener
from imaging.node.nextboot import NextbootDirectory
from imaging.node.power import PowerCard
from imaging.node.power.opening import open_card
from imaging.node.power.readiness import Cards, card_of
from imaging.node.ramdisk import PIPE, Inspection, SaveOutput, save_script
from imaging.operations.authorization import Authorization
from imaging.operations.escalation import power_up
from imaging.operations.locking import own_node, sweep_links, tell_of_guard
from imaging.operations.polling import Polling
from imaging.operations.ramdisk import RamdiskVisit
from imaging.operations.stagger import Stagger
from imaging.operations.steps import NodeStory
from imaging.site.inventory import Node
from imaging.site.schema import Settings

COMMAND = "imaging-save"
SEND_BACK_BUDGET_S = 0.4  # also when the time is up: --timeout ends within a second of it
BROKEN_PIPE = 128 + 13  # status of imagezip when netcat has ended before it


class SavePlan(msgspec.Struct, frozen=True):
    """All that a save needs, checked; ``address`` is this host's, as the node reaches it.

    ``parent`` is the name of the image that was loaded onto the node, None when unknown.
    """

    node: Node
    image: Path
    settings: Settings
    cards: Cards
    nextboot: NextbootDirectory
    address: str
    user: str
    comment: str
    reset: bool
    replace: bool
    authorization: Authorization
    neighbours: tuple[Node, ...] = ()
    parent: str | None = None
    opener: ConsoleOpener = open_console

    @property
    def node_names(self) -> tuple[str, ...]:
        """The node's name."""
        return (self.node.name,)

    @property
    def name(self) -> str:
        """The image's name."""
        return self.image.name.removesuffix(SUFFIX)

    @property
    def summary(self) -> str:
        """What is about to be done, in one line."""
        return f"save {self.node.name} as {self.name}: {self.image}"

    @property
    def image_facts(self) -> ImageFacts:
        """The image that is made; its size and sha256 are known at the end."""
        return ImageFacts(self.name, str(self.image), 0)

    @property
    def quorum(self) -> int | None:
        """All nodes must be fine."""
        return None

    def describe(self) -> list[str]:
        """What a dry run prints."""
        node = self.node
        return [
            f"would {self.summary}",
            f"  {node.name}: {node.control.ip}, {card_of(node, self.settings)}",
            f"collector: {self.address}",
            f"link: {self.nextboot.place(node.control.mac)} -> {self.nextboot.ramdisk}"
            if self.reset
            else "link: none, the node is in the ramdisk already",
        ]


async def save(plan: SavePlan, emit: Emit) -> None:
    """Carry out a plan; the node's outcome is emitted.

    Raises InfrastructureError when this host cannot keep the image.
    """
    places = (partial_path, staged_path, kept_path, sidecar_path)
    watched = [str(place(plan.image)) for place in places]
    with open_guard() as guard, guard.partial(*watched):
        tell_of_guard(guard, emit)
        making = PartialInMaking(plan.image)
        try:
            partial = await trio.to_thread.run_sync(making.make, abandon_on_cancel=True)
        except trio.Cancelled:
            making.abandon()
            raise
        try:
            if plan.reset:
                sweep_links(plan.nextboot, plan.neighbours, plan.settings.locks, emit)
            async with open_aio(), open_card(plan.node, plan.cards, guard) as card:
                await _NodeSave(plan, emit, card, partial, guard).run()
        finally:
            partial.close()


class _NodeSave:
    """The life of the node in a save."""

    def __init__(
        self,
        plan: SavePlan,
        emit: Emit,
        card: PowerCard,
        partial: PartialImage,
        guard: Guard,
    ) -> None:
        self._plan = plan
        self._emit = emit
        self._story = NodeStory(plan.node.name, emit)
        self._card = card
        self._partial = partial
        self._guard = guard
        self._authorization = plan.authorization
        self._visit = RamdiskVisit(
            self._story,
            plan.node,
            plan.settings,
            plan.nextboot,
            card if plan.reset else None,
            guard,
            Polling(plan.settings.boot.polls_per_s),
            Stagger(plan.settings.power.stagger_s),
            self._authorization,
            opener=plan.opener,
        )

    async def run(self) -> None:
        """Take the node through all steps; a NodeError ends it as data, not as an exception."""
        try:
            locks = self._plan.settings.locks
            async with own_node(self._story, COMMAND, locks, self._guard):
                summary = await self._fetch()
                if self._plan.reset:
                    with self._story.step(Step.RESTART):
                        await self._restart()
        except NodeError as error:
            self._story.finish(error)
        else:
            detail = f"{self._plan.image}, {summary.size} bytes, sha256 {summary.sha256}"
            self._story.finish(detail=detail)

    async def _fetch(self) -> ImageSummary:
        """Get the image, and give it its name; whatever goes wrong, the node gets back."""
        async with self._back_in_haste():
            try:
                async with AsyncExitStack() as consoles:
                    console, inspection = await self._visit.begin(consoles)
                    return await self._save_disk(console, inspection)
            except (NodeError, InfrastructureError):
                await self._authorization.refresh()
                await self._send_back()
                raise

    async def _restart(self) -> None:
        """Reset the node, after all has gone well; a signal does not leave it in the ramdisk."""
        async with self._back_in_haste():
            await self._authorization.confirm(self._story)
            await self._card.reset()

    @asynccontextmanager
    async def _back_in_haste(self) -> AsyncIterator[None]:
        """Send the node back when the block is cancelled, also when it was doing just that."""
        try:
            yield
        except (NodeError, InfrastructureError):
            raise
        except BaseException:
            with trio.move_on_after(SEND_BACK_BUDGET_S, shield=True):
                await self._send_back()
                raise
            self._story.notice("it was left in the ramdisk: its card was too slow to send it back")
            raise

    async def _save_disk(self, console: Console, inspection: Inspection) -> ImageSummary:
        plan, story = self._plan, self._story
        with story.step(Step.CHECK) as detail:
            size = self._visit.disk_size(inspection)
            detail.text = f"{plan.settings.ramdisk.disk} has {size} bytes"
        with story.step(Step.TRANSFER) as detail:
            summary = await _Stream(plan, story, self._partial, size).run(console)
            detail.text = f"{summary.size} bytes in {summary.chunks} chunks"
        with story.step(Step.STORE):
            await self._partial.in_thread(self._partial.prepare, _sidecar(plan, summary))
            self._partial.publish(replace=plan.replace)
            story.notice(f"saved as {plan.image}")
            self._emit(ImageHashed(time.time(), summary.sha256 or "", summary.size))
            await self._partial.in_thread(settle, plan.image.parent)
        return summary

    async def _send_back(self) -> None:
        """The node's disk was only read: have it boot from it again, if we have reset it."""
        if not self._visit.was_reset:
            return
        if self._authorization.has_lapsed(self._plan.node.name):
            self._story.notice("it was left in the ramdisk: the lease is over")
            return
        try:
            await power_up(self._card)
            self._story.notice("it was reset, to boot from its disk again")
        except NodeError as error:
            self._story.notice(f"it was left in the ramdisk: {error}")


def _sidecar(plan: SavePlan, summary: ImageSummary) -> Sidecar:
    assert summary.sha256 is not None
    return Sidecar(
        name=plan.name,
        node=plan.node.name,
        user=plan.user,
        date=datetime.fromtimestamp(int(time.time()), UTC),
        comment=plan.comment,
        parent=plan.parent,
        size=summary.size,
        covered_bytes=summary.covered_bytes,
        data_bytes=summary.data_bytes,
        minimum_disk_size=summary.minimum_disk_size,
        sha256=summary.sha256,
    )


class _Stream:
    """The image's way from the node's disk to our partial file."""

    def __init__(
        self, plan: SavePlan, story: NodeStory, partial: PartialImage, disk_size: int
    ) -> None:
        self._plan = plan
        self._story = story
        self._disk_size = disk_size
        self._output = SaveOutput()
        self._patience = trio.CancelScope()
        node = plan.node
        self._collector = Collector(partial, node.name, node.control.ip, self._advance)

    async def run(self, console: Console) -> ImageSummary:
        """Save the disk; what arrived is complete. Raises NodeError or InfrastructureError."""
        failure: NodeError | InfrastructureError | None = None
        async with trio.open_nursery() as nursery:
            try:
                port: int = await nursery.start(self._collector.run, self._plan.address)
                await self._send(console, port)
            except (NodeError, InfrastructureError) as error:
                failure = error  # bare, not in the group that a nursery makes
            nursery.cancel_scope.cancel(reason="the stream is over")
        if self._collector.failure is not None:
            raise self._collector.failure
        if failure is not None:
            raise failure
        return self._verify()

    async def _send(self, console: Console, port: int) -> None:
        """Have the node send its disk; returns when both ends are through with it."""
        ramdisk = self._plan.settings.ramdisk
        script = save_script(
            shlex.split(ramdisk.imagezip),
            shlex.split(ramdisk.netcat),
            ramdisk.netcat_flavour,
            disk=ramdisk.disk,
            address=self._plan.address,
            port=port,
        )
        connect_timeout = self._plan.settings.save.connect_timeout_s
        self._patience.deadline = trio.current_time() + connect_timeout
        with self._patience:
            await console.run(script, on_output=self._take)
            if self._collector.connected:
                await self._collector.finished.wait()
            return
        raise self._stalled()

    def _take(self, output: bytes) -> None:
        self._output.feed(output.decode("utf-8", "replace"))

    def _advance(self) -> None:
        """Something new has happened on the way: patience begins anew."""
        if self._collector.failure is not None:
            self._patience.cancel(reason="the image cannot be kept")
            return
        stall = self._plan.settings.save.stall_timeout_s
        self._patience.deadline = trio.current_time() + stall
        fraction = min(1.0, self._collector.covered_bytes / self._disk_size)
        self._story.progress(fraction, self._collector.received)

    def _stalled(self) -> NodeError:
        save, output, collector = self._plan.settings.save, self._output, self._collector
        if not collector.connected:
            what = f"its netcat did not connect within {save.connect_timeout_s:g} s"
            hint = f"can the node reach {self._plan.address}, and is [ramdisk] netcat right?"
        else:
            what = f"nothing new for {save.stall_timeout_s:g} s after {collector.received} bytes"
            hint = "has the node lost its power or its network?"
            if "imagezip" in output.statuses:
                hint = "imagezip has ended: is [ramdisk] netcat_flavour right?"
        return self._failed(what, Reason.STALLED, hint)

    def _verify(self) -> ImageSummary:
        """What was received, when it is proven to be all that was sent."""
        output, received = self._output, self._collector.received
        imagezip, netcat = (output.statuses.get(name) for name in PIPE)
        if imagezip not in (0, BROKEN_PIPE):
            what = f"imagezip {_end(imagezip)}"
            raise self._failed(what, Reason.IMAGEZIP_FAILED, "is [ramdisk] imagezip right?")
        if netcat != 0 or imagezip == BROKEN_PIPE:
            early = " before all was sent" if imagezip else ""
            what, hint = f"netcat {_end(netcat)}{early}", "is [ramdisk] netcat right?"
            raise self._failed(what, Reason.NETCAT_FAILED, hint)
        if output.size is None:
            what, hint = "imagezip did not say the image's size", "is [ramdisk] imagezip right?"
            raise self._failed(what, Reason.IMAGEZIP_FAILED, hint)
        if output.size != received:
            what = f"{received} of the {output.size} bytes arrived"
            raise self._failed(what, Reason.INCOMPLETE_IMAGE, AGAIN)
        summary = self._collector.summary()
        self._story.progress(1.0, received)
        return summary

    def _failed(self, what: str, reason: Reason, hint: str) -> NodeError:
        words = f": {self._output.last_words}" if self._output.last_words else ""
        return NodeError(f"{self._story.node}: {what}{words}", reason=reason, hint=hint)


def _end(status: int | None) -> str:
    """How a command of the pipe ended."""
    return "never ran" if status is None else f"ended with status {status}"
