"""A dialogue as lines, however its data was cut."""

import re

from hypothesis import given
from hypothesis import strategies as st

from imaging.feedback.records.dialogue import Dialogue
from imaging.feedback.wording import time_text

TIME = time_text(0.0)
WORDS = st.lists(st.sampled_from([b"a", b"\r", b"\n", b"\r\n", b"\xc3\xa9", b"\xff", b"\x1b[6n"]))
TEXT = st.one_of(st.binary(max_size=40), WORDS.map(b"".join))


def written(*pieces: tuple[str, bytes], channel: str = "telnet") -> str:
    dialogue = Dialogue()
    text = "".join(dialogue.said(0.0, channel, way, data) for way, data in pieces)
    return text + dialogue.end(0.0)


def lines(*pieces: tuple[str, bytes]) -> list[str]:
    text = written(*pieces)
    assert text.endswith("\n")
    return [line.removeprefix(f"{TIME} ") for line in text[:-1].split("\n")]


@st.composite
def cut(draw: st.DrawFn, data: bytes) -> list[bytes]:
    places = sorted(draw(st.sets(st.integers(0, len(data)))))
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]


@given(st.data(), st.lists(st.tuples(st.sampled_from("<>"), TEXT), max_size=6))
def test_any_cut_gives_the_same_file(data: st.DataObject, turns: list[tuple[str, bytes]]) -> None:
    pieces = [(way, part) for way, text in turns for part in data.draw(cut(text))]
    assert written(*pieces) == written(*turns)


@given(st.lists(st.tuples(st.sampled_from("<>"), TEXT), max_size=6))
def test_every_line_says_when_who_and_nothing_that_a_terminal_obeys(
    turns: list[tuple[str, bytes]],
) -> None:
    text = written(*turns)
    assert text == "" or text.endswith("\n")
    for line in text.split("\n")[:-1]:
        assert line.isprintable()
        assert re.match(re.escape(TIME) + r" [<>] telnet ", line)


def test_a_dialogue() -> None:
    assert lines(
        ("<", b"login banner\r\n# "),
        (">", b"uname\n"),
        ("<", b"una"),
        ("<", b"me\r"),
        ("<", b"\nLin"),
        ("<", b"ux\r\n# "),
    ) == [
        "< telnet login banner",
        "< telnet # ",
        "> telnet uname",
        "< telnet uname",
        "< telnet Linux",
        "< telnet # ",
    ]


def test_what_is_no_text_is_escaped() -> None:
    noise = b"\x1b[6n\0\xff\xc3\xa9\tx\r\r\n"
    assert lines(("<", noise)) == ["< telnet \\x1b[6n\\x00\\xffé\\tx\\r"]
    assert lines(("<", b"cut \xc3"), (">", b"x")) == [r"< telnet cut \xc3", "> telnet x"]
    assert lines(("<", b"back \r"), (">", b"x")) == [r"< telnet back \r", "> telnet x"]


def test_what_is_told_stands_between() -> None:
    dialogue = Dialogue()
    text = dialogue.said(0.0, "telnet", "<", b"# ")
    text += dialogue.told(0.0, "boot\ndone")
    text += dialogue.said(0.0, "telnet", "<", b"more")
    assert text.split("\n") == [
        f"{TIME} < telnet # ",
        f"{TIME} - boot\\ndone",
        f"{TIME} < telnet more",
    ]


def test_nothing_waits_for_the_end_of_its_line() -> None:
    assert Dialogue().said(0.0, "telnet", "<", b"....").endswith(" < telnet ....")


def test_the_time_has_milliseconds() -> None:
    assert time_text(1.9996).endswith(",000")
    assert time_text(1.25).endswith(",250")
