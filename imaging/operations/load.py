"""imaging-load: one image onto all selected nodes at once.

One nursery with one child per node; the frisbee server is a service beside them. A node that
fails becomes an outcome and never disturbs the others; the death of the server ends the run.
"""

import hashlib
import time
from contextlib import AsyncExitStack
from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec
import trio

from imaging._aio import open_aio
from imaging.errors import NodeError, Reason
from imaging.feedback.events import Emit, ImageHashed, Noticed, Said
from imaging.feedback.outcomes import ImageFacts, Step
from imaging.guard import Guard, open_guard
from imaging.images.library import Image
from imaging.multicast import FrisbeeServer, ServerPlan
from imaging.node.console import open_console
from imaging.node.console_opener import ConsoleOpener
from imaging.node.nextboot import NextbootDirectory
from imaging.node.power import PowerCard
from imaging.node.power.opening import open_card
from imaging.node.power.readiness import Cards, card_of
from imaging.operations.admission import Admission, Place
from imaging.operations.authorization import Authorization
from imaging.operations.locking import own_node, sweep_links, tell_of_guard
from imaging.operations.past_boots import learn_boots
from imaging.operations.polling import Polling
from imaging.operations.ramdisk import RamdiskVisit
from imaging.operations.stagger import Stagger
from imaging.operations.steps import NodeStory
from imaging.operations.transfer import Transfer
from imaging.site.inventory import Node
from imaging.site.schema import Settings
from imaging.site.selection import format_selection

if TYPE_CHECKING:
    from imaging.node.remote import SshLogin  # asyncssh is imported only when it is used

MEBIBYTE = 1024 * 1024
SWITCH_OFF_BUDGET_S = 0.5  # also when the time is up: --timeout ends within a second of it
COMMAND = "imaging-load"
# another attempt changes nothing
HOPELESS = frozenset({Reason.NO_DISK, Reason.DISK_TOO_SMALL, Reason.NO_LEASE})


class OnFailure(StrEnum):
    """What becomes of a node whose disk is half-written: it is never booted from it."""

    LEAVE = "leave"
    OFF = "off"


class LoadPolicy(msgspec.Struct, frozen=True):
    """What to do about failures.

    A node that fails is tried again, from the start, up to ``retries`` times. ``quorum`` is how
    many nodes must be fine for the run to be; None is all of them.
    """

    retries: int = 0
    quorum: int | None = None
    on_failure: OnFailure = OnFailure.LEAVE


class LoadPlan(msgspec.Struct, frozen=True):
    """All that a load needs, checked; ``reset`` is False when the nodes are in the ramdisk.

    With a ``login``, a node is done only when ssh has run a command on its new system. ``sha256``
    is the image's, "" when its sidecar does not tell it. ``neighbours`` are all nodes of the site.
    ``tries_again`` is the run in which these nodes failed, "" for a load of its own.
    """

    nodes: tuple[Node, ...]
    image: Image
    settings: Settings
    cards: Cards
    nextboot: NextbootDirectory
    server: ServerPlan
    reset: bool
    authorization: Authorization
    login: "SshLogin | None" = None
    policy: LoadPolicy = LoadPolicy()
    sha256: str = ""
    neighbours: tuple[Node, ...] = ()
    opener: ConsoleOpener = open_console
    tries_again: str = ""

    @property
    def node_names(self) -> tuple[str, ...]:
        """The names of the nodes, in order."""
        return tuple(node.name for node in self.nodes)

    @property
    def summary(self) -> str:
        """What is about to be done, in one line."""
        count = f"{len(self.nodes)} node{'s' if len(self.nodes) != 1 else ''}"
        size = self.image.summary.size / MEBIBYTE
        again = f", which failed in run {self.tries_again}" if self.tries_again else ""
        where = f"{count}: {format_selection(self.nodes)}{again}"
        return f"load {self.image.name} ({size:.0f} MiB) on {where}"

    @property
    def image_facts(self) -> ImageFacts:
        """The image that is loaded."""
        image = self.image
        return ImageFacts(image.name, str(image.path), image.summary.size, self.sha256)

    @property
    def quorum(self) -> int | None:
        """How many nodes must be fine; None is all of them."""
        return self.policy.quorum

    def describe(self) -> list[str]:
        """What a dry run prints."""
        summary = self.image.summary
        where = [
            f"  {node.name}: {node.control.ip}, {card_of(node, self.settings)}"
            for node in self.nodes
        ]
        return [
            f"would {self.summary}",
            f"image: {self.image.path}",
            f"  {summary.chunks} chunks, {summary.data_bytes} bytes of data",
            f"  needs a disk of {summary.minimum_disk_size} bytes",
            f"server: {' '.join(self.server.argv(self.server.choose_channel()))}",
            f"links: {self.nextboot.directory}/01-MAC -> {self.nextboot.ramdisk}"
            if self.reset
            else "links: none, the nodes are in the ramdisk already",
            *self._policy_lines(),
            *where,
        ]

    def _policy_lines(self) -> list[str]:
        policy = self.policy
        lines = []
        if policy.retries:
            lines.append(f"retries: up to {policy.retries} per node")
        if policy.quorum is not None:
            lines.append(f"quorum: at least {policy.quorum} of {len(self.nodes)} nodes")
        if policy.on_failure is OnFailure.OFF:
            lines.append("on failure: a node with a half-written disk is switched off")
        return lines


