"""How often nodes are asked, on trio's own fast clock."""

import pytest
import trio
import trio.testing

from imaging.operations.polling import Polling


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [(1, 10.0), (20, 200.0), (40, 400.0), (1000, 400.0)],
    ids=str,
)
async def test_the_attempts_of_all_nodes_are_bounded_together(
    autojump_clock: trio.testing.MockClock, nodes: int, expected: float
) -> None:
    """Ten times per second each, until there are more than the run may ask."""
    polling, attempts, seconds = Polling(400.0), 0, 20.0

    async def search() -> None:
        nonlocal attempts
        with polling.searching():
            while True:
                attempts += 1
                await polling.pause(0.1)

    with trio.move_on_after(seconds):
        async with trio.open_nursery() as nursery:
            for _ in range(nodes):
                nursery.start_soon(search)
    # each begins with one attempt at once
    assert (attempts - nodes) / seconds == pytest.approx(expected, rel=0.1)


async def test_who_is_found_leaves_its_turns_to_the_others(
    autojump_clock: trio.testing.MockClock,
) -> None:
    polling = Polling(10.0)
    with polling.searching():
        with polling.searching(), polling.searching():
            began = trio.current_time()
            await polling.pause(0.01)
            assert trio.current_time() - began >= 0.75 * 3 / 10
        began = trio.current_time()
        await polling.pause(0.01)
        assert trio.current_time() - began <= 1.25 * 1 / 10
