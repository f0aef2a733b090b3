"""Whatever a node sends, on its console or by its power card, is a result or an error of ours.

None of it may take long or be kept: one node's noise must not hold up the others.
"""

import shlex
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from imaging.errors import NodeError, Reason
from imaging.frisbee.dialect import ClientDialect, Progress
from imaging.node.markers import MarkedCommand
from imaging.node.power.asking import Asking
from imaging.node.power.cmc import CmcCard
from imaging.node.ramdisk import (
    NETCAT_OPTIONS,
    Inspection,
    SaveOutput,
    client_script,
    inspection_script,
    parse_inspection,
    save_script,
)
from imaging.node.terminal_text import TerminalText

NONCE = "0123456789abcdef"
HUGE = "9" * 5000  # digits; int() of text refuses more than 4300
READ = 60_000  # characters: what one read may bring

# what the parsers look for, whole, halved and with numbers of any size
WORDS = st.sampled_from(
    [
        "Joined the team after 1 sec. ID is 7. File is ",
        " chunks (",
        " bytes)",
        "Progress: ",
        "%",
        "Wrote ",
        " bytes (",
        " actual)",
        "Left the team",
        "Image size: ",
        " bytes",
        "pipe imagezip ",
        "pipe netcat ",
        "uptime ",
        "bytes ",
        "sectors ",
        "." * 67,
        "s",
        "z",
        "\r",
        "\n",
        "\0",
        " ",
        "-",
        ".",
        "\x1b[",
        "\u0663",
        "\x85",
    ]
)
NUMBERS = st.integers(0, 10**40).map(str) | st.just(HUGE)
TEXTS = st.lists(st.lists(WORDS | NUMBERS | st.text(max_size=8), max_size=12).map("".join))

JOINED = "Joined the team after 1 sec. ID is 7. File is {} chunks ({} bytes)\n"


@given(TEXTS)
def test_any_console_of_a_client_is_taken(pieces: list[str]) -> None:
    dialect = ClientDialect()
    told = [event for piece in pieces for event in dialect.feed(piece)]
    fractions = [event.fraction for event in told if isinstance(event, Progress)]
    assert all(0 < fraction <= 1 for fraction in fractions)
    assert len(dialect.last_words) <= 3 * 203


@given(TEXTS)
def test_any_console_of_a_save_is_taken(pieces: list[str]) -> None:
    output = SaveOutput()
    for piece in pieces:
        output.feed(piece)
    assert output.statuses.keys() <= {"imagezip", "netcat"}
    assert len(output.last_words) <= 3 * 203


@given(st.lists(WORDS | NUMBERS).map("".join))
def test_any_inspection_is_read(output: str) -> None:
    inspection = parse_inspection(output)
    assert inspection.uptime_s is None or inspection.uptime_s >= 0
    assert inspection.disk_size is None or 0 < inspection.disk_size < 512 * 10**18


def test_numbers_that_no_client_prints_are_words() -> None:
    dialect = ClientDialect()
    assert dialect.feed(JOINED.format(HUGE, 1)) == []
    assert dialect.feed(JOINED.format(1, HUGE)) == []
    dialect.feed(JOINED.format(1, 1))
    assert dialect.feed("." * 67 + f" 1 -{HUGE[:4000]}\n") == [Progress(1.0)]


