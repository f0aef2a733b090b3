"""How often nodes are asked, on trio's own fast clock."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from imaging.operations.polling import (
    DUE_FACTOR,
    SPARSE_AT_MOST_S,
    SPARSE_FACTOR,
    Polling,
    due_after_s,
    pause_s,
)

SECONDS = 20.0


async def attempts_of(polling: Polling, nodes: int) -> list[int]:
    """How often each of so many nodes is asked, ten times per second if it may."""
    attempts = [0] * nodes

    async def search(node: int) -> None:
        while True:
            await polling.pause(0.1)
            attempts[node] += 1

    with trio.move_on_after(SECONDS):
        async with trio.open_nursery() as nursery:
            for node in range(nodes):
                nursery.start_soon(search, node)
    return attempts


@pytest.mark.parametrize(
    ("nodes", "expected"), [(1, 10.0), (20, 200.0), (40, 400.0), (1000, 400.0)], ids=str
)
async def test_the_attempts_of_all_nodes_are_bounded_together(
    autojump_clock: trio.testing.MockClock, nodes: int, expected: float
) -> None:
    attempts = await attempts_of(Polling(400.0), nodes)
    assert sum(attempts) / SECONDS == pytest.approx(expected, rel=0.1)
    if nodes == 1000:  # in turn
        assert max(attempts) - min(attempts) <= 1


async def test_when_one_is_there_the_others_are_asked_more_often(
    autojump_clock: trio.testing.MockClock,
) -> None:
    polling = Polling(400.0)
    polling.found()
    polling.found()
    attempts = await attempts_of(polling, 1000)
    assert sum(attempts) / SECONDS == pytest.approx(DUE_FACTOR * 400.0, rel=0.05)


async def test_who_is_found_leaves_its_turns_to_the_others(
    autojump_clock: trio.testing.MockClock,
) -> None:
    polling = Polling(10.0)
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        for _ in range(30):
            nursery.start_soon(polling.pause, 0.01)
    assert trio.current_time() - began == pytest.approx(2.9)
    began = trio.current_time()
    await polling.pause(0.01)  # nobody else is left
    assert trio.current_time() - began <= 0.1 + 1e-6


SECOND = st.floats(min_value=0.001, max_value=600.0)
NOTHING_LONGER_S = SPARSE_AT_MOST_S * 1.25  # a pause is longer or shorter by a quarter, by chance


@given(st.lists(SECOND))
def test_a_node_is_due_before_its_fastest_boot(boots: list[float]) -> None:
    due = due_after_s(boots)
    if not boots:
        assert due is None
    else:
        assert due is not None
        assert 0 < due < min(boots)


@given(SECOND, SECOND, st.none() | SECOND)
def test_pauses_are_bounded_and_never_reach_beyond_the_moment_a_node_is_due(
    shortest: float, since: float, due: float | None
) -> None:
    pause = pause_s(shortest, since, due)
    assert shortest <= pause <= max(shortest, SPARSE_AT_MOST_S)
    if due is None or since >= due:
        assert pause == shortest
    else:
        assert since + pause <= max(due, since + shortest) + 1e-9


@dataclass(slots=True)
class Boots:
    """Nodes that have been reset at once, and a polling that searches them."""

    polling: Polling
    boot_s: Mapping[str, float]
    attempts: int = 0
    delays: dict[str, float] = field(default_factory=dict)

    async def search(self) -> None:
        async with trio.open_nursery() as nursery:
            for node in self.boot_s:
                nursery.start_soon(self._search, node, trio.current_time())

    async def _search(self, node: str, reset: float) -> None:
        await self.polling.pause(0, node, 0.0)
        while (since := trio.current_time() - reset) < self.boot_s[node]:
            self.attempts += 1
            await self.polling.pause(0.1, node, since)
        self.polling.found(node, since)
        self.delays[node] = since - self.boot_s[node]


def some_nodes(count: int, boot_s: float) -> dict[str, float]:
    return {f"fit{number}": boot_s for number in range(count)}


async def searched(boot_s: Mapping[str, float], history: Mapping[str, Sequence[float]]) -> Boots:
    polling = Polling(400.0)
    polling.expect(history)
    boots = Boots(polling, boot_s)
    await boots.search()
    return boots


@pytest.mark.parametrize("count", [1, 37, 1000])
async def test_nodes_that_boot_as_usual_are_found_as_soon_with_fewer_attempts(
    autojump_clock: trio.testing.MockClock, count: int
) -> None:
    nodes = some_nodes(count, 20.0)
    without = await searched(nodes, {})
    known = await searched(nodes, {node: [21.0, 19.9] for node in nodes})
    assert max(known.delays.values()) <= max(without.delays.values()) + 0.2
    assert known.attempts * 4 < without.attempts


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 20), st.floats(0.1, 60.0), st.floats(0.1, 20.0))
def test_a_history_that_is_wrong_costs_a_bounded_delay(
    count: int, usual: float, boot: float
) -> None:
    async def run() -> Boots:
        nodes = some_nodes(count, boot)
        return await searched(nodes, {node: [usual] for node in nodes})

    boots = trio.run(run, clock=trio.testing.MockClock(autojump_threshold=0))
    in_turn = count / (SPARSE_FACTOR * 400.0)
    assert max(boots.delays.values()) <= NOTHING_LONGER_S + 0.125 + in_turn


async def test_one_node_that_comes_too_early_has_all_others_asked_often(
    autojump_clock: trio.testing.MockClock,
) -> None:
    nodes = some_nodes(1000, 20.0)
    boots = await searched(nodes, {node: [120.0] for node in nodes})
    # one after the other as soon as the first is found, none at the end of its usual time
    assert max(boots.delays.values()) <= NOTHING_LONGER_S + 1000 / 1000


async def test_a_node_that_nobody_has_reset_is_asked_at_once(
    autojump_clock: trio.testing.MockClock,
) -> None:
    polling = Polling(400.0)
    polling.expect({"fit1": [60.0]})
    began = trio.current_time()
    await polling.pause(0, "fit1", None)
    assert trio.current_time() == began
