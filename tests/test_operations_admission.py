"""How nodes begin: few abreast, and nobody held up by those that are slow."""

import itertools

import pytest
import trio
import trio.testing

from imaging.operations.admission import Admission, Place

ABREAST, PATIENCE_S = 3, 0.5


async def test_so_many_begin_at_once_and_the_next_when_one_boots(
    autojump_clock: trio.testing.MockClock,
) -> None:
    admission = Admission(ABREAST, PATIENCE_S)
    places = [await admission.next() for _ in range(ABREAST)]
    assert trio.current_time() == pytest.approx(0)

    async def boot() -> None:
        await trio.sleep(PATIENCE_S / 2)
        places[0].leave()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(boot)
        await admission.next()
    assert trio.current_time() == pytest.approx(PATIENCE_S / 2)


async def test_a_thousand_dead_cards_hold_nobody_up_for_long(
    autojump_clock: trio.testing.MockClock,
) -> None:
    admission = Admission(ABREAST, PATIENCE_S)
    for _ in range(1000):
        await admission.next()  # and none of them ever boots
    assert trio.current_time() == pytest.approx((1000 - ABREAST) * PATIENCE_S)


async def test_a_place_is_given_back_once(autojump_clock: trio.testing.MockClock) -> None:
    admission = Admission(ABREAST, PATIENCE_S)
    places = [await admission.next() for _ in range(ABREAST)]
    places[0].leave()
    places[0].leave()
    Place().leave()  # of a node that nobody has waited for
    await admission.next()
    began = trio.current_time()
    await admission.next()  # there is none left: a second one would have been given back
    assert trio.current_time() - began == pytest.approx(PATIENCE_S)


async def test_who_comes_first_is_the_next_however_many_wait(
    autojump_clock: trio.testing.MockClock,
) -> None:
    admission = Admission(ABREAST, PATIENCE_S)
    entered: list[tuple[int, float]] = []

    async def work(number: int) -> None:
        place = await admission.next()
        entered.append((number, trio.current_time()))
        await trio.sleep(100 if number < ABREAST else PATIENCE_S / 5)  # the first ones are slow
        place.leave()

    async with trio.open_nursery() as nursery:
        for number in range(ABREAST + 3):
            nursery.start_soon(work, number)
            await trio.sleep(PATIENCE_S / 100)
    assert [number for number, _ in entered] == list(range(ABREAST + 3))
    waits = [later - earlier for (_, earlier), (_, later) in itertools.pairwise(entered[ABREAST:])]
    assert waits == pytest.approx([PATIENCE_S] * 2)
