"""Which ratios have become worse."""

import pytest

from tests.bench.ratios import compare, dump, load, verdict

BEFORE = {"images": {"zip": 4.0, "unzip": 2.0}, "pacing": {"kept": 1.0}}


def worse(now: dict[str, dict[str, float]]) -> list[str]:
    return [comparison.name for comparison in compare(BEFORE, now) if comparison.is_worse]


def test_a_quarter_less_is_chance_and_more_is_not() -> None:
    assert worse({"images": {"zip": 3.01, "unzip": 1.51}}) == []
    assert worse({"images": {"zip": 2.99, "unzip": 9.0}}) == ["zip"]


def test_what_is_not_measured_any_more_is_worse() -> None:
    assert worse({"images": {"zip": 4.0}}) == ["unzip"]


def test_parts_that_were_not_run_do_not_count_and_new_ratios_are_told() -> None:
    found = compare(BEFORE, {"images": {"zip": 4.0, "unzip": 2.0, "save": 1.0}})
    assert [verdict(comparison) for comparison in found] == [
        "fine  images: zip: 4.00 before, 4.00 now",
        "fine  images: unzip: 2.00 before, 2.00 now",
        "new   images: save: none before, 1.00 now",
    ]
    (lost,) = compare({"images": {"zip": 4.0}}, {"images": {}})
    assert verdict(lost) == "WORSE images: zip: 4.00 before, none now"


def test_a_file_of_ratios_is_read_as_it_was_written() -> None:
    text = dump({"b": {"y": 1.23456}, "a": {"x": 0.00123456}})
    assert load(text) == {"a": {"x": 0.00123}, "b": {"y": 1.23}}
    assert text.index('"a"') < text.index('"b"')
    with pytest.raises(ValueError, match="no JSON object"):
        load("[]")
