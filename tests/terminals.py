"""A terminal for the installed commands: a pseudo-terminal, with an emulator at its other end."""

import copy
import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyte

LIMIT_S = 20.0
ALTERNATE_SCREEN = 1049
CURSOR = 25 << 5  # pyte's number of a private mode
WRAP = 7 << 5


class Emulator(pyte.Screen):
    """pyte's screen with an alternate one, which it does not have."""

    def __init__(self, columns: int, rows: int) -> None:
        """A screen of that size."""
        self.normal: tuple[Any, Any] | None = None
        super().__init__(columns, rows)

    @property
    def is_alternate(self) -> bool:
        """Whether the alternate screen is there."""
        return self.normal is not None

    def set_mode(self, *modes: int, **options: Any) -> None:
        """Enter the alternate screen, besides what pyte knows."""
        if options.get("private") and ALTERNATE_SCREEN in modes:
            self.normal = copy.deepcopy((self.buffer, self.cursor))
            self.erase_in_display(2)
        super().set_mode(*modes, **options)

    def reset_mode(self, *modes: int, **options: Any) -> None:
        """Leave the alternate screen, besides what pyte knows."""
        if options.get("private") and ALTERNATE_SCREEN in modes and self.normal is not None:
            self.buffer, self.cursor = self.normal
            self.normal = None
        super().reset_mode(*modes, **options)

    def erase_in_line(self, how: int = 0, private: bool = False) -> None:
        """Erase nothing for a number that means nothing: a killed command may leave half of one."""
        if how in (0, 1, 2):
            super().erase_in_line(how, private)

    def readable(self) -> list[str]:
        """What is to be read, down to the last line that is not blank."""
        return "\n".join(line.rstrip() for line in self.display).rstrip("\n").split("\n")


class Terminal:
    """A command in a terminal."""

    def __init__(self, columns: int, rows: int) -> None:
        """Open a terminal of that size; nothing runs in it yet."""
        self.screen = Emulator(columns, rows)
        self.written = b""  # by the command
        self._stream = pyte.ByteStream(self.screen)
        self._master, self.slave = pty.openpty()
        self.resize(columns, rows)
        self.attributes = termios.tcgetattr(self.slave)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *words: str, cwd: Path, environment: dict[str, str], **streams: Any) -> None:
        """Start a command as a shell would in the foreground; ``streams`` may be elsewhere."""
        self.process = subprocess.Popen(
            words,
            cwd=cwd,
            env={"TERM": "xterm-256color", **environment},
            start_new_session=True,
            # nothing else makes this its controlling terminal, as for Ctrl-C and resizes
            preexec_fn=lambda: fcntl.ioctl(self.slave, termios.TIOCSCTTY, 0),  # noqa: PLW1509
            pass_fds=[self.slave],
            **{"stdin": self.slave, "stdout": self.slave, "stderr": self.slave, **streams},
        )

    def resize(self, columns: int, rows: int) -> None:
        """Give the terminal another size; the kernel tells the command."""
        self.screen.resize(rows, columns)
        size = struct.pack("HHHH", rows, columns, 0, 0)
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, size)

    def press(self, keys: str) -> None:
        """Send what keys send."""
        os.write(self._master, keys.encode())

    def read(self, patience_s: float = 0.02) -> bool:
        """Show what has been written at once, which is a frame; says whether there was any."""
        if self._master < 0:
            time.sleep(patience_s)
            return False
        if not select.select([self._master], [], [], patience_s)[0]:
            return False
        data = os.read(self._master, 65536)
        self.written += data
        self._stream.feed(data)
        return True

    def wait_for(self, condition: Callable[[list[str]], bool]) -> None:
        """Read until the screen's lines are as wanted."""
        deadline = time.monotonic() + LIMIT_S
        while not condition(self.screen.readable()):
            assert time.monotonic() < deadline, "\n".join(self.screen.readable())
            self.read()

    def see(self, words: str) -> None:
        """Wait until the words are on the screen."""
        self.wait_for(lambda lines: any(words in line for line in lines))

    def end(self) -> int:
        """Wait for the end of the command; gives its status."""
        assert self.process is not None
        deadline = time.monotonic() + LIMIT_S
        while self.process.poll() is None:
            assert time.monotonic() < deadline, "\n".join(self.screen.readable())
            self.read()
        while self.read():
            pass
        return self.process.returncode

    def hang_up(self) -> None:
        """Close the terminal under the command, as a window or a connection is closed."""
        os.close(self._master)
        self._master = -1

    def close(self) -> None:
        """End what still runs, and take the terminal away."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self._master >= 0:
            self.hang_up()
        os.close(self.slave)

    def assert_restored(self) -> None:
        """As it was before the command: mode, screen, cursor, wrapping."""
        assert termios.tcgetattr(self.slave) == self.attributes
        assert not self.screen.is_alternate
        assert {CURSOR, WRAP} <= self.screen.mode
        assert self.screen.cursor.attrs == self.screen.default_char


@contextmanager
def terminal(columns: int, rows: int) -> Iterator[Terminal]:
    """A terminal for as long as the block lasts."""
    opened = Terminal(columns, rows)
    try:
        yield opened
    finally:
        opened.close()
