"""Whether a run may act: four answers, asked for at the beginning and again later."""

import time
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
import trio
import trio.testing

from imaging.errors import ConfigurationError, InfrastructureError, NodeError, Reason
from imaging.feedback.events import Event, Noticed
from imaging.leases.backend import Actor
from imaging.leases.decision import Answer
from imaging.leases.local import LocalLeases
from imaging.leases.opening import ask_leases
from imaging.operations.authorization import FRESH_S, Authorization, ask_at_once
from imaging.operations.steps import NodeStory
from imaging.site.schema import LeasesSettings
from tests.lease_services import ServedLeases, served_leases

NOW = 1_772_359_200.0
HOUR = 3600.0
NODES = ("fit01", "fit02")


class Clock:
    """The time, as the test has it."""

    now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def settings(tmp_path: Path) -> LeasesSettings:
    return LeasesSettings(backend="local", file=tmp_path / "leases.sqlite", timeout_s=5)


async def book(
    settings: LeasesSettings, start: float, end: float, login: str = "alice", *nodes: str
) -> None:
    """Hours from NOW; without nodes, the whole testbed."""
    await LocalLeases(settings.file).book(
        Actor(login), login, NOW + start * HOUR, NOW + end * HOUR, nodes or None
    )


async def looked(
    settings: LeasesSettings, clock: Clock, *, strict: bool = False, login: str = "alice"
) -> Authorization:
    found = Authorization(settings, strict=strict, login=login, clock=clock)
    await found.look()
    return found


def reason_of(error: InfrastructureError | NodeError) -> Reason:
    return error.reason


async def test_yes(settings: LeasesSettings, clock: Clock) -> None:
    await book(settings, -1, 2)
    authorization = await looked(settings, clock)
    assert await authorization.require(NODES, NOW + HOUR) is None
    assert await authorization.advise(NODES) is None
    assert not authorization.has_lapsed("fit01")


async def test_no_lease(settings: LeasesSettings, clock: Clock) -> None:
    await book(settings, -1, 2, "bob")
    authorization = await looked(settings, clock)
    with pytest.raises(InfrastructureError, match="bob holds the whole testbed until") as caught:
        await authorization.require(NODES, NOW + HOUR)
    assert reason_of(caught.value) is Reason.NO_LEASE
    advice = await authorization.advise(NODES)
    assert advice is not None
    assert "bob holds the whole testbed" in advice


async def test_a_lease_that_ends_early_is_told_or_refused(
    settings: LeasesSettings, clock: Clock
) -> None:
    await book(settings, -1, 1)
    told = await (await looked(settings, clock)).require(NODES, NOW + 2 * HOUR)
    assert told is not None
    assert "and is needed until" in told
    strict = await looked(settings, clock, strict=True)
    with pytest.raises(InfrastructureError, match="and is needed until") as caught:
        await strict.require(NODES, NOW + 2 * HOUR)
    assert reason_of(caught.value) is Reason.LEASE_TOO_SHORT
    assert await strict.require(NODES, NOW + HOUR) is None


async def test_leases_that_are_not_known_are_not_the_same_as_none(
    settings: LeasesSettings, clock: Clock
) -> None:
    settings.file.write_bytes(b"this is no database, and long enough to be none" * 50)
    authorization = await looked(settings, clock)
    with pytest.raises(InfrastructureError, match="not a database") as caught:
        await authorization.require(NODES, NOW)
    assert reason_of(caught.value) is Reason.LEASES_UNREACHABLE
    assert str(settings.file) in str(caught.value)
    lenient = await looked(msgspec.structs.replace(settings, when_unreachable="allow"), clock)
    told = await lenient.require(NODES, NOW)
    assert told is not None
    assert "not a database" in told
    assert "when_unreachable allows" in told
    assert not lenient.has_lapsed("fit01")
    assert (await lenient.answer(NODES, NOW)).answer is Answer.UNKNOWN


async def test_a_wrong_setting_is_none_of_the_four(clock: Clock, tmp_path: Path) -> None:
    settings = LeasesSettings(backend="r2labapi", ca_file=tmp_path / "missing")
    with pytest.raises(ConfigurationError, match="ca_file"):
        await (await looked(settings, clock)).require(NODES, NOW)


@pytest.mark.parametrize(
    ("backend", "privileged", "login"),
    [("none", "", "alice"), ("local", "root, alice", "alice"), ("local", "root", "root")],
)
async def test_who_needs_no_lease_asks_nobody(
    settings: LeasesSettings, clock: Clock, backend: str, privileged: str, login: str
) -> None:
    settings.file.write_bytes(b"who reads this finds no database")
    changed = msgspec.structs.replace(settings, backend=backend, privileged=privileged)
    authorization = Authorization(changed, login=login, clock=clock)
    assert not authorization.needed
    # without a look
    assert await authorization.require(NODES, NOW) is None
    assert await authorization.advise(NODES) is None
    assert (await authorization.answer(NODES, NOW)).answer is Answer.YES
    await authorization.confirm(NodeStory("fit01", lambda _: None))


async def test_the_questions_wait_for_the_look(settings: LeasesSettings, clock: Clock) -> None:
    await book(settings, -1, 1)
    authorization = Authorization(settings, login="alice", clock=clock)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(authorization.require, NODES, NOW)
        await trio.testing.wait_all_tasks_blocked()
        assert nursery.child_tasks
        nursery.start_soon(authorization.look)


