"""The telnet of the virtual ramdisks, byte by byte."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaging.testbed.telnet import Flavour, TelnetServer

IAC, DONT, DO, WONT, WILL, SB, SE = 255, 254, 253, 252, 251, 250, 240
NAWS = 31


def refuse_all(questions: bytes) -> bytes:
    """What a client without any option answers."""
    answers = bytearray()
    for place in range(0, len(questions), 3):
        _, verb, option = questions[place : place + 3]
        answers += bytes([IAC, WONT if verb == DO else DONT, option])
    return bytes(answers)


def test_busybox_offers_and_goes_on() -> None:
    server = TelnetServer(Flavour.BUSYBOX)
    assert server.greeting() == bytes.fromhex("fffd01 fffd1f fffb01 fffb03")
    assert server.ready


def test_inetutils_asks_and_waits_for_every_answer() -> None:
    server = TelnetServer(Flavour.INETUTILS)
    greeting = server.greeting()
    assert not server.ready
    answers = refuse_all(greeting)
    for place in range(0, len(answers) - 3, 3):
        server.receive(answers[place : place + 3])
    # the last answer is that to a question, not to an offer
    assert not server.ready
    server.receive(answers[-3:])
    assert server.ready
    assert server.start_of_shell() == bytes.fromhex("fffb01 fffb03 fffd1f")


def test_options_that_nobody_offered_are_refused_once() -> None:
    server = TelnetServer(Flavour.BUSYBOX)
    server.greeting()
    assert server.receive(bytes([IAC, DO, 99])).replies == bytes([IAC, WONT, 99])
    assert server.receive(bytes([IAC, WILL, 99])).replies == bytes([IAC, DONT, 99])
    # agreement with what was offered or asked needs no answer, nor does a refusal: no loops
    assert server.receive(bytes([IAC, DO, 1, IAC, WILL, NAWS, IAC, DONT, 9])).replies == b""


def test_the_window_s_size_and_the_text_around_it() -> None:
    server = TelnetServer(Flavour.BUSYBOX)
    server.greeting()
    window = bytes([IAC, SB, NAWS, 0, 132, 0, 50, IAC, SE])
    received = server.receive(b"ab" + window + b"c\r\nd\r\0" + bytes([IAC, IAC]))
    assert received.window == (132, 50)
    assert received.text == b"abc\nd\r\xff"


@pytest.mark.parametrize("flavour", list(Flavour))
def test_a_byte_255_is_doubled(flavour: Flavour) -> None:
    assert TelnetServer(flavour).send(b"a\xffb") == b"a\xff\xffb"


COMMANDS = st.one_of(
    st.binary(max_size=20).map(lambda text: text.replace(b"\xff", b"\xff\xff")),
    st.tuples(st.sampled_from([DO, DONT, WILL, WONT]), st.integers(0, 40)).map(
        lambda pair: bytes([IAC, *pair])
    ),
    st.binary(max_size=10).map(
        lambda data: bytes([IAC, SB, 24]) + data.replace(b"\xff", b"") + bytes([IAC, SE])
    ),
)


@given(st.lists(COMMANDS, max_size=8).map(b"".join), st.lists(st.integers(0, 200), max_size=6))
def test_how_the_input_is_cut_does_not_matter(data: bytes, cuts: list[int]) -> None:
    # a line's end that is cut in two is another line's end for the shell, as with a real telnetd
    data = data.replace(b"\r", b"")
    whole = TelnetServer(Flavour.BUSYBOX)
    expected = whole.receive(data)
    server = TelnetServer(Flavour.BUSYBOX)
    text = replies = b""
    places = sorted(min(cut, len(data)) for cut in cuts)
    for start, stop in zip([0, *places], [*places, len(data)], strict=True):
        received = server.receive(data[start:stop])
        text += received.text
        replies += received.replies
    assert text == expected.text
    assert replies == expected.replies


@given(st.lists(st.binary(max_size=300), max_size=10))
def test_any_input_is_survived(pieces: list[bytes]) -> None:
    server = TelnetServer(Flavour.INETUTILS)
    server.greeting()
    for piece in pieces:
        assert len(server.receive(piece).text) <= len(piece) + 1024
