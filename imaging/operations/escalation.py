"""How a node is made to boot: orders to its power card, from soft to hard.

A node that is off is switched on. One that is on gets the orders of ``[power] escalation``, one
after the other, each when the one before was ignored.
"""

from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import trio

from imaging.errors import NodeError
from imaging.jitter import jittered
from imaging.node.power import PowerCard, PowerState
from imaging.operations.steps import NodeStory
from imaging.site.power_schema import BootOrder, PowerSettings

SWITCH_ON_BUDGET_S = 0.3  # also when the time is up: --timeout ends within a second of it
NAMES: dict[BootOrder, str] = {
    "shutdown": "shutdown and on",
    "reset": "the reset",
    "cycle": "off and on",
}
GOING: dict[BootOrder, str] = {
    "shutdown": "asking the system to shut down",
    "reset": "resetting it",
    "cycle": "switching off and on again",
}


async def power_up(card: PowerCard) -> None:
    """Make the node boot, whatever it does: reset when it is on, on when it is off."""
    state = await card.status()
    await (card.reset() if state is PowerState.ON else card.turn_on())


async def settles(card: PowerCard, wanted: PowerState, patience_s: float, delay_s: float) -> bool:
    """Whether a card says within its time that the node is so, asked about every ``delay_s``.

    It may take a moment to do what it was told. Raises NodeError.
    """
    with trio.move_on_after(patience_s):
        while True:
            if await card.status() is wanted:
                return True
            await trio.sleep(jittered(delay_s))
    return False


class Escalation:
    """The orders that are left for one node, and the last that was given."""

    def __init__(self, story: NodeStory, card: PowerCard, settings: PowerSettings) -> None:
        """Nothing was ordered yet."""
        self._story = story
        self._card = card
        self._settings = settings
        self._left = deque(settings.boot_orders)
        self.last = "the reset"

    async def begin(self, on_order: Callable[[], None] = lambda: None) -> float:
        """Make the node boot: by the first order, or when it is off by switching it on instead.

        ``on_order`` is called when the card's state is known, before it is told anything. Returns
        the time of the order (trio's clock), taken before it was sent. Raises NodeError.
        """
        state = await self._card.status()
        on_order()
        if state is PowerState.ON:
            return await self._give(self._left.popleft())
        self._left.popleft()
        return await self._switch_on()

    async def harder(self) -> float | None:
        """The next order, and its time as for ``begin``; None when there is none any more."""
        if not self._left:
            return None
        order = self._left.popleft()
        self._story.notice(f"{self.last} was ignored: {GOING[order]}")
        return await self._give(order)

    async def _give(self, order: BootOrder) -> float:
        self.last = NAMES[order]
        match order:
            case "reset":
                ordered = trio.current_time()
                await self._card.reset()
                return ordered
            case "shutdown":
                async with self._not_left_off():
                    if await self._shut_down():
                        return await self._switch_on()
                harder = self._left.popleft() if self._left else "cycle"
                self._story.notice(f"it did not shut down: {GOING[harder]}")
                return await self._give(harder)
            case "cycle":
                async with self._not_left_off():
                    await self._card.turn_off()
                    # a card that does it later would take "on" for done
                    await self._goes_off(self._settings.settle_timeout_s)
                    return await self._switch_on()

    @asynccontextmanager
    async def _not_left_off(self) -> AsyncIterator[None]:
        """Whatever ends the block between off and on, the node is not left off for that."""
        try:
            yield
        except BaseException:
            with trio.move_on_after(SWITCH_ON_BUDGET_S, shield=True):
                try:
                    await self._card.turn_on()
                    self._story.notice("it was switched on again")
                except NodeError as error:
                    self._story.notice(f"it may have been left off: {error}")
                raise
            self._story.notice(
                "it may have been left off: its card was too slow to switch it on again"
            )
            raise

    async def _switch_on(self) -> float:
        ordered = trio.current_time()
        await self._card.turn_on()
        return ordered

    async def _shut_down(self) -> bool:
        """Whether the node has switched itself off, in the time that it has for it."""
        try:
            await self._card.shut_down()
        except NodeError as error:
            self._story.notice(error.message)
            return False
        return await self._goes_off(self._settings.shutdown_timeout_s)

    async def _goes_off(self, patience_s: float) -> bool:
        return await settles(self._card, PowerState.OFF, patience_s, self._settings.retry_delay_s)
