"""The leases of this site, wherever they are kept.

::

    async with open_leases(settings.leases) as leases:
        if leases is not None:  # this site has leases
            held = await leases.current(time.time())
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from imaging.leases.backend import Credentials, LeaseBackend
from imaging.site.schema import LeasesSettings


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
