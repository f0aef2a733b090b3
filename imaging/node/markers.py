"""How commands are run through a terminal: markers with a nonce, never prompts or echo.

What is typed is echoed, wrapped at 80 columns, redrawn by line editors and surrounded by prompts
of unknown shape. So the output of a command is found between two lines which the typed line
cannot contain, because there each marker is cut in two by quotes::

    printf '\\n%s%s\\n' '@@4f' '3a:begin@@'; COMMAND </dev/null; printf '\\n%s%s:%d@@\\n' ...

Pure: text in, text and status out.
"""

import re
import secrets

import msgspec

STATUS_LIMIT = 255

# one for all nonces: compiling a pattern takes as long as the rest of a command
_STATUS = re.compile(rb"([0-9]{1,3})@@\n")


class CommandEnd(msgspec.Struct, frozen=True):
    """The command is over, with this exit status."""

    status: int


class MarkedCommand:
    """One command on its way through a terminal.

    ``typed`` is the line to send. ``feed`` takes what the terminal shows (without escapes, see
    TerminalText) and gives the command's own output, as soon as it can be told from a marker.
    """

    def __init__(self, script: str, nonce: str | None = None) -> None:
        """Wrap the shell text ``script``, which must be quoted already and be one line."""
        if "\n" in script:
            raise ValueError("a typed command is one line")
        nonce = nonce or secrets.token_hex(8)
        head, tail = f"@@{nonce[:4]}", nonce[4:]
        self.typed = (
            f"printf '\\n%s%s\\n' '{head}' '{tail}:begin@@'; "
            f"{{ {script}; }} </dev/null 2>&1; "
            f"printf '\\n%s%s:%d@@\\n' '{head}' '{tail}:end' \"$?\"\n"
        ).encode()
        self._begin = f"\n{head}{tail}:begin@@\n".encode()
        self._end_prefix = f"\n{head}{tail}:end:".encode()
        self._pending = b"\n"
        self._begun = False
        self._over: CommandEnd | None = None

    def feed(self, text: bytes) -> tuple[bytes, CommandEnd | None]:
        """Take the next piece of text; give the output in it, and the end when it is reached."""
        if self._over is not None:
            return b"", self._over
        self._pending += text
        if not self._begun:
            before, marker, after = self._pending.partition(self._begin)
            if not marker:
                self._pending = before[-(len(self._begin) - 1) :]
                return b"", None
            self._begun, self._pending = True, after
        place = self._pending.find(self._end_prefix)
        while place >= 0:
            status = _STATUS.match(self._pending, place + len(self._end_prefix))
            if status is not None and int(status[1]) <= STATUS_LIMIT:
                self._over = CommandEnd(int(status[1]))
                return self._pending[:place], self._over
            place = self._pending.find(self._end_prefix, place + 1)
        return self._release(), None

    def _release(self) -> bytes:
        """Give away all pending text except a tail that could become the end marker."""
        start = self._pending.rfind(b"\n")
        keep = start if start >= 0 and self._could_be_end(self._pending[start:]) else None
        output = self._pending[:keep]
        self._pending = self._pending[len(output) :]
        return output

    def _could_be_end(self, line: bytes) -> bool:
        """Whether this text, starting with a newline, is the beginning of the end marker."""
        if len(line) <= len(self._end_prefix):
            return self._end_prefix.startswith(line)
        rest = line[len(self._end_prefix) :]
        return (
            line.startswith(self._end_prefix)
            and re.fullmatch(rb"[0-9]{1,3}@{0,2}", rest) is not None
        )
