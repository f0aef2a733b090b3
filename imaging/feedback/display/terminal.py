"""A terminal to draw on: its size, the escapes that it obeys, writes that hold nobody up."""

import os
import re
import select
import time
import weakref

import msgspec

USUAL_SIZE = (80, 24)  # columns and rows; some pseudo-terminals say that they have none
STALLED_S = 0.2  # after so long, a terminal that takes nothing is held
LINES_LIMIT_S = 5.0  # for lines that nothing else tells; a picture is worth less
REST_S = 0.005
PIECE = 4096  # bytes
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


class Escapes(msgspec.Struct, frozen=True):
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
    """Writes to a terminal. Nothing that happens to the terminal may fail the run, or hold it up.

    What the terminal does not take at once waits, in order; only ``settle`` drops it.
    """

    def __init__(self, descriptor: int, encoding: str) -> None:
        """``descriptor`` stays the caller's."""
        self.descriptor = descriptor
        self._encoding = encoding
        self._waiting = b""
        self._writer, self._piece = self._open_writer()
        self._poll = select.poll()
        self._poll.register(self._writer, select.POLLOUT)

    def _open_writer(self) -> tuple[int, int]:
        """A descriptor that never blocks, and how many bytes may be written to it at once."""
        # opened anew, because our descriptor's flags are the shell's too
        flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        try:
            writer = os.open(f"/proc/self/fd/{self.descriptor}", flags)
        except OSError:  # somebody else's, as after su: it is asked before each byte
            return self.descriptor, 1
        weakref.finalize(self, os.close, writer)
        return writer, PIECE

    def is_ready(self) -> bool:
        """Whether it takes more: not while Ctrl-S holds it, or a slow line has not caught up."""
        self._go_on()
        return not self._waiting and self._takes(0)

    def write(self, text: str) -> None:
        """Write as much as it takes now; the rest follows when it is asked whether it is ready."""
        self._waiting += text.encode(self._encoding, "replace")
        self._go_on()

    def settle(self, limit_s: float = STALLED_S) -> None:
        """Wait until all is written, and drop the rest of what is not.

        Not for a terminal that takes nothing for a moment, nor for longer than the limit.
        """
        now = time.monotonic()
        limit, stalled = now + limit_s, now + STALLED_S
        while self._waiting and (left := min(limit, stalled) - time.monotonic()) > 0:
            if self._takes(left):
                if self._go_on():
                    stalled = time.monotonic() + STALLED_S
                else:
                    time.sleep(min(left, REST_S))  # there is room, but not for a whole character
        self._waiting = b""

    def _takes(self, patience_s: float) -> bool:
        """Whether a write does something: one to a terminal that is gone fails at once."""
        return bool(self._poll.poll(patience_s * 1000))

    def _go_on(self) -> int:
        """Write what it takes of all that waits, without waiting; gives how much that was."""
        before = len(self._waiting)
        try:
            while self._waiting and self._takes(0):
                written = os.write(self._writer, self._waiting[: self._piece])
                self._waiting = self._waiting[written:]
        except BlockingIOError:
            pass
        except OSError:  # it is gone
            self._waiting = b""
        return before - len(self._waiting)
