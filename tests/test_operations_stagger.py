"""Nodes that take turns, on trio's own fast clock."""

import trio
import trio.testing

from imaging.operations.stagger import Stagger


async def turns_of(stagger: Stagger, nodes: int) -> list[float]:
    """When each of so many nodes had its turn, in seconds from now."""
    began, turns = trio.current_time(), list[float]()

    async def node() -> None:
        await stagger.turn()
        turns.append(round(trio.current_time() - began, 6))

    async with trio.open_nursery() as nursery:
        for _ in range(nodes):
            nursery.start_soon(node)
    return turns


async def test_turns_are_so_far_apart(autojump_clock: trio.testing.MockClock) -> None:
    stagger = Stagger(0.5)
    assert await turns_of(stagger, 4) == [0, 0.5, 1.0, 1.5]
    await trio.sleep(10)  # nobody saves up turns
    assert await turns_of(stagger, 2) == [0, 0.5]


async def test_without_a_gap_all_begin_at_once(autojump_clock: trio.testing.MockClock) -> None:
    assert await turns_of(Stagger(0), 3) == [0, 0, 0]


async def test_who_gives_up_leaves_the_others_their_turns(
    autojump_clock: trio.testing.MockClock,
) -> None:
    stagger = Stagger(1)
    await stagger.turn()
    with trio.move_on_after(0.2) as gave_up:
        await stagger.turn()
    assert gave_up.cancelled_caught
    assert await turns_of(stagger, 1) == [1.8]