class Story:
    """One node's story, and what was noticed in it."""

    def __init__(self, node: str = "fit01") -> None:
        self.events: list[Event] = []
        self.story = NodeStory(node, self.events.append)

    @property
    def notices(self) -> list[str]:
        return [event.message for event in self.events if isinstance(event, Noticed)]


async def refusal(authorization: Authorization, node: str = "fit01") -> NodeError:
    with pytest.raises(NodeError) as caught:
        await authorization.confirm(Story(node).story)
    return caught.value


async def test_a_lease_that_has_ended_meanwhile(settings: LeasesSettings, clock: Clock) -> None:
    await book(settings, -1, 1)
    authorization = await looked(settings, clock)
    clock.now = NOW + HOUR - 1
    await authorization.confirm(Story().story)
    assert not authorization.has_lapsed("fit01")
    clock.now = NOW + HOUR
    assert authorization.has_lapsed("fit01")
    await book(settings, 1, 2, "bob")
    clock.now += FRESH_S + 1
    error = await refusal(authorization)
    assert error.reason is Reason.NO_LEASE
    assert "fit01: left as it is: alice has no lease on fit01 now: bob holds" in str(error)


async def test_a_lease_that_was_cancelled_or_extended_meanwhile(
    settings: LeasesSettings, clock: Clock
) -> None:
    await book(settings, -1, 1)
    authorization = await looked(settings, clock)
    leases = LocalLeases(settings.file)
    await leases.extend(Actor("alice"), "1", NOW + 2 * HOUR)
    clock.now = NOW + 1.5 * HOUR
    await authorization.confirm(Story().story)
    await leases.cancel(Actor("alice"), "1", clock.now)
    clock.now += 1
    await authorization.confirm(Story().story)  # known a second ago
    clock.now += FRESH_S
    assert (await refusal(authorization)).reason is Reason.NO_LEASE


async def test_what_was_known_can_be_asked_for_anew(settings: LeasesSettings, clock: Clock) -> None:
    await book(settings, -1, 1)
    authorization = await looked(settings, clock)
    await LocalLeases(settings.file).extend(Actor("alice"), "1", NOW + 2 * HOUR)
    clock.now = NOW + HOUR
    assert authorization.has_lapsed("fit01")
    await authorization.refresh()
    assert not authorization.has_lapsed("fit01")


async def test_only_the_nodes_of_the_lease(settings: LeasesSettings, clock: Clock) -> None:
    await book(settings, -1, 1, "alice", "fit01")
    authorization = await looked(settings, clock)
    await authorization.confirm(Story("fit01").story)
    assert "fit02" in str(await refusal(authorization, "fit02"))


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[ServedLeases]:
    async with served_leases(tmp_path) as served:
        yield served


async def test_many_nodes_at_once_ask_once(service: ServedLeases) -> None:
    clock = Clock()
    clock.now = time.time()
    authorization = await looked(service.settings, clock)
    asked = len(service.requests)
    clock.now += FRESH_S + 1
    refused = []

    async def confirm(number: int) -> None:
        refused.append(await refusal(authorization, f"fit{number:03}"))

    async with trio.open_nursery() as nursery:
        for number in range(200):
            nursery.start_soon(confirm, number)
    assert len(refused) == 200
    assert len(service.requests) == 2 * asked


@pytest.mark.parametrize(
    ("fault", "words"),
    [("down", "does not answer"), ("redirect-nonsense", "redirects to http://xn--a/leases")],
)
async def test_while_nobody_answers_the_lease_counts_that_was_known(
    service: ServedLeases, fault: str, words: str
) -> None:
    clock = Clock()
    clock.now = start = time.time() // 60 * 60
    await ask_leases(
        service.settings,
        lambda leases: leases.book(Actor("alice"), "alice", start, start + HOUR, None),
    )
    authorization = await looked(service.settings, clock)
    service.fault(fault)
    clock.now = start + 60
    first, second = Story("fit01"), Story("fit02")
    await authorization.confirm(first.story)
    await authorization.confirm(second.story)
    (notice,) = first.notices + second.notices  # told once
    assert words in notice
    assert "the lease of alice lasts until" in notice
    clock.now = start + HOUR
    error = await refusal(authorization)
    assert error.reason is Reason.LEASES_UNREACHABLE
    assert words in str(error)
    assert authorization.has_lapsed("fit01")


async def test_a_lenient_site_goes_on_while_nobody_answers(service: ServedLeases) -> None:
    service.fault("down")
    clock = Clock()
    clock.now = time.time()
    lenient = service.with_settings(when_unreachable="allow")
    authorization = await looked(lenient, clock)
    clock.now += FRESH_S + 1
    story = Story()
    await authorization.confirm(story.story)
    (notice,) = story.notices
    assert "when_unreachable allows" in notice


def test_a_command_that_is_done_in_no_time_asks_at_once(settings: LeasesSettings) -> None:
    ours = msgspec.structs.replace(settings, privileged="")
    with pytest.raises(InfrastructureError, match="nobody else has one"):
        ask_at_once(ours, NODES)
    assert ask_at_once(LeasesSettings(), NODES) is None
