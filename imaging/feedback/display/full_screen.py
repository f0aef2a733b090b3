"""A terminal that is taken over for a while, and given back as it was."""

import os
import signal
import termios
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import Any

from blessed import Terminal

from imaging.feedback.display.cells import cells
from imaging.feedback.display.jobs import in_foreground, set_attributes, typed
from imaging.feedback.display.rows import Line, Look
from imaging.feedback.display.terminal import Output, size_of, wants_colour
from imaging.guard import NO_GUARD, open_guard

FATAL_SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
KEYS_AT_ONCE = 1024  # bytes
INPUT_FLAGS, LOCAL_FLAGS, CHARACTERS = 0, 3, 6  # of the list that termios.tcgetattr gives


def quiet_terminal(descriptor: int) -> Terminal:
    """blessed's knowledge of a terminal, without the questions that it asks one of its own.

    On a standard stream it waits up to 10 s for answers; a stream of which it knows nothing is
    asked nothing. With $NO_COLOR it would forget how to move the cursor, too.
    """
    no_colour = os.environ.pop("NO_COLOR", None)
    try:
        stream = os.fdopen(descriptor, "w", closefd=False)
        return Terminal(stream=stream, force_styling=True)
    finally:
        if no_colour is not None:
            os.environ["NO_COLOR"] = no_colour


def keyboard_mode(attributes: list[Any]) -> list[Any]:
    """Terminal attributes in which keys come at once and unseen.

    Ctrl-C stays a signal. Ctrl-S and Ctrl-Z do nothing: a run that is stopped lets its nodes run
    into their timeouts.
    """
    changed, characters = list(attributes), list(attributes[CHARACTERS])
    changed[INPUT_FLAGS] &= ~termios.IXON
    changed[LOCAL_FLAGS] &= ~(termios.ECHO | termios.ICANON)
    characters[termios.VMIN], characters[termios.VTIME] = 1, 0
    characters[termios.VSUSP] = b"\0"
    changed[CHARACTERS] = characters
    return changed


class FullScreen:
    """The alternate screen of a terminal and its keyboard, from the first painting on."""

    def __init__(self, descriptor: int, keyboard: int, encoding: str) -> None:
        """Nothing happens to the terminal yet."""
        self._output = Output(descriptor, encoding)
        self._keyboard = keyboard
        self._terminal = quiet_terminal(descriptor)
        self._styles = self._look_styles()
        self._attributes = termios.tcgetattr(keyboard)
        self._painted: list[Line] = []
        self._guard = NO_GUARD
        self._watched = ExitStack()
        self.is_entered = False

    @property
    def _goodbye(self) -> str:
        """What gives the screen back."""
        terminal = self._terminal
        return f"{terminal.normal}{terminal.smam}{terminal.exit_fullscreen}{terminal.normal_cursor}"

    def _look_styles(self) -> dict[Look, str]:
        """The escapes of each look; without colours there are still bold and reverse."""
        terminal, colour = self._terminal, wants_colour()
        return {
            Look.PLAIN: "",
            Look.TITLE: str(terminal.bold),
            Look.HEADER: str(terminal.underline),
            Look.FAILED: str(terminal.red) if colour else str(terminal.bold),
            Look.WARNING: str(terminal.yellow) if colour else "",
            Look.BUSY: str(terminal.cyan) if colour else "",
            Look.DONE: str(terminal.green) if colour else "",
            Look.WAITING: str(terminal.bright_black) if colour else "",
            Look.QUESTION: str(terminal.bold),
            Look.HELP: str(terminal.bright_black) if colour else "",
        }

    def size(self) -> tuple[int, int]:
        """Columns and rows."""
        return size_of(self._output.descriptor)

    def is_ours(self) -> bool:
        """Whether the shell has given us the terminal: not while this is a background job."""
        return in_foreground(self._keyboard)

    def is_ready(self) -> bool:
        """Whether the terminal is ours, and takes more."""
        return self.is_ours() and self._output.is_ready()

    def read(self) -> bytes | None:
        """What has been typed, empty when the terminal is closed, None when it is not ours."""
        return typed(self._keyboard, KEYS_AT_ONCE)

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Restore the terminal at the end of the block, or when a signal ends the process.

        After SIGKILL a guard does it.
        """

        def die(number: int, _: FrameType | None) -> None:
            self.restore()
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

        # trio's receivers come on top of these while the run lasts, and give them back
        replaced = [n for n in FATAL_SIGNALS if signal.getsignal(n) is signal.SIG_DFL]
        for number in replaced:
            signal.signal(number, die)
        try:
            with open_guard() as self._guard:
                try:
                    yield
                finally:
                    self.restore()
        finally:
            for number in replaced:
                signal.signal(number, signal.SIG_DFL)

    def restore(self) -> None:
        """Give the terminal back as it was; sync, so that no cancellation can skip it."""
        if self.is_entered:
            self.is_entered = False
            self._output.write(self._goodbye)
            self._output.settle()
            set_attributes(self._keyboard, self._attributes)
            self._watched.close()
            self.forget()

    def _enter(self) -> None:
        """Take the terminal over. A line that is too long must not wrap, hence rmam."""
        self.is_entered = True
        terminal = self._terminal
        changed = keyboard_mode(self._attributes)
        goodbye = self._goodbye.encode("ascii", "replace")
        output = self._output.descriptor
        self._watched.enter_context(
            self._guard.terminal(output, changed, self._attributes, goodbye)
        )
        set_attributes(self._keyboard, changed)
        self._output.write(
            f"{terminal.enter_fullscreen}{terminal.hide_cursor}{terminal.rmam}{terminal.clear}"
        )

    def forget(self) -> None:
        """Paint everything anew: the terminal has been resized, or written on by others."""
        self._painted = []

    def paint(self, lines: Sequence[Line], width: int) -> None:
        """Bring the screen up to date, in one write; only what has changed is written."""
        if not self.is_entered:
            self._enter()
        parts = [] if self._painted else [str(self._terminal.clear)]
        for row, line in enumerate(lines):
            if row >= len(self._painted) or self._painted[row] != line:
                parts.append(self._line(row, line, width))
        if parts:
            self._output.write("".join(parts))
        self._painted = list(lines)

    def _line(self, row: int, line: Line, width: int) -> str:
        terminal = self._terminal
        style = self._styles[line.look] + (str(terminal.reverse) if line.selected else "")
        # clearing after the last column would clear that column on some terminals
        end = "" if cells(line.text) >= width else str(terminal.clear_eol)
        normal = str(terminal.normal) if style else ""
        return f"{terminal.move_xy(0, row)}{style}{line.text}{normal}{end}"
