"""A node is not left off when a shutdown or a power cycle is cut short."""

from dataclasses import dataclass, field

import msgspec
import pytest
import trio

from imaging.errors import NodeError, Reason
from imaging.feedback.events import Event, Noticed
from imaging.node.power import PowerState
from imaging.operations.escalation import SWITCH_ON_BUDGET_S, Escalation
from imaging.operations.steps import NodeStory
from imaging.site.power_schema import PowerSettings


@dataclass
class Card:
    """A card whose node is never seen to be off, so that every wait is as long as it may be.

    The card is hardware, so it is made up here.
    """

    on_s: float = 0.0  # what switching on takes
    fails: bool = False
    orders: list[str] = field(default_factory=list)

    async def status(self) -> PowerState:
        return PowerState.ON

    async def reset(self) -> None:
        self.orders.append("reset")

    async def turn_off(self) -> None:
        self.orders.append("off")

    async def turn_on(self) -> None:
        await trio.sleep(self.on_s)
        if self.fails:
            raise NodeError("fit01: burnt", reason=Reason.NO_CMC)
        self.orders.append("on")

    async def shut_down(self) -> None:
        self.orders.append("shutdown")

    async def info(self) -> str:
        return "made up"


async def cancelled_after(card: Card, escalation: str, given: int) -> tuple[list[str], float]:
    """Cancel when so many orders were given; what was noticed then, and how long it took."""
    events: list[Event] = []
    settings = msgspec.structs.replace(
        PowerSettings(),
        escalation=escalation,
        shutdown_timeout_s=60.0,
        settle_timeout_s=60.0,
        retry_delay_s=0.01,
    )
    orders = Escalation(NodeStory("fit01", events.append), card, settings)
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(orders.begin)
            while len(card.orders) < given:  # noqa: ASYNC110 - a card tells nobody
                await trio.sleep(0.01)
            started = trio.current_time()
            nursery.cancel_scope.cancel()
    took = trio.current_time() - started
    return [event.message for event in events if isinstance(event, Noticed)], took


@pytest.mark.parametrize(
    ("escalation", "order"),
    [("cycle", "off"), ("shutdown", "shutdown"), ("shutdown reset", "shutdown")],
)
async def test_a_node_is_switched_on_when_the_run_is_cancelled(escalation: str, order: str) -> None:
    card = Card()
    noticed, took = await cancelled_after(card, escalation, 1)
    assert card.orders == [order, "on"]
    assert noticed == ["it was switched on again"]
    assert took < 1


async def test_that_it_may_have_been_left_off_is_told() -> None:
    noticed, took = await cancelled_after(Card(fails=True), "cycle", 1)
    assert noticed == ["it may have been left off: fit01: burnt"]
    assert took < 1


async def test_a_slow_card_does_not_hold_up_the_end() -> None:
    card = Card(on_s=30.0)
    noticed, took = await cancelled_after(card, "cycle", 1)
    assert card.orders == ["off"]
    assert noticed == [
        "it may have been left off: its card was too slow to switch it on again",
    ]
    assert SWITCH_ON_BUDGET_S <= took < 1


async def test_a_reset_that_is_cancelled_needs_nothing() -> None:
    card = Card()
    noticed, _ = await cancelled_after(card, "reset", 1)
    assert (card.orders, noticed) == (["reset"], [])
