"""imaging-wait: until every node is there, by ssh or by its ramdisk's telnet.

There means that an authenticated session, or the ramdisk's shell, has run a command.
"""

from contextlib import AsyncExitStack

import msgspec
import trio

from imaging._aio import open_aio
from imaging.feedback.events import Emit
from imaging.feedback.outcomes import ImageFacts, Step
from imaging.node.console import open_console
from imaging.node.console_opener import ConsoleOpener
from imaging.node.remote import SshLogin
from imaging.operations.boot import RamdiskSearch
from imaging.operations.polling import Polling
from imaging.operations.steps import NodeStory
from imaging.operations.system import SshSearch
from imaging.site.inventory import Node
from imaging.site.schema import Settings
from imaging.site.selection import format_selection

FOREVER = float("inf")


class WaitPlan(msgspec.Struct, frozen=True):
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
