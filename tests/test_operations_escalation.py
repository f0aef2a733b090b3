"""Orders from soft to hard, and what becomes of a node that is cut short between off and on.

The card is made up: it is hardware.
"""

from dataclasses import dataclass, field

import pytest
import trio

from imaging.errors import NodeError, Reason
from imaging.feedback.events import Event, Noticed
from imaging.node.power import PowerState
from imaging.operations.escalation import SWITCH_ON_BUDGET_S, Escalation
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


def escalation(card: Card, orders: str, patience_s: float = 0.05) -> tuple[Escalation, list[str]]:
    """The orders for a node, and the list of what is noticed."""
    noticed: list[str] = []

    def emit(event: Event) -> None:
        if isinstance(event, Noticed):
            noticed.append(event.message)
            heard(event.message)

    settings = PowerSettings(
        escalation=orders,
        settle_timeout_s=patience_s,
        shutdown_timeout_s=patience_s,
        retry_delay_s=0.01,
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


async def cancelled_after(card: Card, orders: str) -> tuple[list[str], float]:
    """Cancel when the first order was given: what was noticed, and how long the end took.

    The node is never seen to be off, so every wait is as long as it may be.
    """
    begun, noticed = escalation(card, orders, patience_s=60.0)
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(begun.begin)
            while not card.orders:  # noqa: ASYNC110 - a card tells nobody
                await trio.sleep(0.01)
            started = trio.current_time()
            nursery.cancel_scope.cancel()
    return noticed, trio.current_time() - started


@pytest.mark.parametrize(
    ("orders", "order"),
    [("cycle", "off"), ("shutdown", "shutdown"), ("shutdown reset", "shutdown")],
)
async def test_a_node_is_switched_on_when_the_run_is_cancelled(orders: str, order: str) -> None:
    card = Card()
    noticed, took = await cancelled_after(card, orders)
    assert card.orders == [order, "on"]
    assert noticed == ["it was switched on again"]
    assert took < 1


async def test_that_it_may_have_been_left_off_is_told() -> None:
    noticed, took = await cancelled_after(Card(on="refused"), "cycle")
    assert noticed == ["it may have been left off: fit01: its CMC answered HTTP 500 (why?)"]
    assert took < 1


async def test_a_slow_card_does_not_hold_up_the_end() -> None:
    card = Card(on="slow")
    noticed, took = await cancelled_after(card, "cycle")
    assert card.orders == ["off", "on"]  # which it was told, and has not said to have done
    assert noticed == [
        "it may have been left off: its card was too slow to switch it on again",
    ]
    assert SWITCH_ON_BUDGET_S <= took < 1


async def test_a_reset_that_is_cancelled_needs_nothing() -> None:
    card = Card()
    noticed, _ = await cancelled_after(card, "reset")
    assert (card.orders, noticed) == (["reset"], [])
