"""Medians and ratios of runs that took turns."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.bench.statistics import (
    Sample,
    Usage,
    cpu_per_gigabyte,
    median_of,
    pair_ratio,
    together,
    walls,
)

SECONDS = st.floats(min_value=1e-3, max_value=1e4)


def sample(wall_s: float, cpu_s: float = 1.0) -> Sample:
    return Sample(wall_s, {"tool": Usage(cpu_s, 5_000_000)})


def test_processes_of_one_role_are_taken_together() -> None:
    usage = together([Usage(1.5, 10), Usage(2.0, 30), Usage(0.5, 20)])
    assert usage == Usage(4.0, 30)


def test_a_ratio_is_taken_pair_by_pair() -> None:
    # the machine was twice as slow in the second round: that changes no ratio
    assert pair_ratio([2.0, 4.0, 2.2], [1.0, 2.0, 1.0]) == 2.0


@given(st.lists(st.tuples(SECONDS, st.floats(min_value=0.1, max_value=10)), min_size=1))
def test_whatever_the_machine_does_to_both_of_a_pair_does_not_show(
    rounds: list[tuple[float, float]],
) -> None:
    under = [base * mood for base, mood in rounds]
    over = [3 * value for value in under]
    assert pair_ratio(over, under) == pytest.approx(3)


def test_what_is_no_pair_has_no_ratio() -> None:
    with pytest.raises(ValueError, match="2 and 1 runs are no pairs"):
        pair_ratio([1.0, 2.0], [1.0])
    with pytest.raises(ValueError, match="no run, no median"):
        median_of([])


def test_cpu_for_each_gigabyte() -> None:
    samples = [sample(1.0, 0.5), sample(2.0, 0.25)]
    assert cpu_per_gigabyte(samples, "tool", 250_000_000) == [2.0, 1.0]
    assert walls(samples) == [1.0, 2.0]
