"""The power verbs: every node's card is asked at the same time, and its answer is read back."""

from contextlib import AsyncExitStack
from enum import StrEnum

import msgspec
import trio

from imaging.errors import NodeError, Reason
from imaging.feedback.events import Emit
from imaging.feedback.outcomes import ImageFacts, Step
from imaging.guard import Guard
from imaging.node.power import PowerCard, PowerState
from imaging.node.power.opening import guard_of_tools, open_card
from imaging.node.power.readiness import Cards, card_of
from imaging.operations.authorization import Authorization
from imaging.operations.escalation import settles
from imaging.operations.locking import own_node
from imaging.operations.stagger import Stagger
from imaging.operations.steps import NodeStory
from imaging.site.inventory import Node
from imaging.site.power_schema import PowerSettings
from imaging.site.schema import Settings
from imaging.site.selection import format_selection


class Verb(StrEnum):
    """What a card can be told."""

    STATUS = "status"
    ON = "on"
    OFF = "off"
    RESET = "reset"
    INFO = "info"


CHANGES = frozenset({Verb.ON, Verb.OFF, Verb.RESET})
DRAWING = frozenset({Verb.ON, Verb.RESET})  # after these a node draws the most power


class PowerPlan(msgspec.Struct, frozen=True):
    """Whom to tell what; ``force`` does not ask whether another command works on the nodes."""

    nodes: tuple[Node, ...]
    cards: Cards
    verb: Verb
    authorization: Authorization
    force: bool = False

    @property
    def settings(self) -> Settings:
        """The settings of the site."""
        return self.cards.settings

    @property
    def node_names(self) -> tuple[str, ...]:
        """The names of the nodes, in order."""
        return tuple(node.name for node in self.nodes)

    @property
    def summary(self) -> str:
        """What is about to be done, in one line."""
        return f"{self.verb}: {format_selection(self.nodes)}"

    @property
    def image_facts(self) -> ImageFacts | None:
        """There is no image."""
        return None

    @property
    def quorum(self) -> int | None:
        """All nodes must be fine."""
        return None

    def describe(self) -> list[str]:
        """What a dry run prints."""
        where = [f"  {node.name}: {card_of(node, self.settings)}" for node in self.nodes]
        return [f"would tell {self.verb} to the cards of", *where]


async def power(plan: PowerPlan, emit: Emit) -> None:
    """Carry out a plan; every node's answer is its outcome."""
    stagger = Stagger(plan.settings.power.stagger_s)
    with guard_of_tools(plan.nodes, plan.cards) as guard:
        async with trio.open_nursery() as nodes:
            for node in plan.nodes:
                nodes.start_soon(_tell, plan, node, NodeStory(node.name, emit), stagger, guard)


async def _tell(
    plan: PowerPlan, node: Node, story: NodeStory, stagger: Stagger, guard: Guard
) -> None:
    try:
        async with open_card(node, plan.cards, guard) as card, AsyncExitStack() as owned:
            if plan.verb in CHANGES and not plan.force:
                # nothing is left behind by these, but the tools of cards: mostly there is no guard
                lock = own_node(story, f"imaging-{plan.verb}", plan.settings.locks, guard)
                await owned.enter_async_context(lock)
            if plan.verb in DRAWING:
                await stagger.turn()
            if plan.verb in CHANGES:
                await plan.authorization.confirm(story)
            with story.step(Step.POWER) as detail:
                answer = await _answer(plan.verb, card, story.node, plan.settings.power)
                detail.text = answer
    except NodeError as error:
        story.finish(error)
    else:
        story.finish(detail=answer)


async def _answer(verb: Verb, card: PowerCard, node: str, settings: PowerSettings) -> str:
    match verb:
        case Verb.STATUS:
            return (await card.status()).value
        case Verb.INFO:
            return await card.info()
        case Verb.ON:
            await card.turn_on()
            return await _settled(card, PowerState.ON, node, settings)
        case Verb.OFF:
            await card.turn_off()
            return await _settled(card, PowerState.OFF, node, settings)
        case Verb.RESET:
            if await card.status() is PowerState.OFF:
                raise NodeError(
                    f"{node}: is off, so there is nothing to reset",
                    reason=Reason.POWER_REFUSED,
                    hint="imaging-on switches it on",
                )
            # that it is on afterwards would prove nothing: it was before
            await card.reset()
            return "ok"


async def _settled(card: PowerCard, wanted: PowerState, node: str, settings: PowerSettings) -> str:
    """Read back what the card was told."""
    if await settles(card, wanted, settings.settle_timeout_s, settings.retry_delay_s):
        return wanted.value
    raise NodeError(
        f"{node}: its card said ok, and does not say {wanted.value} within "
        f"{settings.settle_timeout_s:g} s",
        reason=Reason.POWER_REFUSED,
        hint="imaging-status tells when it does; see [power] settle_timeout_s",
    )
