"""The one way every command runs: errors, signals, timeout, display, log, report, exit code.

``run`` is for commands that only read; ``run_operation`` is for those that work on nodes. Both
return the exit code: 0 when all went fine for all subject nodes, 1 for anything that went wrong
with them, 2 for what was found wrong before any node was touched.
"""

import logging
import os
import secrets
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from imaging.errors import ImagingError, InfrastructureError, Reason
from imaging.feedback.board import Board
from imaging.feedback.events import Emit, Event, NodeFinished, RunStarted
from imaging.feedback.log import log_event, open_log
from imaging.feedback.outcomes import NodeOutcome
from imaging.feedback.plain import PlainDisplay
from imaging.feedback.results import Detail, Results
from imaging.site.inventory import Inventory, load_inventory
from imaging.site.schema import Settings
from imaging.site.settings import load_settings

if TYPE_CHECKING:
    import trio  # imported when it is used: imaging-nodes does not wait for it

log = logging.getLogger(__name__)

INTERNAL_ERROR = 1
DEFAULT_RESULTS = Results()
STOPPING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class Site:
    """What is known before anything happens: settings and inventory."""

    settings: Settings
    inventory: Inventory


@dataclass(frozen=True, slots=True, kw_only=True)
class CommonOptions:
    """The options that all operations share; ``timeout`` is in seconds, None for the setting."""

    timeout: float | None = None
    quiet: bool = False
    verbose: bool = False
    dry_run: bool = False


class Plan(Protocol):
    """What an operation is about to do, all checks done."""

    @property
    def node_names(self) -> Sequence[str]:
        """The subject nodes."""

    @property
    def summary(self) -> str:
        """The whole plan in one line."""

    def describe(self) -> list[str]:
        """What a dry run prints."""


P = TypeVar("P", bound=Plan)


