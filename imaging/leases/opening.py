"""The leases of this site, wherever they are kept.

::

    async with open_leases(settings.leases) as leases:
        if leases is not None:  # this site has leases
            held = await leases.current(time.time())
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import trio

from imaging.errors import ConfigurationError
from imaging.leases.backend import Credentials, LeaseBackend
from imaging.leases.lease import LeaseServiceError
from imaging.site.schema import LeasesSettings

T = TypeVar("T")

MAYBE = "it may be done all the same: imaging-leases tells"


@asynccontextmanager
async def open_leases(
    settings: LeasesSettings, credentials: Credentials | None = None
) -> AsyncIterator[LeaseBackend | None]:
    """The backend that the settings name, for the block; None when the site has no leases.

    ``credentials`` are for changing leases where that wants a login.
    """
    match settings.backend:
        case "none":
            yield None
        case "local":
            from imaging.leases.local import LocalLeases

            yield LocalLeases(settings.file)
        case "r2labapi":
            from imaging.leases.r2labapi import open_r2labapi

            async with open_r2labapi(settings, credentials) as backend:
                yield backend


async def ask_leases(
    settings: LeasesSettings,
    question: Callable[[LeaseBackend], Awaitable[T]],
    credentials: Credentials | None = None,
    *,
    changes: bool = False,
) -> T:
    """One question, within the time of the settings; ``changes`` when it has something changed.

    Raises LeaseServiceError, and ConfigurationError where there are no leases.
    """
    try:
        with trio.fail_after(settings.timeout_s):
            async with open_leases(settings, credentials) as leases:
                if leases is None:
                    raise ConfigurationError("this site has no leases: [leases] backend is none")
                return await question(leases)
    except trio.TooSlowError:
        place = settings.url if settings.backend == "r2labapi" else settings.file
        raise LeaseServiceError(
            f"the leases in {place} do not answer within {settings.timeout_s:g} s",
            hint=MAYBE if changes else "see [leases] timeout_s",
        ) from None
