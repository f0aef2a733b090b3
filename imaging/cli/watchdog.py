"""The last word on ``--timeout``: a thread that ends the process, whatever hangs in the others.

A run ends by itself at its timeout; but the end of a run is told to terminals, pipes and disks, and
each of them may hang, in the one thread that could notice. When the process is still there a
moment after its time, this ends it. The guard then cleans up what the command could not.
"""

import os
import select
import threading
import time

EXIT_CODE = 1


class Watchdog:
    """Ends the process when its time is up."""

    def __init__(self, command: str) -> None:
        """``command`` is named in the last words."""
        self._command = command
        self._deadline = float("inf")
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def limit(self, seconds: float) -> None:
        """Give the process at most so many seconds from now; what was given before stays."""
        with self._changed:
            self._deadline = min(self._deadline, time.monotonic() + seconds)
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
                self._thread.start()
            self._changed.notify()

    def rest(self) -> None:
        """The process ends by itself."""
        with self._changed:
            self._deadline = float("inf")
            self._thread = None
            self._changed.notify()

    def _watch(self) -> None:
        with self._changed:
            while (left := self._deadline - time.monotonic()) > 0:
                if self._thread is not threading.current_thread():
                    return
                self._changed.wait(min(left, threading.TIMEOUT_MAX))
        what = "something hangs, or this host is too busy to end in order"
        words = f"{self._command}: the time is up, and {what}: ended\n"
        poll = select.poll()
        poll.register(2, select.POLLOUT)
        if poll.poll(0):  # what hangs may be standard error itself
            os.write(2, words.encode())
        os._exit(EXIT_CODE)
