"""A BMC with IPMI 2.0, by way of ``ipmitool``.

Tried with ipmitool 1.8.19 and OpenIPMI's ipmi_sim. The password is in the tool's environment, which
only its user can read, and never on its command line.
"""

from dataclasses import dataclass, field

from imaging.node.power import PowerState
from imaging.node.power.asking import Asking, NoAnswerError, shown_lines
from imaging.node.power.process import run_tool

SAYS = "Chassis Power is "
# what it says of a BMC that is not there, or does not finish to answer
SILENCE = ("Unable to establish", "Address lookup", "timeout", "No response", "Get Auth")
# what it says of a BMC that is there, and does not know us
LOGIN = ("RAKP", "password", "unauthorized", "privilege", "authentication type", "invalid user")


@dataclass(frozen=True, slots=True)
class IpmiCard:
    """The BMC of one node; ``argv`` is the tool up to its command.

    It has to be ``-v``erbose: else it does not say whether a BMC is silent or refuses the login.
    """

    argv: tuple[str, ...]
    environment: dict[str, str] = field(repr=False)
    asking: Asking

    async def status(self) -> PowerState:
        """Ask whether the node has power."""
        told = await self._run("status", "chassis", "power", "status")
        word = told.strip().removeprefix(SAYS)
        if word not in ("on", "off") or SAYS not in told:
            raise self.asking.refused("status", f"said {told.strip()!r}")
        return PowerState(word)

    async def turn_on(self) -> None:
        """Give power."""
        await self._run("on", "chassis", "power", "on")

    async def turn_off(self) -> None:
        """Cut power."""
        await self._run("off", "chassis", "power", "off")

    async def reset(self) -> None:
        """Restart a node that has power."""
        await self._run("reset", "chassis", "power", "reset")

    async def shut_down(self) -> None:
        """Ask the node's system to end and switch itself off (ACPI)."""
        await self._run("shutdown", "chassis", "power", "soft")

    async def info(self) -> str:
        """What the BMC says about itself."""
        return shown_lines(await self._run("info", "mc", "info"))

    async def _run(self, verb: str, *words: str) -> str:
        return await self.asking.ask(verb, lambda: self._attempt(verb, words))

    async def _attempt(self, verb: str, words: tuple[str, ...]) -> str:
        result = await run_tool([*self.argv, *words], self.environment)
        if result.status == 0:
            return result.output
        for line in result.complaint.splitlines():
            if any(word in line for word in LOGIN):
                hint = "see [power_ipmi] user and password"
                raise self.asking.refused(verb, f"refuses the login: {line.strip()}", hint=hint)
        if any(word in result.complaint for word in SILENCE):
            raise NoAnswerError(result.last_words)
        raise self.asking.refused(verb, f"has failed: ipmitool {result.how}")
