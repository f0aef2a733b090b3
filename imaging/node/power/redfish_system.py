"""The system that a BMC is for: found, read, and reset (DMTF DSP0268, ComputerSystem)."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from imaging.node.power.redfish_service import RedfishService

SYSTEMS = "/redfish/v1/Systems"


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

    def facts(self) -> str:
        """What it tells for people to read, a line each."""
        told = msgspec.structs.asdict(self)
        told.pop("actions")
        return "\n".join(f"{key.replace('_', ' ')} {told[key]}" for key in told if told[key])


@dataclass(slots=True)
class RedfishSystem:
    """The system at ``path`` of a service, "" until the BMC was asked for its only one."""

    service: RedfishService
    path: str = ""

    async def read(self, verb: str) -> System:
        """What it tells now. Raises NodeError."""
        if not self.path:
            members = (await self.service.get(verb, SYSTEMS, Systems)).members
            if len(members) != 1:
                raise self.service.asking.refused(
                    verb, f"has {len(members)} systems", hint="name one in the inventory: system"
                )
            self.path = members[0].path
        return await self.service.get(verb, self.path, System)

    async def reset_action(self, verb: str, wanted: Sequence[str]) -> tuple[str, str]:
        """Where it is reset, and the first of these types that it may know. Raises NodeError."""
        actions = (await self.read(verb)).actions
        if actions is None:
            raise self.service.asking.refused(verb, "has no ComputerSystem.Reset")
        known = actions.reset.types
        kind = next((kind for kind in wanted if kind in known or not known), None)
        if kind is None:
            what = f"knows no reset of type {' or '.join(wanted)}, but {' '.join(known)}"
            raise self.service.asking.refused(verb, what)
        return actions.reset.target, kind
