"""Reading what a frisbee client says on its console: text in, events out. Pure.

Two dialects are understood. The Emulab client prints a mark per chunk (``.``), skipped or zeroed
10^9 bytes (``s``, ``z``), and after 67 marks the elapsed seconds and the chunks that remain; OMF's
prints ``Progress: N%``. An error can follow marks on the same line (``.....Short write!``).
"""

import re
from collections import deque
from dataclasses import dataclass

WORDS_KEPT = 3  # lines
LINE_LIMIT = 4096  # bytes; what is longer is cut

_JOINED = re.compile(
    r"Joined the team after \d+ sec\. ID is \d+\. File is (\d{1,18}) chunks \((\d{1,18}) b"
)
_REMAINING = re.compile(r"[.sz]{1,67} *\d+ +(-?\d{1,18})")
_WROTE = re.compile(r"Wrote (\d{1,18}) bytes \((\d{1,18}) actual\)")
_PERCENT = re.compile(r"Progress: *(\d{1,3}) *%")
_MARKS = re.compile(r"[.sz]*")
# possessive: otherwise the time that noise takes grows with the square of its length
_COUNTS = re.compile(r" *+\d*+ *+-?\d*+")
_SMALL_TALK = re.compile(
    r"Maximum socket buffer|Bound to port|Using (?:Multicast|Broadcast|Unicast)|Client \d+ |"
    r"Left the team|  |\d+ \d+ \d+$"
)


@dataclass(frozen=True, slots=True)
class Joined:
    """The server has answered: so many chunks, so many bytes."""

    chunks: int
    size: int


@dataclass(frozen=True, slots=True)
class Progress:
    """So much of the image is expanded (0 to 1)."""

    fraction: float


@dataclass(frozen=True, slots=True)
class Left:
    """All data is on the disk."""


@dataclass(frozen=True, slots=True)
class Wrote:
    """The client's own count: bytes covered, and bytes really written."""

    effective: int
    actual: int


DialectEvent = Joined | Progress | Left | Wrote


class ClientDialect:
    """Reads one client's output, fed in pieces of any size."""

    def __init__(self) -> None:
        """Begin before the client has said anything."""
        self._line = ""
        self._chunks = 0
        self._done_before_line = 0
        self._told = 0.0
        self._words: deque[str] = deque(maxlen=WORDS_KEPT)

    @property
    def last_words(self) -> str:
        """The last lines that mean something, without marks: the reason when it failed."""
        words = [*self._words]
        unfinished = self._meaning(self._line)
        if unfinished:
            words.append(unfinished)
        return " / ".join(words[-WORDS_KEPT:])

    def feed(self, text: str) -> list[DialectEvent]:
        """Take the next piece of output."""
        events: list[DialectEvent] = []
        # an empty line means nothing, so that CR, LF and CR LF may all end one
        *lines, rest = (self._line + text.replace("\0", "").replace("\r", "\n")).split("\n")
        for line in lines:
            events.extend(self._whole_line(line[:LINE_LIMIT]))
        self._line = rest[-LINE_LIMIT:]
        progress = self._marks_of(self._line)
        if progress is not None:
            events.append(progress)
        return events

    def _whole_line(self, line: str) -> list[DialectEvent]:
        if found := _JOINED.match(line):
            self._chunks = int(found[1])
            return [Joined(self._chunks, int(found[2]))]
        if found := _WROTE.fullmatch(line):
            return [Wrote(int(found[1]), int(found[2]))]
        if line.startswith("Left the team"):
            return [Left()]
        if found := _PERCENT.match(line):
            return self._advance(min(int(found[1]), 100) / 100)
        if found := _REMAINING.fullmatch(line):
            self._done_before_line = max(0, self._chunks - int(found[1]))
            return self._advance(self._fraction(self._done_before_line))
        marks = self._marks_of(line)
        self._done_before_line += _leading_dots(line)
        meaning = self._meaning(line)
        if meaning:
            self._words.append(meaning)
        return [marks] if marks is not None else []

    def _marks_of(self, line: str) -> DialectEvent | None:
        """The progress that an unfinished line of marks tells; each 10^9 bytes adds a dot too."""
        if found := _PERCENT.match(line):
            advanced = self._advance(min(int(found[1]), 100) / 100)
        else:
            advanced = self._advance(self._fraction(self._done_before_line + _leading_dots(line)))
        return advanced[0] if advanced else None

    def _fraction(self, done: int) -> float:
        return min(1.0, done / self._chunks) if self._chunks else 0.0

    def _advance(self, fraction: float) -> list[DialectEvent]:
        if fraction <= self._told:
            return []
        self._told = fraction
        return [Progress(fraction)]

    @staticmethod
    def _meaning(line: str) -> str:
        """A line without its marks; nothing when it is only the tool's small talk."""
        found = _MARKS.match(line)
        text = line[found.end() :] if found else line
        if found and found.end() and _COUNTS.fullmatch(text):
            return ""
        if text and found and "." not in line[: found.end()]:
            text = line  # a word that begins with s or z
        if _SMALL_TALK.match(text) or not text.strip() or _PERCENT.match(text):
            return ""
        if _JOINED.match(text) or _WROTE.match(text):
            return ""
        return text.strip()[:200]


def _leading_dots(line: str) -> int:
    """How many chunks the marks at the beginning of a line stand for."""
    found = _MARKS.match(line)
    return found[0].count(".") if found else 0
