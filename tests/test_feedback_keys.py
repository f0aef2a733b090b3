"""Keys out of what a terminal sends."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaging.feedback.display.keys import Key, decode


@pytest.mark.parametrize(
    ("sent", "keys"),
    [
        ("jkfqyn", [Key.DOWN, Key.UP, Key.FAILURES, Key.QUIT, Key.YES, Key.NO]),
        ("\x1b[A\x1b[B\x1bOA\x1bOB", [Key.UP, Key.DOWN, Key.UP, Key.DOWN]),
        ("\x1b[5~\x1b[6~", [Key.PAGE_UP, Key.PAGE_DOWN]),
        ("\x1b[H\x1b[F\x1bOH\x1b[1~\x1b[4~", [Key.HOME, Key.END, Key.HOME, Key.HOME, Key.END]),
        ("\x1b[1;5A", [Key.UP]),
        ("\r\n", [Key.ENTER, Key.ENTER]),
        ("\x1b", [Key.ESCAPE]),
        ("\x1b[?62;c\x1b[12;40R\x1b[200~x", []),  # answers and keys that are none of ours
    ],
)
def test_keys(sent: str, keys: list[Key]) -> None:
    assert decode(sent, final=True) == (keys, "")


def test_a_sequence_may_come_in_pieces() -> None:
    assert decode("j\x1b", final=False) == ([Key.DOWN], "\x1b")
    assert decode("\x1b[", final=False) == ([], "\x1b[")
    assert decode("\x1b[1;5", final=False) == ([], "\x1b[1;5")
    assert decode("\x1b[1;5B", final=False) == ([Key.DOWN], "")


@given(st.text(alphabet="\x1b[O;~15ABjq\r\x00é"), st.integers(0, 20))
def test_any_input_is_taken(text: str, cut: int) -> None:
    keys, rest = decode(text[:cut], final=False)
    more, left = decode(rest + text[cut:], final=True)
    assert left == ""
    assert all(isinstance(key, Key) for key in keys + more)
