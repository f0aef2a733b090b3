"""Standard output and error: what cannot be written there never hides what has happened."""

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from io import TextIOWrapper
from typing import Any, TextIO, cast


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


class _Unfailing:
    """A stream whose writes never raise: who listened may have gone, and the run goes on."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with suppress(OSError, ValueError):  # there is nobody to tell it to
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def prepare_streams() -> None:
    """Let standard error, and closed standard streams, raise no error when they are written.

    And what an encoding does not have, as that of an old terminal, is printed as an escape.
    """
    if sys.stderr is None or sys.stdout is None:  # closed by the caller, as in 2>&-
        nowhere = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123 - for good
        sys.stdout, sys.stderr = sys.stdout or nowhere, sys.stderr or nowhere
    if isinstance(sys.stdout, TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")
    if not isinstance(sys.stderr, _Unfailing):
        sys.stderr = cast(TextIO, _Unfailing(sys.stderr))
