"""The one way every command runs: errors, signals, timeout, display, log, report, exit code.

``run`` is for commands that only read, ``run_with_settings`` for those that do not even need the
inventory; ``run_operation`` is for those that work on nodes, and ``run_service`` for what goes on
until it is told to end. They all return the exit code: 0 when all went fine for all subject nodes,
1 for anything that went wrong with them, 2 for what was found wrong before any node was touched.
"""

import errno
import logging
import secrets
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from imaging.cli.operation import (
    CommonOptions,
    Operation,
    P,
    command_age,
    first_leaf,
    is_interrupt,
)
from imaging.cli.service import Service
from imaging.cli.streams import StandardOutput, make_errors_unfailing
from imaging.cli.watchdog import Watchdog
from imaging.errors import ImagingError
from imaging.feedback.events import Emit
from imaging.feedback.log import open_log
from imaging.feedback.results import Results
from imaging.site.inventory import Inventory, load_inventory
from imaging.site.schema import Settings
from imaging.site.settings import LoadedSettings, load_settings

if TYPE_CHECKING:
    from imaging.operations.authorization import Authorization  # imports trio

log = logging.getLogger(__name__)

INTERNAL_ERROR = 1
LAST_MOMENT_S = 0.8  # after the timeout, for telling how it ended
OUTPUT_ERRORS = (errno.EPIPE, errno.ENOSPC, errno.EIO)  # of a print(), which names no file
DEFAULT_RESULTS = Results()


@dataclass(frozen=True, slots=True)
class Site:
    """What is known before anything happens: settings and inventory."""

    settings: Settings
    inventory: Inventory


@dataclass(frozen=True, slots=True)
class RunSite(Site):
    """The same for a run, and whether its user may act."""

    authorization: "Authorization"


def reporting(command: str, body: Callable[[], int]) -> int:
    """Run a command's body, and tell its foreseeable errors in one line each."""
    make_errors_unfailing()
    output = StandardOutput(command)
    try:
        code = body()
        output.flush()
        return 1 if output.failed else code
    except ImagingError as error:
        print(f"{command}: {error}", file=sys.stderr)
        return error.exit_code
    except BaseExceptionGroup as group:
        ours, others = group.split(ImagingError)
        if ours is None or others is not None:
            raise
        print(f"{command}: {first_leaf(ours)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{command}: interrupted", file=sys.stderr)
        return 1
    except OSError as error:
        if error.filename is not None or error.errno not in OUTPUT_ERRORS:
            raise
        output.give_up(error)
        return 1


def run(command: str, body: Callable[[Site], int]) -> int:
    """Run a command that needs the site's settings and inventory."""

    def with_site() -> int:
        settings = load_settings().settings
        return body(Site(settings, load_inventory(settings.inventory.file)))

    return reporting(command, with_site)


def run_with_settings(command: str, body: Callable[[LoadedSettings], int]) -> int:
    """Run a command that needs the settings only: it works when the inventory does not."""
    return reporting(command, lambda: body(load_settings()))


def run_operation(
    command: str,
    options: CommonOptions,
    prepare: Callable[[RunSite], P],
    operate: Callable[[P, Emit], Awaitable[None]],
    default_timeout: Callable[[Settings], float],
    results: Results = DEFAULT_RESULTS,
    *,
    only_reads: bool = False,
) -> int:
    """Run a command that works on nodes: who has no lease is refused, unless it ``only_reads``.

    ``prepare`` makes every check and gives the plan (in a thread, so that a hung file system
    cannot outlast the timeout); ``operate`` carries it out and emits the events; ``results`` is
    what is printed of the outcomes.
    """

    def body(site: Site) -> int:
        from imaging.operations.authorization import Authorization

        timeout = options.timeout if options.timeout is not None else default_timeout(site.settings)
        run_id = new_run_id()
        watchdog = Watchdog(command)
        watchdog.limit(timeout - command_age() + LAST_MOMENT_S)
        authorization = Authorization(
            site.settings.leases, strict=options.strict_lease, horizon_s=timeout
        )
        operation = Operation(
            command,
            options,
            results,
            run_id,
            timeout,
            site.settings,
            watchdog,
            authorization,
            only_reads,
        )
        run_site = RunSite(site.settings, site.inventory, authorization)
        try:
            return _logged(
                command, site, run_id, lambda: operation.run(lambda: prepare(run_site), operate)
            )
        finally:
            watchdog.rest()

    return run(command, body)


def run_service(command: str, timeout: float | None, body: Callable[[Site, Service], int]) -> int:
    """Run a command that goes on until it is told to end; ``timeout`` is None for no limit."""

    def with_service(site: Site) -> int:
        service = Service(command, float("inf") if timeout is None else timeout)
        try:
            return _logged(command, site, new_run_id(), lambda: body(site, service))
        finally:
            service.rest()

    return run(command, with_service)


def new_run_id() -> str:
    """A name for a run that no other has: its time, and something random."""
    return f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"


def _logged(command: str, site: Site, run_id: str, body: Callable[[], int]) -> int:
    """Run with the log open, where the traceback of what should not be goes."""
    with open_log(site.settings.log.file, run_id, site.settings.log.level) as log_file:
        try:
            return body()
        except ImagingError:
            raise
        except BaseException as error:
            if is_interrupt(error):
                raise KeyboardInterrupt from error
            log.exception("internal error")
            print(
                f"{command}: internal error: {first_leaf(error)!r}; the traceback is in {log_file}",
                file=sys.stderr,
            )
            return INTERNAL_ERROR
