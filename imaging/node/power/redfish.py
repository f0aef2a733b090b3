"""A BMC with Redfish (DMTF DSP0266): the PowerState of a ComputerSystem, and its Reset action.

Tried with the emulator of sushy-tools 2.2.
"""

from dataclasses import dataclass

from imaging.errors import NodeError
from imaging.node.power import PowerState
from imaging.node.power.asking import shown_lines
from imaging.node.power.ordered import Order, OrderedCard
from imaging.node.power.redfish_system import RedfishSystem

# vendors know different types of reset: the first that a BMC says it knows is taken
TYPES = {
    "on": ("On", "ForceOn"),
    "off": ("ForceOff",),
    "reset": ("ForceRestart", "PowerCycle"),
    "shutdown": ("GracefulShutdown",),
}
AFTERWARDS = {"on": PowerState.ON, "off": PowerState.OFF, "shutdown": PowerState.OFF}
# what is between on and off draws power, and is not yet off
DRAWING = ("On", "PoweringOn", "PoweringOff", "Paused")
STATES = {"Off": PowerState.OFF} | dict.fromkeys(DRAWING, PowerState.ON)


@dataclass(frozen=True, slots=True)
class RedfishCard(OrderedCard):
    """The BMC of one node, which is one of its systems."""

    system: RedfishSystem

    async def status(self) -> PowerState:
        """Ask whether the node has power."""
        told = (await self.system.read("status")).power_state
        if told not in STATES:
            asking = self.system.service.asking
            raise asking.refused("status", f"told the power state {told!r}")
        return STATES[told]

    async def order(self, verb: Order) -> None:
        """Have it done; a refusal is none when the node is as it should be already."""
        target, kind = await self.system.reset_action(verb, TYPES[verb])
        try:
            await self.system.service.post(verb, target, {"ResetType": kind})
        except NodeError:
            if verb not in AFTERWARDS or await self.status() is not AFTERWARDS[verb]:
                raise

    async def info(self) -> str:
        """What the BMC says about the node."""
        return shown_lines((await self.system.read("info")).facts())
