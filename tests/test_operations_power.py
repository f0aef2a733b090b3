"""The power verbs against a card that is made up: it is hardware."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import msgspec
import pytest
import trio

from imaging.errors import Reason
from imaging.feedback.events import Event, NodeFinished
from imaging.feedback.outcomes import NodeOutcome
from imaging.node.power.readiness import ready_cards
from imaging.operations.authorization import Authorization
from imaging.operations.power import PowerPlan, Verb, power
from imaging.site.inventory import Interface, Node
from imaging.site.schema import Settings


@dataclass
class Card:
    """A card over HTTP, which takes ``delay`` further requests to do what it was told."""

    state: str = "on"
    delay: float = 0
    pending: str = ""
    orders: list[str] = field(default_factory=list)

    def answer(self, verb: str) -> str:
        self.orders.append(verb)
        if verb == "status":
            self.delay -= 1
            if self.pending and self.delay < 0:
                self.state, self.pending = self.pending, ""
            return self.state
        if verb in ("on", "off"):
            self.pending = verb
        return "ok"

    async def serve(self, stream: trio.SocketStream) -> None:
        request = bytes(await stream.receive_some(4096)).decode()
        body = self.answer(request.split()[1].strip("/"))
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        await stream.send_all((head + body).encode())
        await stream.aclose()


@asynccontextmanager
async def serving(handler: Callable[[trio.SocketStream], Awaitable[object]]) -> AsyncIterator[int]:
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, handler, 0, host="127.0.0.1"))
        yield listeners[0].socket.getsockname()[1]
        nursery.cancel_scope.cancel()


async def outcome_of(card: Card, verb: Verb) -> NodeOutcome:
    interface = Interface("fit01", "127.0.0.1", "02:00:00:00:00:01")
    events: list[Event] = []
    async with serving(card.serve) as port:
        settings = Settings()
        quick = msgspec.structs.replace(
            settings.power, port=port, settle_timeout_s=0.3, retry_delay_s=0.01
        )
        nodes = (Node(interface, interface),)
        cards = ready_cards(nodes, msgspec.structs.replace(settings, power=quick))
        authorization = Authorization(settings.leases)
        plan = PowerPlan(nodes, cards, verb, force=True, authorization=authorization)
        with trio.fail_after(5):
            await power(plan, events.append)
    (finished,) = [event for event in events if isinstance(event, NodeFinished)]
    return finished.outcome


@pytest.mark.parametrize("verb", [Verb.ON, Verb.OFF])
async def test_a_card_that_takes_its_time_is_read_until_it_has_done_it(verb: Verb) -> None:
    card = Card(state="off" if verb is Verb.ON else "on", delay=2)
    outcome = await outcome_of(card, verb)
    assert (outcome.ok, outcome.detail) == (True, verb.value)
    assert card.orders == [verb.value, "status", "status", "status"]


@pytest.mark.parametrize("verb", [Verb.ON, Verb.OFF])
async def test_a_card_that_says_ok_and_does_nothing_has_refused(verb: Verb) -> None:
    card = Card(state="off" if verb is Verb.ON else "on", delay=float("inf"))
    outcome = await outcome_of(card, verb)
    assert outcome.reason is Reason.POWER_REFUSED
    said = f"fit01: its card said ok, and does not say {verb.value} within 0.3 s"
    assert outcome.message.startswith(said)


async def test_what_is_off_is_not_told_to_reset() -> None:
    card = Card(state="off")
    outcome = await outcome_of(card, Verb.RESET)
    assert outcome.reason is Reason.POWER_REFUSED
    assert card.orders == ["status"]
