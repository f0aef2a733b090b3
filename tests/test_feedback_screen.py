"""The full screen as a function of board, view and size: golden screens, and rules for all."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaging.errors import Reason
from imaging.feedback.board import Board
from imaging.feedback.display.cells import cells
from imaging.feedback.display.keys import Key
from imaging.feedback.display.rows import Line, Look, by_attention, slowest
from imaging.feedback.display.screen import View, pressed, screen_lines, scrolled, tail_lines
from imaging.feedback.events import NodeFinished, NodeRetried, Noticed, Progressed, StepStarted
from imaging.feedback.outcomes import NodeOutcome, Step
from tests.runs import NOW, START, WIDE, done, failed, run_of, story, transfer

GOLDEN = Path(__file__).parent / "screens"
SIZES = [(40, 12), (80, 24), (200, 60)]


def golden_text(lines: list[Line]) -> str:
    """A screen as it is kept in a file: look, whether it is selected, and what is to be read."""
    rows = (
        f"{line.look.name.lower():8}{'>' if line.selected else '|'}{line.text}" for line in lines
    )
    return "".join(f"{row.rstrip()}\n" for row in rows)


def check_golden(name: str, lines: list[Line]) -> None:
    """Compare with the file; UPDATE_SCREENS=1 writes it, for somebody to look at."""
    file = GOLDEN / f"{name}.txt"
    if os.environ.get("UPDATE_SCREENS"):
        file.write_text(golden_text(lines))
    assert golden_text(lines) == file.read_text()


def screen(board: Board, view: View, width: int, height: int) -> list[Line]:
    view = scrolled(view, board, height)
    return screen_lines(board, view, width, height, NOW, None)


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("count", [1, 8, 37, 1000])
def test_a_run_on_the_screen(count: int, width: int, height: int) -> None:
    lines = screen(run_of(count, *story(count)), View(), width, height)
    check_golden(f"run-{count}-{width}x{height}", lines)


VIEWS = {
    "scrolled": View(selected="fit30"),
    "failures": View(failures_only=True, selected="fit09"),
    "question": View(asking=True),
    "interrupting": View(interrupting=True),
    "notice": View(notice="the frisbee server lost its port, starting another one"),
    "reason": View(transcript="fit09"),
}


@pytest.mark.parametrize(("width", "height"), SIZES[:2])
@pytest.mark.parametrize("name", VIEWS)
def test_what_a_user_may_choose_to_see(name: str, width: int, height: int) -> None:
    lines = screen(run_of(37, *story(37)), VIEWS[name], width, height)
    check_golden(f"{name}-{width}x{height}", lines)


def test_a_transcript_shows_its_end() -> None:
    data = f"one\ntwo \x1b[1m{WIDE}\rthree\n".encode() + b"\xff\x00 last"
    view = View(transcript="fit01")
    lines = screen_lines(run_of(8), view, 60, 8, NOW, tail_lines(data, 8))
    check_golden("transcript-60x8", lines)


def test_a_run_without_image_has_no_columns_of_progress() -> None:
    events = [StepStarted(START, "fit01", Step.SSH), *done("fit02", "on\nand more")]
    check_golden("no-image-60x8", screen(run_of(3, *events, image=None), View(), 60, 8))


steps = st.sampled_from(list(Step))
nodes = st.sampled_from([f"fit{number:02d}" for number in range(1, 6)])
events = st.one_of(
    st.builds(StepStarted, st.floats(0, NOW * 2), nodes, steps),
    st.builds(
        Progressed, st.just(NOW), nodes, st.floats(-1, 2, allow_nan=False), st.integers(0, 2**50)
    ),
    st.builds(Noticed, st.just(NOW), nodes, st.text()),
    st.builds(
        NodeFinished,
        st.just(NOW),
        st.builds(NodeOutcome, nodes, st.none() | st.sampled_from(list(Reason)), steps, st.text()),
    ),
    st.builds(
        NodeRetried,
        st.just(NOW),
        st.builds(NodeOutcome, nodes, st.just(Reason.NO_SSH), steps, st.text()),
    ),
)
views = st.builds(
    View,
    selected=st.none() | nodes,
    top=st.integers(0, 10),
    failures_only=st.booleans(),
    transcript=st.none() | nodes,
    asking=st.booleans(),
    interrupting=st.booleans(),
    notice=st.text(),
)


@given(
    st.lists(events, max_size=30),
    views,
    st.lists(st.sampled_from(list(Key)), max_size=8),
    st.integers(1, 120),
    st.integers(1, 40),
    st.none() | st.binary(),
)
def test_any_board_fits_any_size(
    happened: list[StepStarted],
    view: View,
    keys: list[Key],
    width: int,
    height: int,
    data: bytes | None,
) -> None:
    board = run_of(5, *happened)
    for key in keys:
        view = scrolled(pressed(view, key, board, height), board, height)
    tail = None if data is None else tail_lines(data, height)
    lines = screen_lines(board, view, width, height, NOW, tail)
    assert len(lines) == height
    assert all(cells(line.text) <= width for line in lines)
    assert all(line.text.isprintable() for line in lines)


def test_order_is_by_need_of_attention() -> None:
    board = run_of(
        6,
        *done("fit01"),
        *transfer("fit03", 0.9),
        *transfer("fit04", 0.2),
        StepStarted(START, "fit05", Step.BOOT),
        *failed("fit06", "nothing"),
    )
    assert by_attention(board) == ["fit06", "fit05", "fit04", "fit03", "fit02", "fit01"]
    assert by_attention(board, failures_only=True) == ["fit06"]
    assert slowest(board, 2) == ["fit05", "fit04"]


def test_small_progress_moves_no_row() -> None:
    before = run_of(2, *transfer("fit01", 0.51), *transfer("fit02", 0.52))
    after = run_of(2, *transfer("fit01", 0.58), *transfer("fit02", 0.53))
    assert by_attention(before) == by_attention(after) == ["fit01", "fit02"]


def test_a_node_that_starts_again_says_why() -> None:
    outcome = NodeOutcome("fit01", Reason.STALLED, Step.TRANSFER, "fit01: no progress")
    (row,) = [
        line
        for line in screen(run_of(1, NodeRetried(NOW, outcome)), View(), 80, 10)
        if line.text.startswith("fit01")
    ]
    assert row.look is Look.PLAIN
    assert "attempt 2: transfer: stalled: no progress" in row.text


def test_keys_move_the_selection_and_the_screen_follows() -> None:
    board, view = run_of(30), View()
    for keys, selected, top in [
        ([Key.DOWN], "fit01", 0),
        ([Key.DOWN, Key.DOWN], "fit03", 0),
        ([Key.PAGE_DOWN], "fit10", 3),
        ([Key.UP], "fit09", 3),
        ([Key.END], "fit30", 23),
        ([Key.DOWN], "fit30", 23),
        ([Key.PAGE_UP], "fit23", 22),
        ([Key.HOME], "fit01", 0),
        ([Key.UP], "fit01", 0),
    ]:
        for key in keys:
            view = scrolled(pressed(view, key, board, 12), board, 12)
        assert (view.selected, view.top) == (selected, top), keys


def test_q_asks_and_only_an_answer_takes_the_question_away() -> None:
    board = run_of(3)
    asking = pressed(View(), Key.QUIT, board, 12)
    assert asking.asking
    assert pressed(asking, Key.DOWN, board, 12) == asking
    assert pressed(asking, Key.NO, board, 12) == View()
    assert pressed(asking, Key.ESCAPE, board, 12) == View()
    assert not pressed(View(interrupting=True), Key.QUIT, board, 12).asking


def test_enter_shows_a_transcript_and_escape_goes_back() -> None:
    board = run_of(3)
    entered = pressed(View(selected="fit02"), Key.ENTER, board, 12)
    assert entered.transcript == "fit02"
    assert pressed(entered, Key.DOWN, board, 12) == entered
    assert pressed(entered, Key.ESCAPE, board, 12).transcript is None
    assert pressed(View(), Key.ENTER, board, 12).transcript == "fit01"
    assert pressed(View(failures_only=True), Key.ENTER, board, 12).transcript is None
