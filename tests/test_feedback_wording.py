"""Sizes for people, and foreign text that a terminal can bear."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaging.feedback.wording import age_text, human_size, printable


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1024**2 - 1, "1.0 MiB"),
        (5 * 1024**3 // 2, "2.5 GiB"),
        (1024**4 - 1, "1.0 TiB"),
        (3000 * 1024**6, "3000.0 EiB"),
    ],
)
def test_sizes(size: int, words: str) -> None:
    assert human_size(size) == words


@given(st.integers(0, 2**63))
def test_a_size_is_short_and_near(size: int) -> None:
    words = human_size(size)
    assert len(words) <= len("1023.9 KiB")
    number, unit = words.split()
    factor = 1024 ** ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"].index(unit)
    assert float(number) * factor == pytest.approx(size, rel=0.06)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("fedora-40", "fedora-40"),
        ("été 東", "été 東"),
        ("a\nb", r"a\nb"),
        ("\x1b[31m", r"\x1b[31m"),
        ("\u202egpj", r"\u202egpj"),
        (b"\xff".decode(errors="surrogateescape"), r"\xff"),
    ],
)
def test_what_a_terminal_could_obey_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text())
def test_nothing_unprintable_is_left(text: str) -> None:
    assert printable(text).isprintable()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"), (119.9, "119 s"), (120, "2 min"), (7199, "119 min"), (7200, "2 h"),
        (86400, "24 h"), (172800, "2 days"), (1e8, "1157 days"),
    ],
)  # fmt: skip
def test_ages(seconds: float, text: str) -> None:
    assert age_text(seconds) == text
