"""Searching a node's ramdisk, and proving that it is the one our reset has booted.

Telnet answering proves nothing: an old system, or the ramdisk of somebody's earlier run, may still
be up because the card ignored the reset. The ramdisk's uptime must be less than the time since the
reset; until it is, the connection is dropped and tried again.
"""

from contextlib import AbstractAsyncContextManager, AsyncExitStack
from functools import partial

import msgspec
import trio

from imaging.errors import NodeError, Reason
from imaging.node.connection import connect, words
from imaging.node.console import Console, open_console
from imaging.node.console_opener import ConsoleOpener
from imaging.node.ramdisk import Inspection, inspection_script, parse_inspection
from imaging.operations.escalation import Escalation
from imaging.operations.polling import Polling
from imaging.operations.steps import NodeStory
from imaging.site.schema import Settings

SHELL_RETRY_S = 1.0  # what was typed too early for a shell is typed again
IN_RAMDISK = "is the node in its ramdisk?"
CURES = {
    Reason.NO_TELNET: "does it boot from the network? Its screen and the DHCP server's log tell",
    Reason.NOT_OUR_RAMDISK: "is it the ramdisk of [nextboot] ramdisk, with a shell and no login?",
    Reason.RESET_IGNORED: "see its power card, and that it boots from the network first",
}


class Sighting(msgspec.Struct):
    """What the last attempt met; it becomes the reason when the time is up."""

    reason: Reason = Reason.NO_TELNET
    what: str = "nothing answered"
    hint: str | None = None


