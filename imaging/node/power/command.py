"""A power card that a command of the site's speaks to: one command per verb, without a shell.

It ends with exit status 0 when it has done it; with 69 or 75 (``EX_UNAVAILABLE``, ``EX_TEMPFAIL``
of sysexits.h) when the card has not answered, and is tried again; else it was refused.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from imaging.guard import Guard
from imaging.node.power import PowerState
from imaging.node.power.asking import Asking, NoAnswerError, shown_lines
from imaging.node.power.ordered import Order, OrderedCard
from imaging.node.power.process import fill, run_tool
from imaging.site.power_schema import PowerCommandSettings
from imaging.site.tools import find_command

TRY_AGAIN = (os.EX_UNAVAILABLE, os.EX_TEMPFAIL)


@dataclass(frozen=True, slots=True)
class CommandCard(OrderedCard):
    """The card of one node; ``places`` are what templates may name."""

    settings: PowerCommandSettings
    places: Mapping[str, str]
    asking: Asking
    guard: Guard

    async def status(self) -> PowerState:
        """Ask whether the node has power: the command's last word is on or off."""
        words = (await self._run("status")).lower().split()
        if not words or words[-1] not in ("on", "off"):
            said = " ".join(words)[-80:]
            raise self.asking.refused("status", f"said {said!r}, which ends in neither on nor off")
        return PowerState(words[-1])

    async def order(self, verb: Order) -> None:
        """Have it done."""
        await self._run(verb)

    async def info(self) -> str:
        """What the command says about the card, in lines of printable text."""
        return shown_lines(await self._run("info"))

    async def _run(self, verb: str) -> str:
        return await self.asking.ask(verb, lambda: self._attempt(verb))

    async def _attempt(self, verb: str) -> str:
        template = getattr(self.settings, verb)
        if not template:
            raise self.asking.refused(verb, "has no command for it in [power_command]")
        argv = find_command(fill(template, self.places), f"[power_command] {verb}")
        result = await run_tool(argv, os.environ, self.guard)
        if result.status in TRY_AGAIN:
            raise NoAnswerError(result.how)
        if result.status:
            raise self.asking.refused(verb, f"was refused: {argv[0]} {result.how}")
        return result.output
