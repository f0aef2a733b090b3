"""What a terminal shows, without what steers it: pure, fed in pieces of any size."""

import re

# CSI (cursor, colours, ESC[6n), OSC (titles; ended by BEL or ESC \), two-character escapes
_ESCAPES = re.compile(
    rb"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-Z\\^_a-z0-9=>()][0AB]?"
)
_UNFINISHED = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*|\][^\x07\x1b]*\x1b?|[()]?)?\Z")
_SILENT = bytes.maketrans(b"", b"")
_LONGEST_ESCAPE = 256  # bytes; more than that is no escape sequence but noise


class TerminalText:
    """Strips escape sequences, NULs and carriage returns from a stream of bytes."""

    def __init__(self) -> None:
        """Start at the beginning of a stream."""
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """Take the next piece, give the text in it; a split escape sequence is held back."""
        data = self._held + data
        self._held = b""
        unfinished = _UNFINISHED.search(data)
        if unfinished is not None and len(data) - unfinished.start() <= _LONGEST_ESCAPE:
            data, self._held = data[: unfinished.start()], data[unfinished.start() :]
        return _ESCAPES.sub(b"", data).translate(_SILENT, b"\0\r\x1b")
