"""A dialogue as lines of text: pure, fed in pieces of any size.

A line is ``TIME WAY CHANNEL TEXT``. Data is cut anywhere on its way, and how it was cut is not to
be seen: what follows an unfinished line continues it, until the other side has its say.
"""

import codecs
import re

from imaging.feedback.wording import printable, time_text

OURS = "-"  # the way of what is told about the dialogue

_LINE = re.compile(r"[^\n]*\n|[^\n]+")  # str.splitlines would take much else for an end


class Dialogue:
    """Turns what is said, and what is told about it, into the text of a file."""

    def __init__(self) -> None:
        """Start at the beginning of a file."""
        self._speaker: tuple[str, str] | None = None  # whose data may be unfinished
        self._begun = False  # whether a line is begun, and goes on
        self._held = ""  # a carriage return that may be the end of a line
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")

    def said(self, at: float, channel: str, way: str, data: bytes) -> str:
        """The text for data that was sent or received."""
        written = self.end(at) if self._speaker not in (None, (channel, way)) else ""
        self._speaker = (channel, way)
        text = self._held + self._decoder.decode(data)
        self._held = "\r" if text.endswith("\r") else ""
        text = text.removesuffix("\r").replace("\r\n", "\n")
        return written + self._lines(at, text)

    def told(self, at: float, text: str) -> str:
        """A line of ours, between what is said."""
        return f"{self.end(at)}{time_text(at)} {OURS} {printable(text)}\n"

    def end(self, at: float) -> str:
        """The end of a line that is unfinished, if there is one."""
        rest = self._lines(at, self._held + self._decoder.decode(b"", final=True))
        if self._begun:
            rest += "\n"
        self._speaker, self._begun, self._held = None, False, ""
        return rest

    def _lines(self, at: float, text: str) -> str:
        if not text:
            return ""
        written = []
        channel, way = self._speaker or ("", "")
        head = f"{time_text(at)} {way} {channel} " if self._speaker is not None else ""
        for line in _LINE.findall(text):
            if not self._begun:
                written.append(head)
            self._begun = not line.endswith("\n")
            written.append(printable(line.removesuffix("\n")))
            if not self._begun:
                written.append("\n")
        return "".join(written)