async def load(plan: LoadPlan, emit: Emit) -> None:
    """Carry out a plan; every node's outcome is emitted.

    Raises InfrastructureError (in a group) when the frisbee server fails.
    """

    def told(line: str) -> None:
        emit(Said(time.time(), None, "server", "<", f"{line}\n".encode()))

    with open_guard() as guard:
        tell_of_guard(guard, emit)
        if plan.reset:
            sweep_links(plan.nextboot, plan.neighbours, plan.settings.locks, emit)
        await _load_all(plan, emit, FrisbeeServer(plan.server, told, guard), guard)


async def _load_all(plan: LoadPlan, emit: Emit, server: FrisbeeServer, guard: Guard) -> None:
    async with open_aio(), trio.open_nursery() as services:
        services.start_soon(server.run)
        polling = Polling(plan.settings.boot.polls_per_s)
        if plan.reset:
            services.start_soon(learn_boots, polling, plan.node_names, plan.settings)
        stagger = Stagger(plan.settings.power.stagger_s)
        if not plan.sha256:
            services.start_soon(_hash_image, plan.image, emit)
        async with trio.open_nursery() as nodes:
            admission = Admission()
            for node in plan.nodes:
                place = await admission.next()
                run = _NodeRun(emit, server, guard, polling, stagger, place)
                nodes.start_soon(_load_node, plan, node, run)
        services.cancel_scope.cancel(reason="all nodes have their outcome")


async def _hash_image(image: Image, emit: Emit) -> None:
    """Tell the sha256 of the image; a run that ends before it is known does not wait for it."""

    def sha256() -> str:
        with image.path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()

    try:
        known = await trio.to_thread.run_sync(sha256, abandon_on_cancel=True)
    except OSError as error:
        emit(Noticed(time.time(), None, f"the image's sha256 is not known: {error.strerror}"))
    else:
        emit(ImageHashed(time.time(), known, image.summary.size))


class _NodeRun(msgspec.Struct, frozen=True):
    """What a node has of the run: all share it, but for its place among those that begin."""

    emit: Emit
    server: FrisbeeServer
    guard: Guard
    polling: Polling
    stagger: Stagger
    place: Place


async def _load_node(plan: LoadPlan, node: Node, run: _NodeRun) -> None:
    try:
        async with open_card(node, plan.cards, run.guard) as card:
            await _NodeLoad(plan, node, card, run).run()
    finally:
        run.place.leave()


