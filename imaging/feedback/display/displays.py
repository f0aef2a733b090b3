"""Which display a run gets: by what the user wants, and what the streams are."""

import os
import sys
from typing import TextIO

from imaging.feedback.board import Board
from imaging.feedback.display.plain import PlainDisplay
from imaging.feedback.display.terminal import Escapes, Output
from imaging.feedback.results import Detail
from imaging.feedback.sinks import Display


def choose_display(
    board: Board, detail: Detail, *, live: bool, events_on_output: bool = False
) -> Display:
    """The display of a run; where the full screen is not possible, that is said in a line.

    With ``events_on_output`` standard output gets the events' lines. On a terminal they would run
    through whatever is drawn, and a process cannot tell whether two terminals are the same.
    """
    shared = events_on_output and _is_terminal(sys.stdout)
    obstacle = ""
    if live:
        stream = terminal_stream()
        obstacle = "the events are written on the terminal" if shared else obstacle_of(stream)
        if stream is not None and not obstacle:
            from imaging.feedback.display.live import LiveDisplay

            return LiveDisplay(board, stream, sys.stdin)
        print(f"no full screen: {obstacle}", file=sys.stderr)
    if not _is_terminal(sys.stderr):
        return PlainDisplay(board, sys.stderr, detail)
    from imaging.feedback.display.inline import InlineDisplay
    from imaging.feedback.display.jobs import in_foreground

    descriptor = sys.stderr.fileno()
    output = Output(descriptor, sys.stderr.encoding)
    if detail < Detail.BAR or shared or not in_foreground(descriptor):
        return PlainDisplay(board, output, detail)
    return InlineDisplay(board, output, Escapes.of(descriptor), detail)


def terminal_stream() -> TextIO | None:
    """The standard stream on which a full screen would be."""
    return next((s for s in (sys.stderr, sys.stdout) if _is_terminal(s)), None)


def _is_terminal(stream: TextIO | None) -> bool:
    return stream is not None and not stream.closed and stream.isatty()


def obstacle_of(stream: TextIO | None) -> str:
    """Why a full screen cannot be had; "" when it can. A script with -c is not refused."""
    from imaging.feedback.display.jobs import in_foreground

    if stream is None:
        return "neither standard error nor standard output is a terminal"
    if not _is_terminal(sys.stdin):
        return "standard input is not a terminal"
    if not in_foreground(sys.stdin.fileno()):
        return "this command runs in the background"
    escapes = Escapes.of(stream.fileno())
    if escapes is None or not escapes.is_full:
        return f"the terminal {os.environ.get('TERM') or '(no $TERM)'} cannot do it"
    return ""
