"""A BMC with Redfish (DMTF DSP0266): the PowerState of a ComputerSystem, and its Reset action.

Tried with the emulator of sushy-tools 2.2. Vendors differ in which types of reset they know, which
is why each order has several: the first that the BMC says it knows is taken.
"""

from dataclasses import dataclass

import msgspec

from imaging.errors import NodeError
from imaging.node.power import PowerState
from imaging.node.power.asking import shown_lines
from imaging.node.power.redfish_service import RedfishService

SYSTEMS = "/redfish/v1/Systems"
ON, OFF = ("On", "ForceOn"), ("ForceOff",)
RESET, SHUT_DOWN = ("ForceRestart", "PowerCycle"), ("GracefulShutdown",)
# what is between on and off draws power, and is not yet off
STATES = {"Off": PowerState.OFF} | dict.fromkeys(
    ("On", "PoweringOn", "PoweringOff", "Paused"), PowerState.ON
)


class Link(msgspec.Struct, frozen=True):
    """Where something is."""

    path: str = msgspec.field(name="@odata.id")


class Systems(msgspec.Struct, frozen=True):
    """The systems that a BMC is for: mostly one."""

    members: list[Link] = msgspec.field(name="Members")


class ResetAction(msgspec.Struct, frozen=True):
    """Where a system is reset, and the types of reset that it knows, if it tells them."""

    target: str
    types: list[str] = msgspec.field(name="ResetType@Redfish.AllowableValues", default_factory=list)


class Actions(msgspec.Struct, frozen=True):
    """What can be done with a system."""

    reset: ResetAction = msgspec.field(name="#ComputerSystem.Reset")


class System(msgspec.Struct, frozen=True, rename="pascal"):
    """What a BMC tells of a system."""

    power_state: str | None = None
    actions: Actions | None = None
    manufacturer: str | None = None
    model: str | None = None
    serial_number: str | None = None
    bios_version: str | None = None


@dataclass(slots=True)
class RedfishCard:
    """The BMC of one node; ``path`` is its system's, "" until the BMC was asked."""

    service: RedfishService
    path: str = ""

    async def status(self) -> PowerState:
        """Ask whether the node has power."""
        told = (await self._system("status")).power_state
        if told not in STATES:
            raise self.service.asking.refused("status", f"told the power state {told!r}")
        return STATES[told]

    async def turn_on(self) -> None:
        """Give power."""
        await self._order("on", ON, PowerState.ON)

    async def turn_off(self) -> None:
        """Cut power."""
        await self._order("off", OFF, PowerState.OFF)

    async def reset(self) -> None:
        """Restart a node that has power."""
        await self._order("reset", RESET, None)

    async def shut_down(self) -> None:
        """Ask the node's system to end and switch itself off."""
        await self._order("shutdown", SHUT_DOWN, PowerState.OFF)

    async def info(self) -> str:
        """What the BMC says about the node."""
        system = await self._system("info")
        facts = {key: value for key, value in msgspec.structs.asdict(system).items() if value}
        facts.pop("actions", None)
        return shown_lines("\n".join(f"{key.replace('_', ' ')} {facts[key]}" for key in facts))

    async def _system(self, verb: str) -> System:
        if not self.path:
            members = (await self.service.get(verb, SYSTEMS, Systems)).members
            if len(members) != 1:
                raise self.service.asking.refused(
                    verb, f"has {len(members)} systems", hint="name one in the inventory: system"
                )
            self.path = members[0].path
        return await self.service.get(verb, self.path, System)

    async def _order(self, verb: str, wanted: tuple[str, ...], after: PowerState | None) -> None:
        """Have it reset; a refusal is none when the node is as it should be already."""
        system = await self._system(verb)
        if system.actions is None:
            raise self.service.asking.refused(verb, "has no ComputerSystem.Reset")
        action = system.actions.reset
        known = [kind for kind in wanted if kind in action.types or not action.types]
        if not known:
            what = f"knows no reset of type {' or '.join(wanted)}, but {' '.join(action.types)}"
            raise self.service.asking.refused(verb, what)
        try:
            await self.service.post(verb, action.target, {"ResetType": known[0]})
        except NodeError:
            if after is None or await self.status() is not after:
                raise
