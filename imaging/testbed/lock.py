"""One testbed per directory: a lock on its file of the process id, free when its owner is gone."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from imaging.errors import ConfigurationError
from imaging.testbed.layout import Layout


@contextmanager
def locked(layout: Layout) -> Iterator[None]:
    """Be the one testbed of a directory. Raises ConfigurationError when there is another."""
    with layout.lock_file.open("a+") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigurationError(
                f"a testbed is running in {layout.directory} already",
                hint=f"imaging-testbed down {layout.directory} ends it",
            ) from None
        stream.truncate(0)
        stream.write(f"{os.getpid()}\n")
        stream.flush()
        try:
            yield
        finally:
            stream.truncate(0)


def running_process(layout: Layout) -> int | None:
    """The process id of the testbed that runs in a directory, or None."""
    try:
        with layout.lock_file.open() as stream:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return None
    except BlockingIOError:
        text = layout.lock_file.read_text().strip()
        return int(text) if text.isdecimal() else None
    return None
