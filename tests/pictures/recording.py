"""What a terminal has shown, and when."""

import time
from collections.abc import Iterable
from dataclasses import dataclass

from tests.terminals import Emulator, Terminal

FRAME_S = 0.2  # what comes faster is seen as one frame
KEY_S = 0.05  # between two keys
PROMPT = "$ "


@dataclass(frozen=True, slots=True)
class Run:
    """Neighbouring characters that look alike."""

    text: str
    colour: str = "default"  # pyte's name, or six hexadecimal digits
    background: str = "default"
    bold: bool = False


Row = tuple[Run, ...]
Screen = tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Frame:
    """What the screen has shown from a moment on, in seconds since the beginning."""

    at: float
    screen: Screen


def screen_of(emulator: Emulator) -> Screen:
    """What an emulator shows now."""
    return tuple(
        _row(emulator.buffer[row][column] for column in range(emulator.columns))
        for row in range(emulator.lines)
    )


def _row(characters: Iterable[object]) -> Row:
    runs: list[Run] = []
    for character in characters:
        colours = (character.fg, character.bg)  # type: ignore[attr-defined]
        if character.reverse:  # type: ignore[attr-defined]
            colours = (colours[1], colours[0] if colours[0] != "default" else "reverse")
        text, bold = character.data, character.bold  # type: ignore[attr-defined]
        run = Run(text, *colours, bold)
        if runs and runs[-1] == Run(runs[-1].text, *colours, bold):
            run = Run(runs.pop().text + text, *colours, bold)
        runs.append(run)
    return tuple(runs)


class Recorder:
    """Types commands at a shell in a terminal, and keeps what is shown."""

    def __init__(self, terminal: Terminal) -> None:
        """The shell is at its prompt, or about to be."""
        self._terminal = terminal
        self._started = time.monotonic()
        self.frames: list[Frame] = []

    def watch(self, seconds: float) -> None:
        """Keep what is shown for a while."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self._terminal.read()
            self._keep()

    def type(self, command: str) -> None:
        """Type a command, and watch until the shell is back at its prompt."""
        for key in command:
            self._terminal.press(key)
            self.watch(KEY_S)
        self.watch(0.3)
        self._terminal.press("\r")
        self.watch(0.3)
        while not self._at_prompt():
            self.watch(KEY_S)

    def _at_prompt(self) -> bool:
        screen = self._terminal.screen
        return not screen.is_alternate and screen.readable()[-1].rstrip() == PROMPT.rstrip()

    def _keep(self) -> None:
        """Keep the frame when it is another one, and the last is old enough to be seen."""
        now = time.monotonic() - self._started
        shown = screen_of(self._terminal.screen)
        if not self.frames:
            self.frames.append(Frame(0.0, shown))
        elif shown != self.frames[-1].screen and now - self.frames[-1].at >= FRAME_S:
            self.frames.append(Frame(round(now, 2), shown))
