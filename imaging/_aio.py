"""The asyncio loop that asyncssh and telnetlib3 need, inside trio: the only import of trio_asyncio.

The loop must be the outermost thing of a run, so that no task outlives it.
"""

import asyncio
import logging
import sys
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, ParamSpec, TypeVar

import trio


def _mend_python_3_14() -> None:
    """Give trio-asyncio 0.16 what it needs of asyncio, and Python 3.14 has no more.

    Two names are gone of which it derives classes; that of the watcher is never used, since we
    start no process by asyncio. And the tasks of 3.14 ask the thread which loop is running, where
    trio-asyncio has only replaced ``asyncio.get_running_loop``. It is told for as long as a
    callback runs, and not between them, when it is the turn of trio's tasks.
    """
    library: Any = asyncio
    library.AbstractChildWatcher = type("AbstractChildWatcher", (), {})
    library.events.BaseDefaultEventLoopPolicy = library.events._BaseDefaultEventLoopPolicy
    get_running_loop, set_running_loop = library._get_running_loop, library._set_running_loop
    run = library.Handle._run

    def run_in_its_loop(handle: Any) -> None:
        before = get_running_loop()
        set_running_loop(handle._loop)
        try:
            run(handle)
        finally:
            set_running_loop(before)

    library.Handle._run = run_in_its_loop


if sys.version_info >= (3, 14):
    _mend_python_3_14()

with warnings.catch_warnings():
    # of its own making, on Python 3.12 and later; a user with -W default has no use for it
    warnings.filterwarnings("ignore", ".*is deprecated", DeprecationWarning)
    import trio_asyncio

P = ParamSpec("P")
T = TypeVar("T")

log = logging.getLogger(__name__)


def _log_stray_error(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Keep an error in an asyncio callback from ending the loop, and with it the whole run."""
    log.warning("asyncio: %s", context.get("message"), exc_info=context.get("exception"))


def _run_all_that_is_ready(loop: Any) -> None:
    """Have a turn of the loop run all callbacks that wait, as asyncio does.

    trio-asyncio 0.16 runs a single one between two turns of all of trio's tasks. With a thousand
    nodes at work, a turn takes long on a busy host, and a console needs dozens of callbacks.
    """
    run_one = getattr(loop, "_main_loop_one", None)
    waiting = getattr(loop, "_q_recv", None)
    if run_one is None or waiting is None:  # a later release, which is taken as it is
        return

    async def run_all(no_wait: bool = False) -> None:
        await run_one(no_wait)
        # not those that are added meanwhile: trio's tasks have their turn in between
        for _ in range(waiting.statistics().current_buffer_used):
            try:
                await run_one(no_wait=True)
            except trio.WouldBlock:
                return

    loop._main_loop_one = run_all


@asynccontextmanager
async def open_aio() -> AsyncIterator[asyncio.AbstractEventLoop]:
    """Run an asyncio loop for as long as the block lasts."""
    async with trio_asyncio.open_loop() as loop:
        loop.set_exception_handler(_log_stray_error)
        _run_all_that_is_ready(loop)
        yield loop


async def from_aio(function: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
    """Await the asyncio coroutine function from trio; cancelling cancels it there too."""
    result: T = await trio_asyncio.aio_as_trio(function)(*args, **kwargs)
    return result
