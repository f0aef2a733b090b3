"""One run of an operation: services around one cancel scope, and all who are told."""

import logging
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeVar

from msgspec.structs import replace

from imaging.cli.interrupts import (
    cancel_on_signal,
    command_age,
    heeded_signals,
    is_interrupt,
)
from imaging.cli.outputs import Outputs
from imaging.cli.streams import StandardOutput
from imaging.cli.watchdog import Watchdog
from imaging.cli.wishes import STANDARD_OUTPUT, CommonOptions
from imaging.errors import ImagingError, InfrastructureError, Reason, first_leaf
from imaging.feedback.board import Board
from imaging.feedback.display.displays import choose_display
from imaging.feedback.events import Emit, Event, NodeFinished, Noticed, RunStarted
from imaging.feedback.log import log_event
from imaging.feedback.outcomes import ImageFacts, NodeOutcome, RunReport
from imaging.feedback.records.run_records import Records
from imaging.feedback.results import Detail, Results
from imaging.feedback.sinks import Display, Sink
from imaging.feedback.wording import LATEST_S
from imaging.operations.descriptors import allow_descriptors
from imaging.site.schema import Settings
from imaging.site.user import login_name

if TYPE_CHECKING:
    import trio  # imported when it is used: imaging-nodes does not wait for it

    from imaging.operations.authorization import Authorization

log = logging.getLogger(__name__)

# a timeout is hard, and who has pressed Ctrl-C does not wait: three may take this in turn
INTERRUPT_LIMIT_S = 5.0  # from a signal to the end, whatever hangs
SHORT_PATIENCE_S, LONG_PATIENCE_S = 0.25, 3.0
ADVICE_PATIENCE_S = 1.0  # of who only reads, for what the leases have to say


class Plan(Protocol):
    """What an operation is about to do, all checks done."""

    @property
    def node_names(self) -> Sequence[str]:
        """The subject nodes."""

    @property
    def summary(self) -> str:
        """The whole plan in one line."""

    @property
    def image_facts(self) -> ImageFacts | None:
        """The image of the run, if there is one."""

    @property
    def quorum(self) -> int | None:
        """How many nodes must be fine for the run to be; None is all of them."""

    def describe(self) -> list[str]:
        """What a dry run prints."""


P = TypeVar("P", bound=Plan)


