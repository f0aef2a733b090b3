"""Results as Markdown, and the page that they are written into."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.bench.tables import Table, number, render, section, with_section

TABLE = Table("Speed", ["tool", "s"], [["ours", "1.25"], ["a|b", "10"]], ["On a quiet day."])


def test_a_table() -> None:
    assert render(TABLE) == (
        "### Speed\n"
        "\n"
        "| tool | s    |\n"
        "|------|------|\n"
        "| ours | 1.25 |\n"
        "| a\\|b | 10   |\n"
        "\n"
        "On a quiet day.\n"
    )


def test_a_section_takes_the_place_of_the_one_before() -> None:
    first = section("speed", "Speed", "Machine A.", [TABLE])
    other = section("size", "Size", "Machine A.", [])
    page = with_section(with_section("# Page\n\nWords.\n", "speed", first), "size", other)
    again = section("speed", "Speed", "Machine B, \\1.", [TABLE])
    changed = with_section(page, "speed", again)
    assert changed == page.replace(first, again)
    assert changed.startswith("# Page\n\nWords.\n\n<!-- speed: ")
    assert changed.count("\n## Speed\n") == 1
    assert with_section(changed, "speed", first) == page


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.00123456, "0.00123"),
        (0.5, "0.500"),
        (1.2345, "1.23"),
        (12.345, "12.3"),
        (123.45, "123"),
        (12345.6, "12346"),
        (-1.2345, "-1.23"),
    ],
)
def test_numbers_have_three_digits(value: float, text: str) -> None:
    assert number(value) == text


@given(st.floats(min_value=1e-6, max_value=1e9))
def test_a_number_is_nearly_itself(value: float) -> None:
    assert float(number(value)) == pytest.approx(value, rel=0.006)
