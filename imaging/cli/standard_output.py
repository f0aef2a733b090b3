"""Standard output: what cannot be written there never hides what has happened."""

import os
import sys
from collections.abc import Sequence
from typing import TextIO


class StandardOutput:
    """Where a command's results go.

    A reader that has gone, as in ``| head``, has heard enough; a full disk is told, once.
    """

    def __init__(self, command: str, *, as_errors: bool = False) -> None:
        """``command`` is named when something cannot be written.

        With ``as_errors`` it is standard error: scripts have standard output for themselves.
        """
        self.failed = False
        self._command = command
        self._as_errors = as_errors

    @property
    def _stream(self) -> TextIO:
        """The stream of this moment: a full-screen display keeps it for later."""
        return sys.stderr if self._as_errors else sys.stdout

    def tell(self, lines: Sequence[str]) -> None:
        """Write lines, at once."""
        if lines:
            self._write("".join(f"{line}\n" for line in lines))

    def flush(self) -> None:
        """Write what was printed before."""
        self._write("")

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except OSError as error:
            self.give_up(error)

    def give_up(self, error: OSError) -> None:
        """Send what is still in the buffer, and all that comes, nowhere."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)
        if not isinstance(error, BrokenPipeError):
            self.failed = True
            words = f"cannot write the output: {error.strerror}"
            print(f"{self._command}: {words}", file=sys.stderr)
