"""Free stretches in bounded memory."""

from hypothesis import given
from hypothesis import strategies as st

from imaging.frisbee.disklayout.stretches import Stretches


def collect(pairs: list[tuple[int, int]], minimum: int, limit: int = 1000) -> list[tuple[int, int]]:
    found = Stretches(minimum, limit)
    for pair in pairs:
        found.add(*pair)
    return list(found.finish())


def test_what_touches_is_joined_before_it_is_measured() -> None:
    assert collect([(0, 3), (3, 5), (6, 9), (9, 9), (9, 11), (20, 24)], 5) == [(0, 5), (6, 11)]
    assert collect([(0, 1), (2, 3)], 0) == [(0, 1), (2, 3)]
    assert collect([], 1) == []


def test_of_too_many_the_shortest_are_saved_as_data() -> None:
    pairs = [(10 * place, 10 * place + 1 + place % 9) for place in range(5000)]
    kept = collect(pairs, 1, limit=100)
    assert len(kept) <= 100
    assert set(kept) <= set(pairs)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9))), st.integers(0, 5))
def test_nothing_is_free_that_was_not_added(layout: list[tuple[int, int]], minimum: int) -> None:
    position, pairs = 0, []
    for gap, length in layout:
        pairs.append((position + gap, position + gap + length))
        position += gap + length
    added = {sector for pair in pairs for sector in range(*pair)}
    kept = collect(pairs, minimum, limit=5)
    assert len(kept) <= 5
    assert {sector for pair in kept for sector in range(*pair)} <= added
    assert all(end - begin >= minimum for begin, end in kept)
