"""The inline region: what it shows as a function, and what an emulated terminal makes of it."""

import os
import pty
import select
from collections.abc import Iterator
from dataclasses import dataclass

import pyte
import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from imaging.feedback.board import Board
from imaging.feedback.display.cells import cells
from imaging.feedback.display.inline import InlineDisplay, frame, region_lines
from imaging.feedback.display.terminal import Escapes, Output
from imaging.feedback.results import Detail
from tests.runs import NOW, done, failed, run_of, story, transfer

ESCAPES = Escapes(up="\x1b[A", clear_line="\x1b[K", clear_below="\x1b[J")


def test_the_region_shows_the_whole_and_the_slowest() -> None:
    board = run_of(
        5,
        *done("fit01"),
        *transfer("fit02", 0.9),
        *transfer("fit03", 0.25),
        *transfer("fit04", 0.5),
        *transfer("fit05", 0.5),
    )
    assert region_lines(board, NOW, 79, 23) == [
        "[##########-------]  63%  done 1/5  running 4  transfer 4",
        "0:42 elapsed  timeout in 14:18  2.9 MiB/s each  0:36 left  201.6 MiB in all",
        "fit03 transfer  0:12 [####--------------]  25%   1.3 MiB/s",
        "fit04 transfer  0:12 [#########---------]  50%   2.7 MiB/s",
        "fit05 transfer  0:12 [#########---------]  50%   2.7 MiB/s",
    ]
    assert len(region_lines(board, NOW, 79, 3)) == 3


@given(st.integers(1, 40), st.integers(1, 150), st.integers(0, 30))
def test_the_region_fits_any_size(count: int, width: int, height: int) -> None:
    lines = region_lines(run_of(count, *story(count)), NOW, width, height)
    assert 1 <= len(lines) <= max(height, 1)
    assert all(cells(line) <= width and line.isprintable() for line in lines)


def test_a_frame_leaves_the_cursor_at_its_beginning_and_all_lines_above_it() -> None:
    screen = pyte.Screen(20, 6)
    stream = pyte.Stream(screen)
    screen.set_mode(pyte.modes.LNM)  # a terminal's driver makes \r\n of \n
    for number in range(9):
        told = [f"told {number}"] if number % 2 else []
        stream.feed(frame(told, [f"region {number}", "x" * (number % 3), "end"], ESCAPES))
        assert (screen.cursor.y, screen.cursor.x) == (min(len(told) + number // 2, 3), 0)
    shown = [line.rstrip() for line in screen.display]
    assert shown == ["told 3", "told 5", "told 7", "region 8", "xx", "end"]


@dataclass
class Drawn:
    """A display on a pseudo-terminal that can be read."""

    display: InlineDisplay
    board: Board
    master: int

    def read(self) -> str:
        data = b""
        # the kernel brings what was written piece by piece
        while select.select([self.master], [], [], 0.05 if data else 1.0)[0]:
            data += os.read(self.master, 65536)
        return data.decode()


@pytest.fixture
def terminals() -> Iterator[tuple[int, int]]:
    """Both ends of a pseudo-terminal; it says that it has no size."""
    master, slave = pty.openpty()
    yield master, slave
    os.close(master)
    os.close(slave)


def drawn(terminals: tuple[int, int], escapes: Escapes | None, board: Board) -> Drawn:
    """A display of the board in that terminal."""
    output = Output(terminals[1], "utf-8")
    return Drawn(InlineDisplay(board, output, escapes, Detail.MILESTONES), board, terminals[0])


async def run_for_a_moment(display: InlineDisplay) -> None:
    with trio.move_on_after(0.05):
        await display.run()


async def test_at_its_end_the_cursor_is_below(terminals: tuple[int, int]) -> None:
    board = run_of(2, *failed("fit01", "no \x1b[31m telnet"))
    shown = drawn(terminals, ESCAPES, board)
    for event in failed("fit01", "no \x1b[31m telnet"):
        shown.display.take(event)
    await run_for_a_moment(shown.display)
    screen = pyte.Screen(80, 24)
    pyte.Stream(screen).feed(shown.read())
    lines = [line.rstrip() for line in screen.display]
    assert lines[0] == "fit01: FAILED at boot (no-telnet): no \\x1b[31m telnet"
    assert lines[1].startswith("[")
    assert (screen.cursor.y, screen.cursor.x) == (3, 0)


async def test_without_escapes_there_are_none(terminals: tuple[int, int]) -> None:
    shown = drawn(terminals, None, run_of(2))
    await run_for_a_moment(shown.display)
    text = shown.read()
    assert "\x1b" not in text
    assert text.startswith("\r[----")
    assert all(len(line) < 80 for line in text.split("\r"))


async def test_something_else_can_be_printed(terminals: tuple[int, int]) -> None:
    shown = drawn(terminals, ESCAPES, run_of(1))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(shown.display.run)
        await trio.testing.wait_all_tasks_blocked()
        shown.read()
        shown.display.clear()
        assert shown.read() == "\r\x1b[J"
        shown.display.clear()
        os.write(terminals[1], b"+")
        assert shown.read() == "+"
        nursery.cancel_scope.cancel()


async def test_a_terminal_that_is_gone_fails_nothing() -> None:
    master, slave = pty.openpty()
    display = InlineDisplay(run_of(2), Output(slave, "utf-8"), ESCAPES, Detail.MILESTONES)
    os.close(master)
    await run_for_a_moment(display)
    os.close(slave)
