"""What the models share of the verbs: their orders differ in one word alone."""

from abc import ABC, abstractmethod
from typing import Literal

Order = Literal["on", "off", "reset", "shutdown"]


class OrderedCard(ABC):
    """The verbs of PowerCard that change something, for a model that gives all of them alike."""

    __slots__ = ()

    @abstractmethod
    async def order(self, verb: Order) -> None:
        """Have it done. Raises NodeError as all verbs do."""

    async def turn_on(self) -> None:
        """Give power."""
        await self.order("on")

    async def turn_off(self) -> None:
        """Cut power."""
        await self.order("off")

    async def reset(self) -> None:
        """Restart a node that has power."""
        await self.order("reset")

    async def shut_down(self) -> None:
        """Ask the node's system to end and switch itself off."""
        await self.order("shutdown")
