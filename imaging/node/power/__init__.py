"""Power cards: one small file per model, each with the same verbs.

``opening`` picks the model of a node; ``asking`` has what they share: so many attempts, each
bounded in time, and the errors. ``docs/power.md`` says how to write another model.
"""

from enum import Enum
from typing import Protocol


class PowerState(Enum):
    """Whether a node has power, as its card says."""

    ON = "on"
    OFF = "off"


class PowerCard(Protocol):
    """The power card of one node.

    Every verb raises NodeError: ``no-cmc`` when the card does not answer, ``power-refused`` when
    it answers something else than it should. All may be repeated without harm.
    """

    async def status(self) -> PowerState:
        """Ask whether the node has power."""

    async def turn_on(self) -> None:
        """Give power."""

    async def turn_off(self) -> None:
        """Cut power."""

    async def reset(self) -> None:
        """Restart a node that has power."""

    async def shut_down(self) -> None:
        """Ask the node's system to end and switch itself off, which it may take long to do."""

    async def info(self) -> str:
        """What the card says about itself, in lines of printable text."""
