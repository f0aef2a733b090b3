"""Text in cells: what is visible, and how much of it fits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wcwidth import wcwidth

from imaging.feedback.display.cells import cells, clipped, fitted, visible, wrapped


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("plain", "plain"),
        ("two\nlines\r\n", "two / lines"),
        ("\x1b[31mred\x07\x7f", "\\x1b[31mred\\x07\\x7f"),
        ("tab\tnbsp\xa0", "tab nbsp "),
        ("right\u202eto left", "right\\u202eto left"),
        ("heart \u2764\ufe0f", "heart \u2764"),
        ("\udcff", "\\udcff"),
    ],
)
def test_what_a_terminal_would_obey_is_escaped(text: str, seen: str) -> None:
    assert visible(text) == seen


@given(st.text())
def test_visible_text_is_printable_and_stays_as_it_is(text: str) -> None:
    seen = visible(text)
    assert seen.isprintable()
    assert visible(seen) == seen


def test_a_wide_character_is_not_cut_in_two() -> None:
    assert clipped("a表b", 2) == "a"
    assert fitted("a表b", 2) == "a "
    assert fitted("a表b", 3) == "a表"
    assert cells("e\u0301") == 1
    assert clipped("e\u0301x", 1) == "e\u0301"


@given(st.text().map(visible), st.integers(-1, 50))
def test_what_is_fitted_has_exactly_that_width(text: str, width: int) -> None:
    assert sum(max(wcwidth(c), 0) for c in fitted(text, width)) == max(width, 0)
    assert text.startswith(clipped(text, width))


@given(st.text().map(visible), st.integers(2, 20))
def test_wrapping_loses_nothing(text: str, width: int) -> None:
    lines = wrapped(text, width)
    assert "".join(lines) == text
    assert all(cells(line) <= width for line in lines)