def reporting(command: str, body: Callable[[], int]) -> int:
    """Run a command's body, and tell its foreseeable errors in one line each."""
    try:
        return body()
    except ImagingError as error:
        print(f"{command}: {error}", file=sys.stderr)
        return error.exit_code
    except BaseExceptionGroup as group:
        ours, others = group.split(ImagingError)
        if ours is None or others is not None:
            raise
        print(f"{command}: {_first_leaf(ours)}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # the reader of our output has gone, as in `| head`; nothing is left to be said to it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def run(command: str, body: Callable[[Site], int]) -> int:
    """Run a command that needs the site's settings and inventory."""

    def with_site() -> int:
        settings = load_settings().settings
        return body(Site(settings, load_inventory(settings.inventory.file)))

    return reporting(command, with_site)


def run_with_settings(command: str, body: Callable[[Settings], int]) -> int:
    """Run a command that needs the site's settings only: it works without an inventory."""
    return reporting(command, lambda: body(load_settings().settings))


def run_operation(
    command: str,
    options: CommonOptions,
    prepare: Callable[[Site], P],
    operate: Callable[[P, Emit], Awaitable[None]],
    default_timeout: Callable[[Settings], float],
    results: Results = DEFAULT_RESULTS,
) -> int:
    """Run a command that works on nodes.

    ``prepare`` makes every check and gives the plan (in a thread, so that a hung file system
    cannot outlast the timeout); ``operate`` carries it out and emits the events; ``results`` is
    what is printed of the outcomes.
    """

    def body(site: Site) -> int:
        import trio

        timeout = options.timeout if options.timeout is not None else default_timeout(site.settings)
        run_id = f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"
        with open_log(site.settings.log.file, run_id, site.settings.log.level) as log_file:
            operation = _Operation(command, options, results, run_id, timeout)
            try:
                return trio.run(operation.main, lambda: prepare(site), operate)
            except ImagingError:
                raise
            except BaseException as error:
                log.exception("internal error")
                print(
                    f"{command}: internal error: {_first_leaf(error)!r}; "
                    f"the traceback is in {log_file}",
                    file=sys.stderr,
                )
                return INTERNAL_ERROR

    return run(command, body)


def _first_leaf(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def process_age() -> float:
    """Seconds since this process was started: the timeout counts from there (Linux's /proc)."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    started = int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started


@dataclass(slots=True)
class _Operation:
    """One run of an operation: services around one cancel scope."""

    command: str
    options: CommonOptions
    results: Results
    run_id: str
    timeout: float
    board: Board = field(default_factory=Board)
    signalled: signal.Signals | None = None
    failure: InfrastructureError | None = None

    async def main(
        self, prepare: Callable[[], P], operate: Callable[[P, Emit], Awaitable[None]]
    ) -> int:
        import trio

        display = PlainDisplay(self.board, sys.stderr, self._detail())

        def record(event: Event) -> None:
            self.board.fold(event)
            log_event(event)
            if isinstance(event, NodeFinished):
                self._print_finished(event.outcome, display)

        def emit(event: Event) -> None:
            record(event)
            display.take(event)

        refused: ImagingError | None = None
        dry: list[str] | None = None
        async with trio.open_nursery() as services:
            scope = trio.CancelScope()
            scope.deadline = trio.current_time() + self.timeout - process_age()
            await services.start(self._watch_signals, scope)
            services.start_soon(display.run)
            with scope:
                try:
                    plan = await trio.to_thread.run_sync(prepare, abandon_on_cancel=True)
                    if self.options.dry_run:
                        dry = plan.describe()
                    else:
                        await self._carry_out(plan, operate, emit)
                except ImagingError as error:
                    refused = error
            # the summary names these nodes a moment later; when quiet, there is none
            self._conclude(emit if self.options.quiet else record)
            services.cancel_scope.cancel(reason="the run is over")
        if refused is not None:
            raise refused
        if dry is not None:
            print("\n".join(dry))
            return 0
        return self._result()

    def _detail(self) -> Detail:
        """How much of the progress is told: what the user said, else what suits the command."""
        if self.options.quiet:
            return Detail.NOTHING if self.results.as_finished else Detail.FAILURES
        return Detail.STEPS if self.options.verbose else self.results.detail

    def _print_finished(self, outcome: NodeOutcome, display: PlainDisplay) -> None:
        if self.results.as_finished is not None and not self.options.quiet:
            display.clear()
            print(self.results.as_finished(outcome), flush=True)

    async def _carry_out(
        self, plan: P, operate: Callable[[P, Emit], Awaitable[None]], emit: Emit
    ) -> None:
        names = tuple(plan.node_names)
        emit(RunStarted(time.time(), self.run_id, self.command, names, plan.summary))
        try:
            await operate(plan, emit)
        except* InfrastructureError as group:
            leaf = _first_leaf(group)
            assert isinstance(leaf, InfrastructureError)
            self.failure = leaf

    def _conclude(self, emit: Emit) -> None:
        """Give every node that the end of the run found at work its outcome."""
        if self.failure is not None:
            reason, message = self.failure.reason, str(self.failure)
        elif self.signalled is not None:
            reason, message = Reason.INTERRUPTED, f"interrupted by {self.signalled.name}"
        else:
            reason, message = Reason.TIMEOUT, f"not done within {self.timeout:g} s"
        for name in self.board.unfinished:
            outcome = self.board.interrupted_outcome(name, reason, message)
            emit(NodeFinished(time.time(), outcome))

    def _result(self) -> int:
        if not self.board.nodes:
            what = (
                f"interrupted by {self.signalled.name}"
                if self.signalled
                else f"not done within {self.timeout:g} s"
            )
            print(f"{self.command}: {what}, before any node was touched", file=sys.stderr)
            return 1
        if self.failure is not None:
            print(f"{self.command}: {self.failure}", file=sys.stderr)
        report = self.board.report(time.time())
        lines = [] if self.options.quiet else self.results.at_end(report)
        if lines:
            print("\n".join(lines), flush=True)
        return report.exit_code

    async def _watch_signals(
        self,
        scope: "trio.CancelScope",
        *,
        task_status: "trio.TaskStatus[None]",
    ) -> None:
        """Cancel the run at the first signal; the second one means it."""
        import trio

        # what the parent has told us to ignore (nohup, a background job) stays ignored
        wanted = [s for s in STOPPING_SIGNALS if signal.getsignal(s) is not signal.SIG_IGN]
        with trio.open_signal_receiver(*wanted) as signals:
            task_status.started()
            async for number in signals:
                if self.signalled is not None:
                    raise KeyboardInterrupt
                self.signalled = signal.Signals(number)
                scope.cancel(reason=self.signalled.name)
