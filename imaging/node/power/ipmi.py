"""A BMC with IPMI 2.0, by way of ``ipmitool``.

Tried with ipmitool 1.8.19 and OpenIPMI's ipmi_sim. The password is in the tool's environment, which
only its user can read, and never on its command line.
"""

from dataclasses import dataclass, field

from imaging.guard import Guard
from imaging.node.power import PowerState
from imaging.node.power.asking import Asking, NoAnswerError, shown_lines
from imaging.node.power.ordered import Order, OrderedCard
from imaging.node.power.process import run_tool

SAYS = "Chassis Power is "
WORDS = {"on": "on", "off": "off", "reset": "reset", "shutdown": "soft"}  # soft is ACPI's
# what it says of a BMC that is not there, or does not finish to answer; and that does not know us
SILENCE = ("Unable to establish", "Address lookup", "timeout", "No response", "Get Auth")
LOGIN = ("RAKP", "password", "unauthorized", "privilege", "authentication type", "invalid user")


@dataclass(frozen=True, slots=True)
class IpmiCard(OrderedCard):
    """The BMC of one node; ``argv`` is the tool up to its command, ``-v`` to tell how it fails."""

    argv: tuple[str, ...]
    environment: dict[str, str] = field(repr=False)
    asking: Asking
    guard: Guard

    async def status(self) -> PowerState:
        """Ask whether the node has power."""
        told = (await self._run("status", "chassis", "power", "status")).strip()
        if told.removeprefix(SAYS) not in ("on", "off") or not told.startswith(SAYS):
            raise self.asking.refused("status", f"said {told!r}")
        return PowerState(told.removeprefix(SAYS))

    async def order(self, verb: Order) -> None:
        """Have it done."""
        await self._run(verb, "chassis", "power", WORDS[verb])

    async def info(self) -> str:
        """What the BMC says about itself."""
        return shown_lines(await self._run("info", "mc", "info"))

    async def _run(self, verb: str, *words: str) -> str:
        return await self.asking.ask(verb, lambda: self._attempt(verb, words))

    async def _attempt(self, verb: str, words: tuple[str, ...]) -> str:
        result = await run_tool([*self.argv, *words], self.environment, self.guard)
        if result.status == 0:
            return result.output
        for line in result.complaint.splitlines():
            if any(word in line for word in LOGIN):
                hint = "see [power_ipmi] user and password"
                raise self.asking.refused(verb, f"refuses the login: {line.strip()}", hint=hint)
        if any(word in result.complaint for word in SILENCE):
            raise NoAnswerError(result.last_words)
        raise self.asking.refused(verb, f"has failed: ipmitool {result.how}")
