"""Job control: a command draws on its terminal only while the shell has given it that."""

import os
import select
import signal
import termios
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import trio


def in_foreground(descriptor: int) -> bool:
    """Whether a terminal is this process's to draw on: not while it is a background job."""
    try:
        return os.tcgetpgrp(descriptor) == os.getpgrp()
    except OSError:  # no shell shares it with us, or it has been hung up
        return True


@contextmanager
def _never_stopped() -> Iterator[None]:
    """Have refused, or done, what the kernel stops a background job for.

    The shell may take the terminal back between the question and the deed.
    """
    stopping = {signal.SIGTTIN, signal.SIGTTOU}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, stopping)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def set_attributes(descriptor: int, attributes: list[Any]) -> None:
    """Set a terminal's attributes at once; in the background they are the shell's, and stay."""
    if in_foreground(descriptor):
        # not TCSADRAIN: it waits for a terminal that takes nothing
        with _never_stopped(), suppress(termios.error):  # it has been hung up
            termios.tcsetattr(descriptor, termios.TCSANOW, attributes)


def typed(descriptor: int, size: int) -> bytes | None:
    """What has been typed, empty when the terminal is closed, None when there is nothing for us.

    What was there a moment ago the shell may have read, and given us the terminal then: nobody
    must wait here for the next key.
    """
    there = select.poll()
    there.register(descriptor, select.POLLIN)
    if not in_foreground(descriptor) or not there.poll(0):
        return None
    try:
        with _never_stopped():
            return os.read(descriptor, size)
    except OSError:
        return b"" if in_foreground(descriptor) else None


async def watch_stops(
    leave: Callable[[], None],
    resume: Callable[[], None],
    *,
    task_status: "trio.TaskStatus[None]" = trio.TASK_STATUS_IGNORED,
) -> None:
    """When told to stop, leave the terminal and do; tell when the process goes on."""
    wanted = {signal.SIGCONT}
    if signal.getsignal(signal.SIGTSTP) is not signal.SIG_IGN:
        wanted.add(signal.SIGTSTP)
    with trio.open_signal_receiver(*wanted) as signals:
        task_status.started()
        async for number in signals:
            if number == signal.SIGTSTP:
                leave()
                _stop()
            resume()


def _stop() -> None:
    """Stop as if nobody had asked for the signal; comes back when the process goes on."""
    handler = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
    signal.raise_signal(signal.SIGTSTP)
    signal.signal(signal.SIGTSTP, handler)
