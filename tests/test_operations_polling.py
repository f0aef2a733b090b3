"""How often nodes are asked, on trio's own fast clock."""

import pytest
import trio
import trio.testing

from imaging.operations.polling import DUE_FACTOR, Polling

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
