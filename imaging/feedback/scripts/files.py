"""Files that a run leaves for scripts: each appears whole or not at all."""

import os
import secrets
import stat
from collections.abc import Callable
from pathlib import Path

from imaging.errors import ConfigurationError
from imaging.feedback.events import Event
from imaging.feedback.outcomes import RunReport


def _mode_of(path: Path) -> int:
    """The mode of a file, or of the one that can be made there. Raises OSError.

    Since Python 3.14, pathlib's exists() takes what cannot be reached for nothing.
    """
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return stat.S_IFREG


def check_place(path: Path) -> Path:
    """The file that a path leads to, when it can be written there.

    Raises ConfigurationError: that directory is not there or may not be written, or something
    other than a regular file has that name.
    """
    try:
        real = path.resolve()  # an alias stays one: what it leads to is replaced
        mode = _mode_of(real)
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links
        words = error.strerror if isinstance(error, OSError) else "a loop of links"
        raise ConfigurationError(
            f"cannot write {path}: {words}", hint="choose another name"
        ) from error
    if not stat.S_ISREG(mode):
        raise ConfigurationError(
            f"cannot write {path}: it is no regular file", hint="a file is replaced in one step"
        )
    if not real.parent.is_dir():
        raise ConfigurationError(
            f"cannot write {path}: there is no directory {real.parent}", hint="make it first"
        )
    if not os.access(real.parent, os.W_OK | os.X_OK):
        raise ConfigurationError(
            f"cannot write {path}: no permission to write in {real.parent}",
            hint="choose another directory",
        )
    return real


def write_whole(path: Path, data: bytes) -> None:
    """Write a file, or replace it, in one step. Raises OSError."""
    partial = path.with_name(f".imaging-{secrets.token_hex(4)}.partial")
    try:
        with partial.open("xb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


class ReportFile:
    """A sink that writes a file at the end of the run."""

    def __init__(self, path: Path, content: Callable[[RunReport], str]) -> None:
        """``path`` has been checked; ``content`` makes the file of the report."""
        self._path = path
        self._content = content
        self.failure: str | None = None

    def take(self, event: Event) -> None:
        """The report tells it all."""

    def finish(self, report: RunReport) -> None:
        """Write the file; ``failure`` says why there is none."""
        try:
            write_whole(self._path, self._content(report).encode())
        except OSError as error:
            self.failure = f"cannot write {self._path}: {error.strerror}"