@dataclass(slots=True)
class Operation:
    """One run; ``timeout`` is in seconds from the beginning of the command.

    ``unauthorized`` is the plan of a user who may not act: then ``failure`` says why, and no node
    was touched.
    """

    command: str
    options: CommonOptions
    results: Results
    run_id: str
    timeout: float
    settings: Settings
    watchdog: Watchdog
    authorization: "Authorization"
    only_reads: bool = False
    board: Board = field(default_factory=Board)
    sinks: list[Sink] = field(default_factory=list)
    records: Records = field(init=False)
    signalled: signal.Signals | None = None
    failure: InfrastructureError | None = None
    unauthorized: Plan | None = None
    dry: list[str] | None = None
    output: StandardOutput = field(init=False)

    def __post_init__(self) -> None:
        """Have somewhere to print: standard output, unless scripts have it."""
        theirs = self.options.outputs.keeps_standard_output
        self.output = StandardOutput(self.command, as_errors=theirs)
        self.records = Records(self.command, self.run_id, self.settings)

    def run(self, prepare: Callable[[], P], operate: Callable[[P, Emit], Awaitable[None]]) -> int:
        """Check, carry out, tell; gives the exit code. Raises ImagingError when refused."""
        import trio

        outputs = Outputs(self.options.outputs, self.results)

        def checked() -> P:
            outputs.check()
            plan = prepare()
            allow_descriptors(len(plan.node_names))
            if not self.options.dry_run:
                self.sinks.extend(outputs.open())
            return plan

        display = choose_display(
            self.board,
            self._detail(),
            live=self.options.live,
            events_on_output=self.options.outputs.events == STANDARD_OUTPUT,
        )
        self.sinks.append(self.records)
        bug: BaseExceptionGroup | None = None
        try:
            with display.shown():
                trio.run(self._main, checked, operate, display)
        except BaseExceptionGroup as group:
            if not is_interrupt(group):
                bug = group
                why = f"internal error: {first_leaf(group)!r}"
                self.failure = InfrastructureError(why, reason=Reason.INTERNAL)
            self._conclude(self._record)  # the second signal, or a bug: tell what is known
        finally:
            self.records.close(self._patience)
        self._let_it_be_told()
        if bug is not None:
            if self.board.nodes:
                self._finish(ended=True)  # what has happened to disks is to be known
            raise bug
        if self.dry is not None:
            self.output.tell(self.dry)
            self._tell_failure()
            code = 0 if self.unauthorized is None else 1
        else:
            if self.unauthorized is not None:
                # told to scripts only, when there is no display any more: nothing has happened
                self._start(self.unauthorized, self._record)
                self._conclude(self._record)
            code = self._result(outputs)
        return 1 if self.output.failed else code

    @staticmethod
    def _let_it_be_told() -> None:
        """What has happened is known: one more signal changes nothing, a second one ends it."""
        received: list[int] = []

        def take(number: int, _frame: object) -> None:
            if received:
                os._exit(1)
            received.append(number)

        for number in heeded_signals():
            signal.signal(number, take)

    @property
    def _patience(self) -> float:
        """How long whoever is told the end may wait for a disk, in seconds."""
        hurried = self.signalled is not None or time.time() > self.board.deadline - LONG_PATIENCE_S
        return SHORT_PATIENCE_S if hurried else LONG_PATIENCE_S

    async def _main(
        self,
        prepare: Callable[[], P],
        operate: Callable[[P, Emit], Awaitable[None]],
        display: Display,
    ) -> None:
        import trio

        def record(event: Event) -> None:
            self._record(event)
            if isinstance(event, NodeFinished):
                self._print_finished(event.outcome, display)

        def emit(event: Event) -> None:
            record(event)
            display.take(event)

        refused: ImagingError | None = None
        async with trio.open_nursery() as services:
            scope = trio.CancelScope()
            scope.deadline = trio.current_time() + self.timeout - command_age()
            await services.start(cancel_on_signal, scope, partial(self._heed, display))
            services.start_soon(display.run)
            services.start_soon(self.authorization.look)
            with scope:
                try:
                    plan = await trio.to_thread.run_sync(prepare, abandon_on_cancel=True)
                    notice = await self._authorize(plan)
                    if self.options.dry_run:
                        self.dry = [*plan.describe(), *([notice] if notice else [])]
                    elif self.unauthorized is None:
                        await self._carry_out(plan, notice, operate, emit, services)
                except ImagingError as error:
                    refused = error
            # the summary names these nodes a moment later, when there is one
            named_later = self.results.names_failures and self._tells_results
            self._conclude(record if named_later else emit)
            services.cancel_scope.cancel(reason="the run is over")
        if refused is not None:
            raise refused

    def _record(self, event: Event) -> None:
        """Have an event folded and kept; what is kept has also what only the board knows."""
        self.board.fold(event)
        whole = self.board.completed(event)
        log_event(whole)
        for sink in self.sinks:
            sink.take(whole)

    def _detail(self) -> Detail:
        """How much of the progress is told: what the user said, else what suits the command."""
        if self.options.quiet:
            return Detail.NOTHING if self.results.as_finished else Detail.FAILURES
        return Detail.STEPS if self.options.verbose else self.results.detail

    def _print_finished(self, outcome: NodeOutcome, display: Display) -> None:
        if self.results.as_finished is not None and self._tells_results:
            display.clear()
            self.output.tell([self.results.as_finished(outcome)])

    @property
    def _tells_results(self) -> bool:
        return not (self.options.quiet or self.options.outputs.json)

    async def _authorize(self, plan: P) -> str | None:
        """See that the user may act; gives what is to be told about it, if anything."""
        if self.only_reads or not self.authorization.needed:
            return None
        left = self.timeout - command_age()
        usual = await self.records.usual_length(plan.image_facts)
        until = min(time.time() + (left if usual is None else min(usual, left)), LATEST_S - 1)
        try:
            return await self.authorization.require(plan.node_names, until)
        except InfrastructureError as error:
            self.failure, self.unauthorized = error, plan
            self.sinks.remove(self.records)  # nothing has happened
            return None

    def _start(self, plan: Plan, emit: Emit) -> None:
        emit(
            RunStarted(
                time.time(),
                self.run_id,
                self.command,
                tuple(plan.node_names),
                plan.summary,
                timeout=self.timeout - command_age(),
                user=login_name(),
                image=plan.image_facts,
                quorum=plan.quorum,
                transcripts=self.records.directory,
            )
        )

    async def _carry_out(
        self,
        plan: P,
        notice: str | None,
        operate: Callable[[P, Emit], Awaitable[None]],
        emit: Emit,
        services: "trio.Nursery",
    ) -> None:
        not_kept = await self.records.begin()
        self._start(plan, emit)
        for message in (not_kept, notice):
            if message is not None:
                emit(Noticed(time.time(), None, message))
        services.start_soon(self.records.watch, emit)
        try:
            async with self._advised(plan, emit):
                await operate(plan, emit)
        except* InfrastructureError as group:
            leaf = first_leaf(group)
            assert isinstance(leaf, InfrastructureError)
            self.failure = leaf

    @asynccontextmanager
    async def _advised(self, plan: P, emit: Emit) -> AsyncIterator[None]:
        """Tell who only reads whose the nodes are, meanwhile: that is no reason to wait."""
        import trio

        shown = self._detail() >= Detail.BAR
        if not (self.only_reads and self.authorization.needed and shown):
            yield
            return

        async def advise() -> None:
            message = await self.authorization.advise(plan.node_names)
            if message is not None:
                emit(Noticed(time.time(), None, message))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(advise)
            yield
            nursery.cancel_scope.deadline = trio.current_time() + ADVICE_PATIENCE_S

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

    def _result(self, outputs: Outputs) -> int:
        if not self.board.nodes:
            what = (
                f"interrupted by {self.signalled.name}"
                if self.signalled
                else f"not done within {self.timeout:g} s"
            )
            print(f"{self.command}: {what}, before any node was touched", file=sys.stderr)
            return 1
        report = self._finish(ended=self.signalled is not None)
        self._tell_failure()
        failures = outputs.failures()
        for failure in [*outputs.losses(), *failures]:
            print(f"{self.command}: {failure}", file=sys.stderr)
        if self._tells_results and self.unauthorized is None:
            self.output.tell(self.results.at_end(report))
        return 1 if failures else report.exit_code

    def _finish(self, *, ended: bool) -> RunReport:
        """Give the report to all sinks; ``ended`` is whether something has ended the run early."""
        report = replace(self.board.report(time.time()), patience=self._patience, interrupted=ended)
        for sink in reversed(self.sinks):  # the files that were asked for come first
            sink.finish(report)
        return report

    def _tell_failure(self) -> None:
        """Why the whole run failed, if it did."""
        if self.failure is not None:
            untouched = "" if self.unauthorized is None else "; no node was touched"
            print(f"{self.command}: {self.failure}{untouched}", file=sys.stderr)

    def _heed(self, display: Display, number: signal.Signals) -> bool:
        """Whether a signal ends the run: Ctrl-C may be asked about first."""
        if number == signal.SIGINT and display.asks_before_interrupt():
            return False
        self.signalled = number
        self.watchdog.limit(INTERRUPT_LIMIT_S)
        return True
