"""Notes which messages a command makes, and from which lines of the code.

Python imports this first in commands that have its directory in ``PYTHONPATH``; with the variable
``IMAGING_TOLD`` they append to the file that it names. The tests' own process uses the functions.
"""

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from types import FrameType, TracebackType
from typing import Any

VARIABLE = "IMAGING_TOLD"
DEPTH = 12  # frames between a message's place and the function that makes the error
PACKAGE = f"{os.sep}imaging{os.sep}"

Place = tuple[str, int]


def places(frame: FrameType | None) -> set[Place]:
    """Where in the package a message is being made: file and line of the last calls.

    Also where what is being handled was raised, which becomes a part of the message.
    """
    found = set(_calls(frame))
    error = sys.exc_info()[1] if found else None
    while error is not None:
        found.update(_raised(error.__traceback__))
        error = error.__cause__ or error.__context__
    return found


def _calls(frame: FrameType | None) -> Iterator[Place]:
    for _ in range(DEPTH):
        if frame is None:
            return
        if PACKAGE in frame.f_code.co_filename:
            yield frame.f_code.co_filename.rpartition(PACKAGE)[2], frame.f_lineno
        frame = frame.f_back


def _raised(traceback: TracebackType | None) -> Iterator[Place]:
    while traceback is not None:
        if PACKAGE in traceback.tb_frame.f_code.co_filename:
            file = traceback.tb_frame.f_code.co_filename.rpartition(PACKAGE)[2]
            yield file, traceback.tb_lineno
        traceback = traceback.tb_next


def listen(note: Callable[[str, set[Place]], None]) -> None:
    """Have all errors, and all lines on standard error, noted from now on."""
    import builtins

    from imaging.errors import ImagingError

    make_error, write = ImagingError.__init__, print

    def make(self: ImagingError, message: str, *, hint: str | None = None) -> None:
        make_error(self, message, hint=hint)
        note(str(self), places(sys._getframe(1)))

    def tell(*words: Any, **options: Any) -> None:
        if options.get("file") is sys.stderr:
            note(" ".join(map(str, words)), places(sys._getframe(1)))
        write(*words, **options)

    ImagingError.__init__ = make  # type: ignore[method-assign]
    builtins.print = tell


def _append(message: str, found: set[Place]) -> None:
    line = json.dumps({"message": message, "places": sorted(found)}) + "\n"
    # as another user, or in another root, it cannot be written
    with contextlib.suppress(OSError), open(os.environ[VARIABLE], "a") as stream:
        stream.write(line)


if VARIABLE in os.environ:
    with contextlib.suppress(ImportError):  # of a Python that has no such package
        listen(_append)
