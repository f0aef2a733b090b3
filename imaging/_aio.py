"""The asyncio loop that asyncssh and telnetlib3 need, inside trio: the only import of trio_asyncio.

The loop must be the outermost thing of a run, so that no task outlives it.
"""

import asyncio
import logging
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, ParamSpec, TypeVar

with warnings.catch_warnings():
    # of its own making, on Python 3.12 and 3.13; a user with -W default has no use for it
    warnings.filterwarnings("ignore", "'AbstractChildWatcher' is deprecated", DeprecationWarning)
    import trio_asyncio

P = ParamSpec("P")
T = TypeVar("T")

log = logging.getLogger(__name__)


def _log_stray_error(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Keep an error in an asyncio callback from ending the loop, and with it the whole run."""
    log.warning("asyncio: %s", context.get("message"), exc_info=context.get("exception"))


@asynccontextmanager
async def open_aio() -> AsyncIterator[asyncio.AbstractEventLoop]:
    """Run an asyncio loop for as long as the block lasts."""
    async with trio_asyncio.open_loop() as loop:
        loop.set_exception_handler(_log_stray_error)
        yield loop


async def from_aio(function: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
    """Await the asyncio coroutine function from trio; cancelling cancels it there too."""
    result: T = await trio_asyncio.aio_as_trio(function)(*args, **kwargs)
    return result
