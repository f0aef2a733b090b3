"""imaging.log: one line per event, with the run's id and the node."""

import errno
import logging
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from pathlib import Path

from imaging.feedback.events import (
    Event,
    ImageHashed,
    NodeFinished,
    NodeRetried,
    Noticed,
    Progressed,
    RunStarted,
    Said,
    Sighted,
    StepDone,
    StepFailed,
    StepStarted,
    TypicalKnown,
)
from imaging.feedback.wording import time_text
from imaging.site.state import user_state_directory

events_log = logging.getLogger("imaging.run")


def event_text(event: Event) -> tuple[int, str, str] | None:
    """An event as (level, node, text), or None when it is not worth a line."""
    match event:
        case Progressed() | Said() | TypicalKnown():  # the many, so they are first
            return None
        case RunStarted():
            return logging.INFO, "-", event.summary
        case StepStarted():
            return logging.INFO, event.node, f"{event.step} started"
        case StepDone():
            detail = f": {event.detail}" if event.detail else ""
            return logging.INFO, event.node, f"{event.step} done in {event.duration:.3f} s{detail}"
        case StepFailed():
            text = f"{event.step} failed after {event.duration:.3f} s ({event.reason})"
            return logging.WARNING, event.node, f"{text}: {event.message}"
        case Sighted():
            return logging.DEBUG, event.node, event.what
        case Noticed():
            return logging.INFO, event.node or "-", event.message
        case NodeFinished(outcome=outcome) if outcome.ok:
            return logging.INFO, outcome.node, "ok"
        case NodeFinished(outcome=outcome):
            where = f" at {outcome.step}" if outcome.step else ""
            return logging.ERROR, outcome.node, f"FAILED{where} ({outcome.reason})"
        case NodeRetried(outcome=outcome):
            text = f"attempt failed ({outcome.reason}), starting again: {outcome.message}"
            return logging.WARNING, outcome.node, text
        case ImageHashed():
            return logging.INFO, "-", f"the image's sha256 is {event.sha256}"


def event_line(event: Event) -> tuple[int, str] | None:
    """An event as (level, line): one line, whatever a node or a tool has sent."""
    entry = event_text(event)
    return None if entry is None else entry_line(*entry)


def entry_line(level: int, node: str, text: str) -> tuple[int, str]:
    """The same of what ``event_text`` has made of it."""
    return level, f"{node} {' / '.join(text.splitlines())}"


def log_event(event: Event) -> None:
    """Write an event to the log."""
    entry = event_line(event)
    if entry is not None:
        level, line = entry
        events_log.log(level, "%s", line)


class _Formatter(logging.Formatter):
    """The layout of a line; the text of a second is made once, not for each of its lines."""

    def formatTime(  # noqa: N802 - logging's name
        self,
        record: logging.LogRecord,
        datefmt: str | None = None,  # noqa: ARG002
    ) -> str:
        """When it was logged."""
        return time_text(record.created)


class _LogFile(logging.FileHandler):
    """A log file; that it cannot be written, as when the disk is full, is said once."""

    _is_told = False

    def _open(self) -> TextIOWrapper:
        """Open it, by no link that another user may have put there."""
        return open(self.baseFilename, "a", encoding="utf-8", opener=_open_by_no_trap)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Instead of a traceback for each line."""
        error = sys.exc_info()[1]
        if isinstance(error, OSError) and not self._is_told:
            self._is_told = True
            print(f"imaging: cannot write {self.baseFilename}: {error.strerror}", file=sys.stderr)
        elif not isinstance(error, OSError):
            super().handleError(record)


def _open_by_no_trap(name: str, flags: int) -> int:
    """Open a file where others may write too, as in /tmp. Raises OSError."""
    with suppress(FileNotFoundError):
        status = os.lstat(name)
        if not stat.S_ISLNK(status.st_mode):
            flags |= os.O_NOFOLLOW  # one that comes now is none that the user has made
        elif status.st_uid not in (0, os.geteuid()):
            raise OSError(errno.EPERM, "is another user's symbolic link", name)
    return os.open(name, flags | os.O_CLOEXEC, 0o666)


def _log_file(path: Path) -> logging.Handler:
    """Raises OSError, also for a named pipe: opening one would wait for its reader."""
    if path.is_fifo():
        raise OSError(errno.EINVAL, "is a named pipe", str(path))
    return _LogFile(path, delay=False)


def _open_handler(path: Path) -> tuple[logging.Handler, Path]:
    """The log file; the user's state directory where the configured place cannot be written."""
    try:
        return _log_file(path), path
    except OSError as error:
        state = user_state_directory()
        fallback = state / "imaging.log"
        try:
            state.mkdir(parents=True, exist_ok=True)
            handler = _log_file(fallback)
        except OSError:
            print(f"imaging: cannot write {path}: {error.strerror}; no log", file=sys.stderr)
            return logging.NullHandler(), path
        print(f"imaging: cannot write {path}: {error.strerror}; log in {fallback}", file=sys.stderr)
        return handler, fallback


@contextmanager
def open_log(path: Path, run_id: str, level: str) -> Iterator[Path]:
    """Send the log of this run to a file; gives the file's real place. It never fails a run."""
    handler, place = _open_handler(path)
    handler.setFormatter(_Formatter(f"%(asctime)s {run_id} %(levelname)s %(message)s"))
    # our lines tell none of these (logging's HOWTO, "Optimization")
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None
    root = logging.getLogger()
    root.addHandler(handler)
    ours = logging.getLogger("imaging")
    previous = ours.level
    ours.setLevel(level.upper())
    try:
        yield place
    finally:
        ours.setLevel(previous)
        root.removeHandler(handler)
        with suppress(OSError):  # a full disk, which has been said
            handler.close()
