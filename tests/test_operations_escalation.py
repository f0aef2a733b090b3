"""Orders from soft to hard, and what becomes of a node whose card fails between off and on.

The card is made up: it is hardware.
"""

from dataclasses import dataclass, field

import pytest
import trio

from imaging.errors import NodeError, Reason
from imaging.feedback.events import Event, Noticed
from imaging.node.power import PowerState
from imaging.operations.escalation import Escalation
from imaging.operations.steps import NodeStory
from imaging.site.power_schema import PowerSettings
from tests.messages.recorder import heard


def refused() -> NodeError:
    return NodeError("fit01: its CMC answered HTTP 500", reason=Reason.POWER_REFUSED, hint="why?")


@dataclass
class Card:
    """A card whose node stays on; ``off`` and ``on`` are what becomes of these orders."""

    off: str = "ok"
    on: str = "ok"
    orders: list[str] = field(default_factory=list)

    async def status(self) -> PowerState:
        return PowerState.ON

    async def info(self) -> str:
        return ""

    async def reset(self) -> None:
        self.orders.append("reset")

    async def shut_down(self) -> None:
        self.orders.append("shutdown")

    async def turn_off(self) -> None:
        self.orders.append("off")
        if self.off == "refused":
            raise refused()

    async def turn_on(self) -> None:
        self.orders.append("on")
        if self.on == "refused":
            raise refused()
        if self.on == "slow":
            await trio.sleep_forever()


def escalation(card: Card, orders: str) -> tuple[Escalation, list[str]]:
    """The orders for a node, and the list of what is noticed."""
    noticed: list[str] = []

    def emit(event: Event) -> None:
        if isinstance(event, Noticed):
            noticed.append(event.message)
            heard(event.message)

    settings = PowerSettings(
        escalation=orders, settle_timeout_s=0.05, shutdown_timeout_s=0.05, retry_delay_s=0.01
    )
    return Escalation(NodeStory("fit01", emit), card, settings), noticed


async def test_an_order_that_was_ignored_is_followed_by_a_harder_one() -> None:
    card = Card()
    orders, noticed = escalation(card, "reset, cycle")
    await orders.begin()
    assert await orders.harder() is not None
    assert await orders.harder() is None
    assert card.orders == ["reset", "off", "on"]
    assert noticed == ["the reset was ignored: switching off and on again"]


async def test_a_system_that_does_not_shut_down_is_reset() -> None:
    card = Card()
    orders, noticed = escalation(card, "shutdown, reset")
    await orders.begin()
    assert card.orders == ["shutdown", "reset"]
    assert noticed == ["it did not shut down: resetting it"]


@pytest.mark.parametrize(
    ("on", "words"),
    [
        ("ok", "it was switched on again"),
        ("refused", "it may have been left off: fit01: its CMC answered HTTP 500 (why?)"),
        ("slow", "it may have been left off: its card was too slow to switch it on again"),
    ],
)
async def test_a_node_is_not_left_off_without_a_word(on: str, words: str) -> None:
    card = Card(off="refused", on=on)
    orders, noticed = escalation(card, "cycle")
    with trio.fail_after(5), pytest.raises(NodeError, match="HTTP 500"):
        await orders.begin()
    assert card.orders == ["off", "on"]
    assert noticed == [words]
