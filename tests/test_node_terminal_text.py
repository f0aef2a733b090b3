"""Escape sequences never reach what commands said, however the bytes are cut."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaging.node.terminal_text import TerminalText


@pytest.mark.parametrize(
    ("shown", "text"),
    [
        (b"plain\r\n", b"plain\n"),
        (b"inetutils\r\0\n", b"inetutils\n"),
        (b"# \x1b[6n", b"# "),
        (b"\x1b[1;31mred\x1b[0m", b"red"),
        (b"\x1b[?2004h$ \x1b[?2004l\rout", b"$ out"),
        (b"\x1b]0;title\x07text", b"text"),
        (b"\x1b]0;title\x1b\\text", b"text"),
        (b"\x1b(Btext\x1b=", b"text"),
    ],
)
def test_what_steers_the_terminal_is_stripped(shown: bytes, text: bytes) -> None:
    assert TerminalText().feed(shown) == text


PIECES = st.sampled_from(
    [
        b"word",
        b"\n",
        b"\r\n",
        b"\r\0",
        b"\x1b[6n",
        b"\x1b[1;31m",
        b"\x1b]0;t\x07",
        b"@@",
        b"[",
        b"6n",
    ]
)


@given(st.lists(PIECES).map(b"".join), st.lists(st.integers(0, 200), max_size=8))
def test_the_text_is_the_same_however_it_is_cut(shown: bytes, cuts: list[int]) -> None:
    whole = TerminalText().feed(shown)
    stream = TerminalText()
    places = sorted({0, len(shown), *(min(cut, len(shown)) for cut in cuts)})
    pieces = [shown[a:b] for a, b in pairwise(places)]
    assert b"".join(map(stream.feed, pieces)) == whole


@given(st.lists(st.binary(max_size=300), max_size=20))
def test_any_bytes_are_taken_and_little_is_held_back(pieces: list[bytes]) -> None:
    stream = TerminalText()
    for piece in pieces:
        assert b"\x1b" not in stream.feed(piece)
        assert len(stream._held) <= 300 + 256
