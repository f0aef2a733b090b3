"""How a command is told to end, and which exceptions say that it was."""

import signal
import time
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

import imaging
from imaging.errors import InfrastructureError, Reason

if TYPE_CHECKING:
    import trio

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


async def cancel_on_signal(
    scope: "trio.CancelScope",
    heed: Callable[[signal.Signals], bool],
    *,
    task_status: "trio.TaskStatus[None]",
) -> None:
    """Cancel at the first signal that ``heed`` accepts; after that one, the next one means it.

    That one raises KeyboardInterrupt. ``heed`` is asked before anything is cancelled.
    """
    import trio

    is_ending = False
    with trio.open_signal_receiver(*heeded_signals()) as signals:
        task_status.started()
        async for number in signals:
            if is_ending:
                raise KeyboardInterrupt
            heard = signal.Signals(number)
            if heed(heard):
                is_ending = True
                scope.cancel(reason=heard.name)


def is_interrupt(error: BaseException) -> bool:
    """Whether this is Ctrl-C and nothing else, in groups or not."""
    if isinstance(error, BaseExceptionGroup):
        return all(map(is_interrupt, error.exceptions))
    return isinstance(error, KeyboardInterrupt)


def command_age() -> float:
    """Seconds since the command began."""
    return time.monotonic() - imaging.STARTED
