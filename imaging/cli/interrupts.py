"""How a command is told to end, and which exceptions say that it was."""

import signal
import time
from types import FrameType
from typing import NoReturn

import imaging
from imaging.errors import InfrastructureError, Reason

STOPPING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def heeded_signals() -> list[signal.Signals]:
    """Those that end a command; what the parent ignores (nohup, a background job) stays so."""
    return [s for s in STOPPING_SIGNALS if signal.getsignal(s) is not signal.SIG_IGN]


def raise_on_signals() -> None:
    """Have a signal end a command that cleans up on its way out: it raises InfrastructureError."""
    for number in heeded_signals():
        signal.signal(number, _leave)


def _leave(number: int, _frame: FrameType | None) -> NoReturn:
    signal.signal(number, signal.SIG_IGN)  # one more must not disturb the cleaning up
    name = signal.Signals(number).name
    raise InfrastructureError(f"interrupted by {name}", reason=Reason.INTERRUPTED)


def is_interrupt(error: BaseException) -> bool:
    """Whether this is Ctrl-C and nothing else, in groups or not."""
    if isinstance(error, BaseExceptionGroup):
        return all(map(is_interrupt, error.exceptions))
    return isinstance(error, KeyboardInterrupt)


def command_age() -> float:
    """Seconds since the command began."""
    return time.monotonic() - imaging.STARTED
