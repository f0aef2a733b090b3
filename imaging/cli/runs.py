"""How commands run that work on nodes: signals, timeout, display, log, report, exit code.

``run_operation`` is for those that come to an end, ``run_service`` for what goes on until it is
told to end. This is imported by commands when they are about to run.
"""

import gc
import logging
import secrets
import sys
import time
from collections.abc import Awaitable, Callable

from imaging.cli.interrupts import command_age, is_interrupt
from imaging.cli.operation import Operation, P
from imaging.cli.restriction import refuse_files
from imaging.cli.service import Service
from imaging.cli.session import Site, run
from imaging.cli.watchdog import Watchdog
from imaging.cli.wishes import CommonOptions
from imaging.errors import ImagingError, first_leaf
from imaging.feedback.events import Emit
from imaging.feedback.log import open_log
from imaging.feedback.results import Results
from imaging.operations.authorization import Authorization
from imaging.site.schema import Settings

log = logging.getLogger(__name__)

INTERNAL_ERROR = 1
# of a run, not of a service: nearly all objects live as long as it does, and it ends soon
COLLECTION_THRESHOLDS = (50_000, 20, 100)
LAST_MOMENT_S = 0.8  # after the timeout, for telling how it ended


class RunSite(Site, frozen=True):
    """The same for a run, and whether its user may act."""

    authorization: Authorization


def run_operation(
    command: str,
    options: CommonOptions,
    prepare: Callable[[RunSite], P],
    operate: Callable[[P, Emit], Awaitable[None]],
    default_timeout: Callable[[Settings], float],
    results: Results,
    *,
    only_reads: bool = False,
) -> int:
    """Run a command that works on nodes: who has no lease is refused, unless it ``only_reads``.

    ``prepare`` makes every check and gives the plan (in a thread, so that a hung file system
    cannot outlast the timeout); ``operate`` carries it out and emits the events; ``results`` is
    what is printed of the outcomes.
    """

    def body(site: Site) -> int:
        refuse_files(options.outputs.file_options, site.settings.leases)
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
        gc.freeze()  # what is imported stays
        gc.set_threshold(*COLLECTION_THRESHOLDS)
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
