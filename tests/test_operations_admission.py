"""How nodes begin: few abreast, and nobody held up by those that are slow."""

import pytest
import trio
import trio.testing

from imaging.operations.admission import ABREAST, PATIENCE_S, Admission, Place


async def test_so_many_begin_at_once_and_the_next_when_one_boots(
    autojump_clock: trio.testing.MockClock,
) -> None:
    admission = Admission()
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
    admission = Admission()
    for _ in range(1000):
        await admission.next()  # and none of them ever boots
    assert trio.current_time() == pytest.approx((1000 - ABREAST) * PATIENCE_S)


async def test_a_place_is_given_back_once(autojump_clock: trio.testing.MockClock) -> None:
    admission = Admission()
    places = [await admission.next() for _ in range(ABREAST)]
    places[0].leave()
    places[0].leave()
    Place().leave()  # of a node that nobody has waited for
    await admission.next()
    began = trio.current_time()
    await admission.next()  # there is none left: a second one would have been given back
    assert trio.current_time() - began == pytest.approx(PATIENCE_S)