class _NodeLoad:
    """The life of one node in a load."""

    def __init__(self, plan: LoadPlan, node: Node, card: PowerCard, run: _NodeRun) -> None:
        self._plan = plan
        self._node = node
        self._card = card
        self._run = run
        self._story = NodeStory(node.name, run.emit)
        self._transfer: Transfer | None = None
        self._authorization = plan.authorization

    async def run(self) -> None:
        """Take the node through all steps; a NodeError ends it as data, not as an exception."""
        for left in reversed(range(self._plan.policy.retries + 1)):
            # an attempt starts from nothing: steps, durations and progress are its own
            self._story = NodeStory(self._node.name, self._run.emit)
            locks = self._plan.settings.locks
            try:
                async with own_node(self._story, COMMAND, locks, self._run.guard):
                    await self._steps()
            except NodeError as error:
                if left and error.reason not in HOPELESS:
                    self._story.retry(error)
                    continue
                await self._care_for_disk(in_haste=False)
                self._story.finish(error)
            except trio.Cancelled:
                await self._care_for_disk(in_haste=True)
                raise
            else:
                self._story.finish()
            return

    async def _care_for_disk(self, *, in_haste: bool) -> None:
        """Switch a node off that must not be booted, when the policy says so."""
        # by this attempt or by an earlier one: nothing but a whole transfer mends it
        half_written = self._transfer is not None and self._transfer.is_half_done
        if not half_written or self._plan.policy.on_failure is not OnFailure.OFF:
            return
        if not in_haste:
            await self._authorization.refresh()
        if self._authorization.has_lapsed(self._node.name):
            self._story.notice("its disk is half-written, and the lease is over: it was left on")
            return
        with trio.move_on_after(SWITCH_OFF_BUDGET_S, shield=True):
            try:
                await self._card.turn_off()
                self._story.notice("its disk is half-written: it was switched off")
            except NodeError as error:
                self._story.notice(f"its disk is half-written, and it is not off: {error}")
            return
        self._story.notice("its disk is half-written, and its card was too slow to switch it off")

    async def _steps(self) -> None:
        story, plan, node = self._story, self._plan, self._node
        card = self._card if plan.reset else None
        async with AsyncExitStack() as consoles:
            visit = RamdiskVisit(
                story,
                node,
                plan.settings,
                plan.nextboot,
                card,
                self._run.guard,
                self._run.polling,
                self._run.stagger,
                self._authorization,
                opener=plan.opener,
                place=self._run.place,
            )
            console, inspection = await visit.begin(consoles)
            with story.step(Step.CHECK) as detail:
                await self._authorization.confirm(story)  # the disk may be somebody else's by now
                detail.text = self._check_disk(visit.disk_size(inspection))
            with story.step(Step.TRANSFER) as detail:
                channel = await self._run.server.ready()
                before = self._transfer is not None and self._transfer.is_half_done
                self._transfer = Transfer(
                    story,
                    plan.image,
                    plan.settings,
                    is_half_done=before,
                    abreast=len(plan.nodes),
                )
                detail.text = await self._transfer.run(console, node.control.ip, channel)
        if plan.reset:
            with story.step(Step.RESTART):
                await self._run.stagger.turn()
                await self._authorization.confirm(story)
                restarted = trio.current_time()
                await self._card.reset()
            if plan.login is not None:
                await self._wait_for_system(plan.login, restarted)

    async def _wait_for_system(self, login: "SshLogin", restarted: float) -> None:
        """Wait for ssh on a system that was booted by the last reset."""
        from imaging.operations.system import SshSearch

        with self._story.step(Step.SSH) as detail:
            address, settings = self._node.control.ip, self._plan.settings
            polling = self._run.polling
            search = SshSearch(self._story, address, login, settings, polling, restarted)
            await search.reach(settings.ssh.timeout_s)
            detail.text = f"ssh up {trio.current_time() - restarted:.1f} s after the reset"

    def _check_disk(self, size: int) -> str:
        disk, needed = self._plan.settings.ramdisk.disk, self._plan.image.summary.minimum_disk_size
        if size < needed:
            raise NodeError(
                f"{self._node.name}: its disk {disk} has {size} bytes, and the image needs "
                f"{needed}",
                reason=Reason.DISK_TOO_SMALL,
                hint="load a smaller image, or name a larger disk in [ramdisk] disk",
            )
        return f"{disk} has {size} bytes"
