"""A terminal to draw on: its size, the escapes that it obeys, writes that hold nobody up."""

import os
import re
import select
from dataclasses import dataclass

USUAL_SIZE = (80, 24)  # columns and rows; some pseudo-terminals say that they have none
PADDING = re.compile(rb"\$<[^>]*>")


def size_of(descriptor: int) -> tuple[int, int]:
    """Columns and rows of a terminal."""
    try:
        size = os.get_terminal_size(descriptor)
    except OSError:  # it has been hung up
        return USUAL_SIZE
    return size.columns or USUAL_SIZE[0], size.lines or USUAL_SIZE[1]


def wants_colour() -> bool:
    """Whether the user has not said otherwise: https://no-color.org."""
    return not os.environ.get("NO_COLOR")


@dataclass(frozen=True, slots=True)
class Escapes:
    """What an inline region needs of a terminal; ``failed`` and ``normal`` are "" without colour.

    They come from terminfo, by way of the standard library: importing blessed takes 70 ms, which
    every command would pay.
    """

    up: str
    clear_line: str
    clear_below: str
    failed: str = ""
    normal: str = ""
    is_full: bool = False  # whether there is what a full screen needs besides

    @classmethod
    def of(cls, descriptor: int) -> "Escapes | None":
        """Those of the terminal that $TERM names; None when it is unknown or too simple."""
        try:
            import curses

            curses.setupterm(os.environ.get("TERM") or "dumb", descriptor)
        except (ImportError, curses.error):
            return None

        def capability(name: str, *parameters: int) -> str:
            value = curses.tigetstr(name) or b""
            return PADDING.sub(b"", curses.tparm(value, *parameters) if value else b"").decode()

        up, line, below = capability("cuu1"), capability("el"), capability("ed")
        if not (up and line and below):
            return None
        is_full = all(map(capability, ("cup", "smcup", "rmcup", "rev")))
        red, normal = capability("setaf", 1), capability("sgr0")
        if not (wants_colour() and red and normal):
            red = normal = ""
        return cls(up, line, below, red, normal, is_full)


class Output:
    """Writes to a terminal. Nothing that happens to the terminal may fail the run."""

    def __init__(self, descriptor: int, encoding: str) -> None:
        """``descriptor`` stays the caller's."""
        self.descriptor = descriptor
        self._encoding = encoding
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)

    def is_ready(self) -> bool:
        """Whether it takes more: not while Ctrl-S holds it, or a slow line has not caught up."""
        return any(event & select.POLLOUT for _, event in self._poll.poll(0))

    def write(self, text: str) -> None:
        """Write all of it, unless the terminal is gone."""
        data = text.encode(self._encoding, "replace")
        try:
            while data:
                data = data[os.write(self.descriptor, data) :]
        except OSError:
            pass
