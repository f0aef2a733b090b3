"""The full screen: pure functions of the board, of what the user has chosen to see, and the size.

A screen has exactly as many lines as the terminal has rows, and none is wider than it.
"""

import msgspec
from msgspec.structs import replace

from imaging.feedback.board import Board
from imaging.feedback.display.cells import clipped, fitted, visible, wrapped
from imaging.feedback.display.gauges import flowed, overall_lines
from imaging.feedback.display.keys import Key
from imaging.feedback.display.rows import (
    Columns,
    Line,
    Look,
    by_attention,
    failure_text,
    header_row,
    node_row,
)

OVERALL_HEIGHT = 2
REASON_HEIGHT = 3  # of the view of one node
QUESTION = "Interrupt the run? y: yes   n: go on"
INTERRUPTING = "interrupting: links and processes are being cleaned up"
HELP = ["q interrupt", "f failures only", "enter transcript", "arrows scroll"]
HELP_FAILURES = ["q interrupt", "f all nodes", "enter transcript", "arrows scroll"]
HELP_TRANSCRIPT = ["q interrupt", "esc back"]


class View(msgspec.Struct, frozen=True):
    """What the user has chosen to see.

    ``selected`` is the node that the keys act on, None as long as none has been pressed;
    ``transcript`` is the node whose transcript is shown.
    """

    selected: str | None = None
    top: int = 0
    failures_only: bool = False
    transcript: str | None = None
    asking: bool = False
    interrupting: bool = False
    notice: str = ""


def list_height(height: int, view: View) -> int:
    """How many nodes there is room for on a screen."""
    return max(height - 3 - OVERALL_HEIGHT - bool(view.notice), 0)


def pressed(view: View, key: Key, board: Board, height: int) -> View:
    """What the user sees after a key."""
    if view.asking:
        return replace(view, asking=False) if key in (Key.NO, Key.ESCAPE) else view
    match key:
        case Key.QUIT:
            return replace(view, asking=not view.interrupting)
        case Key.ESCAPE:
            return replace(view, transcript=None)
        case Key.FAILURES if view.transcript is None:
            return replace(view, failures_only=not view.failures_only, top=0)
        case Key.ENTER:
            names = by_attention(board, failures_only=view.failures_only)
            node = view.selected if view.selected in names else next(iter(names), None)
            return replace(view, selected=node, transcript=node)
        case _ if view.transcript is None:
            return _moved(view, key, board, list_height(height, view))
        case _:
            return view


def _moved(view: View, key: Key, board: Board, page: int) -> View:
    """Another node is selected."""
    names = by_attention(board, failures_only=view.failures_only)
    if not names:
        return view
    before = names.index(view.selected) if view.selected in names else None
    steps = {Key.UP: -1, Key.DOWN: 1, Key.PAGE_UP: -page, Key.PAGE_DOWN: page}
    ends = {Key.HOME: 0, Key.END: len(names) - 1}
    if key in ends:
        after = ends[key]
    elif key in steps:
        after = steps[key] + before if before is not None else max(steps[key] - 1, 0)
    else:
        return view
    return replace(view, selected=names[min(max(after, 0), len(names) - 1)])


def scrolled(view: View, board: Board, height: int) -> View:
    """The view with the selected node on the screen, and no room left below the last one."""
    names = by_attention(board, failures_only=view.failures_only)
    page = list_height(height, view)
    top = min(view.top, max(len(names) - page, 0))
    if view.selected in names:
        place = names.index(view.selected)
        top = min(max(top, place - page + 1), place)
    return view if top == view.top else replace(view, top=top)


def screen_lines(
    board: Board, view: View, width: int, height: int, now: float, transcript: list[str] | None
) -> list[Line]:
    """The whole screen; ``transcript`` is the tail of the one that is shown, None if it is not."""
    if view.transcript is not None:
        lines = _transcript_lines(board, view.transcript, width, height - 1, now, transcript)
    else:
        lines = _list_lines(board, view, width, height - 1, now)
    blank = [Line("")] * max(height - 1 - len(lines), 0)
    screen = [*lines[: max(height - 1, 0)], *blank, _last_line(board, view, width, height)]
    return screen[:height]


def _list_lines(board: Board, view: View, width: int, height: int, now: float) -> list[Line]:
    """All nodes, or the failed ones: as many as there is room for."""
    overall = [Line(line) for line in overall_lines(board, now, width)]
    if height <= OVERALL_HEIGHT:
        return overall
    title = f"{board.command}: {visible(board.summary)}"
    lines = [Line(clipped(title, width), Look.TITLE), *overall]
    lines += [Line("")] * (1 + OVERALL_HEIGHT - len(lines))
    if view.notice:
        lines.append(Line(clipped(f"! {visible(view.notice)}", width), Look.QUESTION))
    names = by_attention(board, failures_only=view.failures_only)
    columns = Columns.of(board, width)
    lines.append(header_row(columns, width))
    if not names and view.failures_only:
        lines.append(Line(clipped("no node has failed", width)))
    page = list_height(height + 1, view)
    for name in names[view.top : view.top + page]:
        row = node_row(board, name, columns, now, width)
        lines.append(replace(row, selected=True) if name == view.selected else row)
    return lines


def _transcript_lines(
    board: Board, name: str, width: int, height: int, now: float, transcript: list[str] | None
) -> list[Line]:
    """One node: its row, why it failed in full, and the tail of its transcript."""
    state = board.nodes[name]
    columns = Columns.of(board, width)
    lines = [header_row(columns, width), node_row(board, name, columns, now, width)]
    if state.outcome is not None and not state.outcome.ok:
        reason = wrapped(visible(failure_text(state.outcome, state.fraction)), width)[
            :REASON_HEIGHT
        ]
        lines += [Line(line, Look.FAILED) for line in reason]
    room = max(height - len(lines) - 1, 0)
    lines.append(Line(fitted("transcript", width), Look.HEADER))
    if transcript is None:
        lines.append(Line(clipped("no transcript", width), Look.WAITING))
    elif room:
        lines += [Line(clipped(visible(line), width)) for line in transcript[-room:]]
    return lines


def _last_line(board: Board, view: View, width: int, height: int) -> Line:
    """The question that is asked, or what the keys do and where in the list this is."""
    if view.asking:
        return Line(fitted(QUESTION, width), Look.QUESTION)
    if view.interrupting:
        return Line(fitted(INTERRUPTING, width), Look.QUESTION)
    if view.transcript is not None:
        return Line(fitted(flowed(HELP_TRANSCRIPT, width, 1)[0], width), Look.HELP)
    total = len(by_attention(board, failures_only=view.failures_only))
    page = list_height(height, view)
    where = f" {view.top + 1}-{min(view.top + page, total)} of {total}" if total > page else ""
    keys = flowed(HELP_FAILURES if view.failures_only else HELP, width - len(where), 1)[0]
    return Line(clipped(fitted(keys, width - len(where)) + where, width), Look.HELP)


def tail_lines(data: bytes, height: int) -> list[str]:
    """The last lines of a file, of which ``data`` is the end."""
    return [visible(line) for line in data.decode("utf-8", "replace").splitlines()[-height:]]
