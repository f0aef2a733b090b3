"""A command's output is found between markers, whatever surrounds it on the terminal."""

import os
import pty
import re
import select
import shlex
import shutil
import subprocess
import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaging.node.markers import CommandEnd, MarkedCommand
from imaging.node.terminal_text import TerminalText

NONCE = "0123456789abcdef"
BEGIN, END = "@@0123456789abcdef:begin@@", "@@0123456789abcdef:end:{}@@"


def shown(output: str, status: int = 0, before: str = "", after: str = "# ") -> bytes:
    """What a terminal shows for a command typed at a prompt, carriage returns stripped."""
    typed = MarkedCommand("cmd", NONCE).typed.decode()
    text = f"{before}# {typed}\n{BEGIN}\n{output}\n{END.format(status)}\n{after}"
    return text.encode()


def test_the_typed_line_holds_no_marker() -> None:
    typed = MarkedCommand("frisbee -i 1.2.3.4", NONCE).typed
    assert BEGIN.encode() not in typed
    assert re.search(rb"@@0123456789abcdef", typed) is None


def test_a_command_of_two_lines_is_refused() -> None:
    with pytest.raises(ValueError, match="one line"):
        MarkedCommand("true\nreboot")


def test_output_and_status_are_found_between_prompt_and_echo() -> None:
    command = MarkedCommand("cmd", NONCE)
    output, end = command.feed(shown("hello\n", status=3, before="Debian\nlogin stuff\n"))
    assert (output, end) == (b"hello\n", CommandEnd(3))


def test_output_comes_before_the_end_does() -> None:
    command = MarkedCommand("cmd", NONCE)
    assert command.feed(f"\n{BEGIN}\n.....".encode()) == (b".....", None)
    assert command.feed(b"...") == (b"...", None)


def test_a_marker_without_its_line_is_output() -> None:
    command = MarkedCommand("cmd", NONCE)
    text = f"\n{BEGIN}\nfake {END.format(0)}\n{END.format(0)} fake\n{END.format(999)}\n".encode()
    _, end = command.feed(text)
    assert end is None
    _, end = command.feed(f"\n{END.format(1)}\n".encode())
    assert end == CommandEnd(1)


@given(
    st.text(alphabet="ab.\n@:0d", max_size=60),
    st.integers(0, 255),
    st.lists(st.integers(0, 400), max_size=10),
)
def test_any_split_gives_the_same_output(output: str, status: int, cuts: list[int]) -> None:
    stream = shown(output, status)
    places = sorted({0, len(stream), *(min(cut, len(stream)) for cut in cuts)})
    command = MarkedCommand("cmd", NONCE)
    collected, end = b"", None
    for a, b in pairwise(places):
        if end is None:
            piece, end = command.feed(stream[a:b])
            collected += piece
    assert end == CommandEnd(status)
    assert collected.decode() == output


@given(st.lists(st.binary(max_size=200), max_size=20))
def test_noise_is_neither_an_end_nor_kept(pieces: list[bytes]) -> None:
    command = MarkedCommand("cmd")
    for piece in pieces:
        assert command.feed(piece) == (b"", None)
        assert len(command._pending) < 200


SHELLS = [["sh"], ["dash"], ["bash", "--norc"], ["busybox", "ash"]]


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
@pytest.mark.parametrize("columns", [80, 20])
def test_real_shells_on_a_terminal(shell: list[str], columns: int) -> None:
    if shutil.which(shell[0]) is None:
        pytest.skip(f"{shell[0]} is not installed")
    words = ["printf", "%s|", "a b", "it's", '"$HOME"', "\\n", "*", "@@", "x" * 150]
    command = MarkedCommand(f"{shlex.join(words)}; (exit 7)")
    screen = run_on_terminal(shell, columns, command)
    assert screen == ('a b|it\'s|"$HOME"|\\n|*|@@|' + "x" * 150 + "|", 7)


def run_on_terminal(shell: list[str], columns: int, command: MarkedCommand) -> tuple[str, int]:
    """Type a command at an interactive shell, at once and without looking at its prompt."""
    import fcntl
    import struct
    import termios

    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {**os.environ, "TERM": "vt100", "PS1": "[\\u@\\h \\w]# "}
    process = subprocess.Popen(
        [*shell, "-i"], stdin=slave, stdout=slave, stderr=slave,
        start_new_session=True, env=environment,
    )  # fmt: skip
    os.close(slave)
    text, collected, end = TerminalText(), b"", None
    deadline = time.monotonic() + 10
    try:
        os.write(master, command.typed)
        while end is None:
            ready, _, _ = select.select([master], [], [], deadline - time.monotonic())
            assert ready, f"no end of the command within 10 s: {collected!r}"
            piece, end = command.feed(text.feed(os.read(master, 4096)))
            collected += piece
    finally:
        process.kill()
        process.wait()
        os.close(master)
    return collected.decode(), end.status