@pytest.mark.parametrize(
    "line",
    [
        "." + " " * READ + "x",
        "." + "1" * READ + "x",
        "." * READ + " " * READ + "x",
        "9" * READ + " input",
        "  Slice 1 is " + "NOT SAVIN " * (READ // 10),
        ". " * (READ // 2),
        "\r" * READ,
    ],
)
def test_a_long_line_takes_no_time(line: str) -> None:
    started = time.process_time()
    for _ in range(3):
        ClientDialect().feed(f"{line}\n")
        SaveOutput().feed(f"{line}\n")
        parse_inspection(line)
    assert time.process_time() - started < 1


BEGIN, END = f"\n@@{NONCE}:begin@@\n".encode(), f"\n@@{NONCE}:end:".encode()
SHOWN = st.lists(
    st.sampled_from(
        [BEGIN, END, b"0@@\n", b"999@@\n", b"\x1b[", b"\x1b]", b"\xff\xfb\x01", b"\r\0"]
    )
    | st.binary(max_size=300),
    max_size=30,
)


@given(SHOWN)
def test_any_terminal_is_read_and_little_is_kept(pieces: list[bytes]) -> None:
    text, command = TerminalText(), MarkedCommand("true", NONCE)
    taken = given_away = 0
    for piece in pieces:
        taken += len(piece)
        output, end = command.feed(text.feed(piece))
        given_away += len(output)
        assert end is None or 0 <= end.status <= 255
        assert len(text._held) <= 300 + 256
        if end is None:
            assert len(command._pending) < 100 + 300 + 256
    assert given_away <= taken


def test_a_flood_takes_no_time_and_no_memory() -> None:
    started = time.process_time()
    for flood in (b"x", b"\n", b"\x1b", b"\x1b]", b"\x1b[0", b"@@", END):
        text, command = TerminalText(), MarkedCommand("true", NONCE)
        command.feed(BEGIN)
        for _ in range(20):
            command.feed(text.feed(flood * (READ // len(flood))))
        assert len(text._held) + len(command._pending) < 1000
    assert time.process_time() - started < 3


Send = Callable[[bytes], None]


@asynccontextmanager
async def card() -> AsyncIterator[tuple[CmcCard, Send]]:
    """A card, and what sets the bytes that it sends next, whatever it is asked."""
    answer = b""

    async def handle(stream: trio.SocketStream) -> None:
        with suppress(trio.BrokenResourceError):
            await stream.receive_some(4096)
            await stream.send_all(answer)
        await stream.aclose()

    def set_answer(data: bytes) -> None:
        nonlocal answer
        answer = data

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, handle, 0, host="127.0.0.1"))
        port = listeners[0].socket.getsockname()[1]
        asking = Asking("fit01", f"its CMC 127.0.0.1:{port}", 1, 0.5, 0.001)
        yield CmcCard("127.0.0.1", port, asking), set_answer
        nursery.cancel_scope.cancel()


async def ask_all(answers: Sequence[bytes]) -> None:
    async with card() as (cmc, set_answer):
        for answer in answers:
            set_answer(answer)
            for ask in (cmc.status, cmc.turn_on, cmc.info):
                try:
                    told = await ask()
                except NodeError as error:
                    assert error.reason in (Reason.NO_CMC, Reason.POWER_REFUSED)
                    assert str(error).isprintable()
                else:
                    assert told is None or len(str(told)) <= 4096


STATUS_LINES = st.sampled_from(
    [
        b"HTTP/1.1 200 OK",
        b"HTTP/1.0 200",
        b"HTTP/1.1 101 x",
        b"HTTP/1.1 302 x",
        b"HTTP/1.1 999 x",
        b"HTTP/1.1 100 x",
        b"HTTP/1.1 204 x",
        b"HTTP/9.9 200 x",
        b"ok",
        b"\x16\x03\x01",
    ]
)
HEADERS = st.tuples(
    st.sampled_from(
        [
            b"Location",
            b"Set-Cookie",
            b"Content-Length",
            b"Transfer-Encoding",
            b"Content-Encoding",
            b"Content-Type",
            b"Connection",
            b"Upgrade",
            b"X",
            b"",
        ]
    ),
    st.sampled_from(
        [
            b"chunked",
            b"gzip",
            b"-1",
            b"9" * 30,
            b"http://[",
            b"//\xff",
            b"http://x:y/",
            b"http://\xc3\xa9..x/",
            b"a=b; expires=x",
            b"close",
            b"websocket",
        ]
    )
    | st.binary(max_size=20),
).map(b": ".join)
BODIES = st.sampled_from(
    [
        b"on",
        b"ok",
        b"OFF\r\n",
        b"2\r\nok\r\n0\r\n\r\n",
        b"fffffffffffffffff\r\n",
        b"\x1b[2J",
        b"x" * 9000,
    ]
) | st.binary(max_size=50)
ANSWERS = st.builds(
    lambda status, headers, body: b"\r\n".join([status, *headers, b"", body]),
    STATUS_LINES,
    st.lists(HEADERS, max_size=3),
    BODIES,
) | st.binary(max_size=60)


@settings(max_examples=40, deadline=None)
@given(st.lists(ANSWERS, max_size=12))
def test_any_answer_of_a_card_is_an_answer_or_a_reason(answers: list[bytes]) -> None:
    trio.run(ask_all, answers)


async def test_a_cookie_is_not_sent_back() -> None:
    """What cannot be a header would fail the next request, and with it the run of all nodes."""
    answer = b"HTTP/1.1 200 OK\r\nSet-Cookie: \x80\r\nContent-Length: 2\r\n\r\nok"
    async with card() as (cmc, set_answer):
        set_answer(answer)
        await cmc.turn_on()
        await cmc.turn_off()


SHELLS = [shell for shell in ("sh", "dash", "bash") if shutil.which(shell)]
ARGUMENTS = st.text(
    st.characters(codec="utf-8", exclude_characters="\0") | st.sampled_from("'\"\\$`;&|<>*?~#! \t"),
    min_size=1,
    max_size=20,
)
# what tells its words apart, whatever they are; to be a word of a command, it is quoted by itself
TELL = """printf '<%s>' "$@" """


def run_in(shell: str, script: str) -> bytes:
    done = subprocess.run([shell, "-c", script], capture_output=True, check=True, timeout=10)
    return done.stdout


def told(words: Sequence[str]) -> bytes:
    return "".join(f"<{word}>" for word in words).encode()


@pytest.mark.parametrize("shell", SHELLS)
@settings(max_examples=20, deadline=None)
@given(words=st.lists(ARGUMENTS, max_size=3), disk=ARGUMENTS)
def test_the_clients_words_arrive_unharmed(shell: str, words: list[str], disk: str) -> None:
    command = ["sh", "-c", TELL, "sh", *words]
    script = client_script(command, address="10.0.0.1", group="239.1.2.3", port=7, disk=disk)
    expected = [*words, "-i", "10.0.0.1", "-m", "239.1.2.3", "-p", "7", disk]
    assert run_in(shell, script) == told(expected)


@pytest.mark.parametrize("shell", SHELLS)
@settings(max_examples=20, deadline=None)
@given(
    words=st.lists(ARGUMENTS, max_size=3),
    disk=ARGUMENTS,
    flavour=st.sampled_from([*NETCAT_OPTIONS]),
)
def test_a_saves_words_arrive_unharmed(
    shell: str, words: list[str], disk: str, flavour: str
) -> None:
    # the first one's words go through the pipe, the second one's follow them
    command = ["sh", "-c", TELL, "sh", *words]
    netcat = ["sh", "-c", f"cat; {TELL}", "sh", *words]
    script = save_script(command, netcat, flavour, disk=disk, address="10.0.0.1", port=7)
    data = run_in(shell, script)
    output = SaveOutput()
    output.feed(data.decode())
    assert output.statuses == {"imagezip": 0, "netcat": 0}
    for line in (b"pipe imagezip 0.\n", b"pipe netcat 0.\n"):
        assert data.count(line) == 1
        data = data.replace(line, b"")
    options = NETCAT_OPTIONS[flavour]
    expected = told([*words, disk, "-"]) + told([*words, *options, "10.0.0.1", "7"])
    # bash writes the newline before a status by itself, at times amid what netcat says
    assert data.replace(b"\n", b"") == expected.replace(b"\n", b"")


@pytest.mark.parametrize("shell", SHELLS)
@settings(max_examples=20, deadline=None)
@given(disk=ARGUMENTS)
def test_a_disks_name_is_inspected_unharmed(shell: str, disk: str) -> None:
    # a blockdev of the shell's own, that tells the name, and its length as the size
    blockdev = """blockdev() { printf '<%s>' "$2" >&3; printf %s "$2" | wc -c | tr -d ' '; }; """
    data = run_in(shell, f"{{ {blockdev}{inspection_script(disk)}; }} 3>&1")
    assert data.count(told([disk])) == 1
    inspection = parse_inspection(data.replace(told([disk]), b"").decode())
    assert inspection.uptime_s is not None
    assert inspection == Inspection(inspection.uptime_s, len(disk.encode()))


def test_a_word_is_quoted_once() -> None:
    script = client_script(["a b"], address="1", group="2", port=3, disk="c'd")
    assert shlex.split(script) == ["a b", "-i", "1", "-m", "2", "-p", "3", "c'd"]
