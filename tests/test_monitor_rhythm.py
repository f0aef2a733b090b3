"""When nodes are looked at, on a clock that jumps."""

from itertools import pairwise

import trio
import trio.testing

from imaging.monitor.rhythm import Lanes, Proof, Rhythm


async def test_looks_come_in_cycles(autojump_clock: trio.testing.MockClock) -> None:
    looks: list[float] = []

    async def look() -> None:
        looks.append(trio.current_time())
        await trio.sleep(1)

    with trio.move_on_after(1000):
        await Rhythm(2.0).keep(look)
    assert 450 <= len(looks) <= 560
    gaps = [after - before for before, after in pairwise(looks)]
    assert min(gaps) >= 1.5
    assert max(gaps) <= 2.5
    assert len(set(gaps)) > 100  # jittered


async def test_a_slow_look_is_followed_by_the_next(autojump_clock: trio.testing.MockClock) -> None:
    looks: list[float] = []

    async def look() -> None:
        looks.append(trio.current_time())
        await trio.sleep(10)

    with trio.move_on_after(100):
        await Rhythm(2.0).keep(look)
    assert 9 <= len(looks) <= 11


async def test_a_look_can_be_hurried_and_made_rarer(
    autojump_clock: trio.testing.MockClock,
) -> None:
    looks: list[float] = []

    async def look() -> None:
        looks.append(trio.current_time())

    rhythm = Rhythm(1.0)
    rhythm.cycles = 100
    async with trio.open_nursery() as nursery:
        nursery.start_soon(rhythm.keep, look)
        await trio.sleep(10)
        assert len(looks) == 1
        rhythm.hurry()
        await trio.sleep(1)
        assert len(looks) == 2
        await trio.sleep(60)
        assert len(looks) == 2
        nursery.cancel_scope.cancel()


async def test_who_was_late_waits_only_for_its_like(
    autojump_clock: trio.testing.MockClock,
) -> None:
    lanes = Lanes(8)
    waited: list[float] = []

    async def hang() -> None:
        async with lanes.place(late=True):
            await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        for _ in range(100):
            nursery.start_soon(hang)
        await trio.testing.wait_all_tasks_blocked()
        for _ in range(6):
            await nursery.start(_hold, lanes, waited)
        nursery.cancel_scope.cancel()
    assert waited == [0.0] * 6


async def _hold(lanes: Lanes, waited: list[float], *, task_status: "trio.TaskStatus[None]") -> None:
    started = trio.current_time()
    async with lanes.place(late=False):
        waited.append(trio.current_time() - started)
        task_status.started()
        await trio.sleep_forever()


async def test_a_proof_is_made_again_rarely(autojump_clock: trio.testing.MockClock) -> None:
    proof = Proof(2.0, 300.0)
    assert proof.is_due()
    proof.succeeded()
    assert proof.holds
    await trio.sleep(224)
    assert not proof.is_due()
    await trio.sleep(152)
    assert proof.is_due()
    assert proof.holds  # until the next one fails
    proof.forget()
    assert proof.is_due()
    assert not proof.holds


async def test_a_proof_that_fails_is_tried_more_and_more_rarely(
    autojump_clock: trio.testing.MockClock,
) -> None:
    proof = Proof(2.0, 300.0)
    attempts = 0
    for _ in range(1200):
        if proof.is_due():
            proof.failed()
            attempts += 1
        await trio.sleep(1)
    assert 8 <= attempts <= 14  # after 2, 4, 8, ... 300 seconds