class RamdiskSearch:
    """The search for one node's ramdisk, from the reset to a shell that is proven to be it."""

    def __init__(
        self,
        story: NodeStory,
        address: str,
        settings: Settings,
        polling: Polling,
        *,
        escalation: Escalation | None,
        booted_after: float | None,
        opener: ConsoleOpener = open_console,
    ) -> None:
        """What is accepted is a system booted after ``booted_after`` (trio's clock).

        None accepts any. ``escalation`` has begun with a reset of the node, and goes on, harder,
        when that was ignored; None when nobody has reset it. ``opener`` is how the consoles of this
        ramdisk are opened.
        """
        self._story = story
        self._address = address
        self._settings = settings
        self._polling = polling
        self._escalation = escalation
        self._booted_after = booted_after
        self._open_console = opener
        self._sighting = Sighting()

    async def reach(self, stack: AsyncExitStack, patience_s: float) -> tuple[Console, Inspection]:
        """Wait for the ramdisk, at most ``patience_s`` seconds.

        The console stays open for as long as ``stack``. Raises NodeError ``no-telnet``,
        ``not-our-ramdisk`` or ``reset-ignored``.
        """
        started = trio.current_time()
        with trio.move_on_after(patience_s):
            await self._polling.pause(0, self._story.node, self._since_reset())
            while True:
                async with AsyncExitStack() as attempt:
                    found = await self._try_once(attempt)
                    if found is not None:
                        await stack.enter_async_context(attempt.pop_all())
                        self._polling.found(self._story.node, self._since_reset())
                        return found
                if self._is_overdue() and self._sighting.reason is Reason.NO_TELNET:
                    await self._look_for_old_system()
                self._story.sight(self._sighting.what)
                if self._escalation is not None and self._reset_was_ignored():
                    ordered = await self._escalation.harder()
                    if ordered is None:
                        break
                    self._booted_after = started = ordered
                    self._sighting = Sighting()
                shortest_s = self._settings.boot.poll_s
                await self._polling.pause(shortest_s, self._story.node, self._since_reset())
        raise self._failure(started)

    def _since_reset(self) -> float | None:
        """How many seconds ago we told the node to boot; None when nobody did."""
        if self._escalation is None or self._booted_after is None:
            return None
        return trio.current_time() - self._booted_after

    def _is_overdue(self) -> bool:
        """Whether the node was told to boot, and has had all the time that this should take."""
        since = self._since_reset()
        return since is not None and since > self._settings.boot.reset_grace_s

    def _reset_was_ignored(self) -> bool:
        return self._is_overdue() and self._sighting.reason is Reason.RESET_IGNORED

    async def _look_for_old_system(self) -> None:
        """See whether it is the disk's system that runs: that has ssh, and the ramdisk has not.

        Either the reset was ignored, or the node has booted from its disk in spite of the link.
        """
        port = self._settings.ssh.port
        try:
            with trio.fail_after(self._settings.boot.connect_timeout_s):
                stream = await connect(self._address, port)
        except (OSError, trio.TooSlowError):
            return
        stream.close()
        self._sighting = Sighting(
            Reason.RESET_IGNORED,
            f"the system of the disk is up (port {port} answers): the reset was ignored, or the "
            "node does not boot from the network first",
        )

    def _failure(self, started: float) -> NodeError:
        since = trio.current_time() - started
        reason = self._sighting.reason
        if self._escalation is None:
            order, cure = "the first attempt", IN_RAMDISK
        else:
            order, cure = self._escalation.last, CURES[reason]
        return NodeError(
            f"{self._story.node}: no ramdisk at {self._address}:{self._settings.console.port} "
            f"{since:.1f} s after {order}: {self._sighting.what}",
            reason=reason,
            hint=self._sighting.hint or cure,
        )

    async def _try_once(self, attempt: AsyncExitStack) -> tuple[Console, Inspection] | None:
        """One connection; None when it is not the ramdisk we wait for."""
        settings = self._settings
        try:
            with trio.fail_after(settings.boot.connect_timeout_s):
                stream = await connect(self._address, settings.console.port)
        except (OSError, trio.TooSlowError) as error:
            # also after something was there: that may have been the end of what ran before
            self._sighting = Sighting(what=f"{settings.ramdisk.console}: {words(error)}")
            return None
        place = await self._polling.place_to_talk(stream.close)
        try:
            said = partial(self._story.said, settings.ramdisk.console)
            opened = self._open_console(stream, self._story.node, on_traffic=said)
            return await self._talk(opened, attempt)
        finally:
            place.leave()

    async def _talk(
        self, opened: AbstractAsyncContextManager[Console], attempt: AsyncExitStack
    ) -> tuple[Console, Inspection] | None:
        """Find out whether it is the ramdisk we wait for; None when it is not."""
        settings = self._settings
        kind = settings.ramdisk.console
        try:
            # from now on only: how long others take is no fault of this node
            with trio.fail_after(settings.boot.shell_timeout_s):
                console = await attempt.enter_async_context(opened)
                question = inspection_script(settings.ramdisk.disk)
                answer = await console.wait_for_shell(SHELL_RETRY_S, question)
        except (NodeError, trio.TooSlowError) as error:
            what, hint = f"{kind} answers, but there is no shell behind it", None
            if isinstance(error, NodeError) and error.reason is Reason.NOT_OUR_RAMDISK:
                what, hint = error.message.removeprefix(f"{self._story.node}: "), error.hint
            self._sighting = Sighting(Reason.NOT_OUR_RAMDISK, what, hint)
            return None
        inspection = parse_inspection(answer.output)
        return (console, inspection) if self._is_proven(inspection) else None

    def _is_proven(self, inspection: Inspection) -> bool:
        if self._booted_after is None:
            return True
        if inspection.uptime_s is None:
            self._sighting = Sighting(
                Reason.NOT_OUR_RAMDISK, "there is a shell, but it cannot read /proc/uptime"
            )
            return False
        since = trio.current_time() - self._booted_after
        if inspection.uptime_s <= since + self._settings.boot.uptime_slack_s:
            return True
        what = f"a system is up since {inspection.uptime_s:.0f} s"
        if self._escalation is None:
            self._sighting = Sighting(Reason.NOT_OUR_RAMDISK, f"{what}, which is too long")
        else:
            self._sighting = Sighting(Reason.RESET_IGNORED, f"{what}, so the reset was ignored")
        return False
