"""imaging-wait: until every node is there, by ssh or by its ramdisk's telnet.

There means that an authenticated session has run a command. A node that still runs the system it
was to leave answers as well, so a system may be asked for its uptime: what booted too early is
not accepted.
"""

from contextlib import AsyncExitStack
from dataclasses import dataclass

import trio

from imaging._aio import open_aio
from imaging.errors import NodeError, Reason
from imaging.feedback.events import Emit
from imaging.feedback.outcomes import ImageFacts, Step
from imaging.node.connection import words
from imaging.node.console import open_console
from imaging.node.console_opener import ConsoleOpener
from imaging.node.remote import (
    UPTIME,
    Remote,
    RemoteError,
    SshLogin,
    open_remote,
    parse_uptime,
)
from imaging.operations.boot import RamdiskSearch
from imaging.operations.polling import Polling
from imaging.operations.steps import NodeStory
from imaging.site.inventory import Node
from imaging.site.schema import Settings
from imaging.site.selection import format_selection

FOREVER = float("inf")


@dataclass(frozen=True, slots=True)
class WaitPlan:
    """Whom to wait for; ``login`` is None when the ramdisk's telnet is waited for.

    ``uptime_below`` are the seconds before the beginning of the wait within which a system must
    have booted; None accepts any.
    """

    nodes: tuple[Node, ...]
    settings: Settings
    login: SshLogin | None
    uptime_below: float | None
    opener: ConsoleOpener = open_console

    @property
    def node_names(self) -> tuple[str, ...]:
        """The names of the nodes, in order."""
        return tuple(node.name for node in self.nodes)

    @property
    def what(self) -> str:
        """What is waited for: ssh or telnet."""
        return "telnet" if self.login is None else "ssh"

    @property
    def summary(self) -> str:
        """What is about to be done, in one line."""
        count = f"{len(self.nodes)} node{'s' if len(self.nodes) != 1 else ''}"
        return f"wait for {self.what} on {count}: {format_selection(self.nodes)}"

    @property
    def image_facts(self) -> ImageFacts | None:
        """There is no image."""
        return None

    @property
    def quorum(self) -> int | None:
        """All nodes must be fine."""
        return None

    def describe(self) -> list[str]:
        """What a dry run prints."""
        return [f"would {self.summary}"]


async def wait(plan: WaitPlan, emit: Emit) -> None:
    """Wait for all nodes; each that is there has its outcome. The caller's scope bounds it."""
    booted_after: float | None = None
    if plan.uptime_below is not None:
        booted_after = trio.current_time() - plan.uptime_below
    polling = Polling(plan.settings.boot.polls_per_s)
    async with open_aio(), trio.open_nursery() as nodes:
        for node in plan.nodes:
            nodes.start_soon(_wait_for, plan, node, polling, booted_after, emit)


async def _wait_for(
    plan: WaitPlan, node: Node, polling: Polling, booted_after: float | None, emit: Emit
) -> None:
    story, settings = NodeStory(node.name, emit), plan.settings
    if plan.login is not None:
        with story.step(Step.SSH):
            address = node.control.ip
            search = SshSearch(story, address, plan.login, settings, polling, booted_after)
            await search.reach(FOREVER)
    else:
        with story.step(Step.TELNET):
            ramdisk = RamdiskSearch(
                story,
                node.control.ip,
                settings,
                polling,
                escalation=None,
                booted_after=booted_after,
                opener=plan.opener,
            )
            async with AsyncExitStack() as consoles:
                await ramdisk.reach(consoles, FOREVER)
    story.finish()


class SshSearch:
    """The search for one node's system, until ssh has run a command on it."""

    def __init__(
        self,
        story: NodeStory,
        address: str,
        login: SshLogin,
        settings: Settings,
        polling: Polling,
        booted_after: float | None,
    ) -> None:
        """What is accepted is a system booted after ``booted_after`` (trio's clock), if given."""
        self._story = story
        self._address = address
        self._login = login
        self._settings = settings
        self._polling = polling
        self._booted_after = booted_after

    async def reach(self, patience_s: float) -> None:
        """Return when the system is there. Raises NodeError ``no-ssh`` after ``patience_s``."""
        ssh, met = self._settings.ssh, "nothing answered"
        with trio.move_on_after(patience_s):
            await self._polling.pause(0)
            while True:
                try:
                    with trio.fail_after(ssh.attempt_timeout_s):
                        async with open_remote(self._address, self._login) as remote:
                            await self._prove(remote)
                    self._polling.found()
                    return
                except (OSError, trio.TooSlowError) as error:
                    met = words(error)
                except RemoteError as error:
                    met = error.message
                self._story.sight(met)
                await self._polling.pause(ssh.backoff_s)
        raise NodeError(
            f"{self._story.node}: no ssh at {self._address}:{self._login.port} within "
            f"{patience_s:g} s: {met}",
            reason=Reason.NO_SSH,
        )

    async def _run(self, remote: Remote, command: str) -> tuple[int, str]:
        """Run a command; both it and its answer are told."""
        self._story.said("ssh", ">", f"{command}\n".encode())
        status, output = await remote.run(command)
        self._story.said("ssh", "<", f"{output}[status {status}]\n".encode())
        return status, output

    async def _prove(self, remote: Remote) -> None:
        """Raise RemoteError unless this is a working system, and the one we wait for."""
        status, _ = await self._run(remote, "true")
        if status != 0:
            raise RemoteError(f"true ended with status {status}")
        if self._booted_after is None:
            return
        _, told = await self._run(remote, UPTIME)
        uptime = parse_uptime(told)
        since = trio.current_time() - self._booted_after
        if uptime > since + self._settings.boot.uptime_slack_s:
            raise RemoteError(f"a system is up since {uptime:.0f} s, which is too long")
