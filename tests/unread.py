"""What nobody reads: it is full, and takes nothing more."""

import os
import pty
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def unread(kind: str) -> Iterator[int]:
    """The end to write to, of a ``pipe`` or a ``terminal``."""
    ends = os.pipe() if kind == "pipe" else pty.openpty()
    reading, writing = ends
    os.set_blocking(writing, False)
    try:
        while True:
            os.write(writing, b"x" * 1024)
    except BlockingIOError:
        os.set_blocking(writing, True)
    try:
        yield writing
    finally:
        os.close(reading)
        os.close(writing)
