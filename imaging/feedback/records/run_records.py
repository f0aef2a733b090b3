"""What is kept of a run, transcripts and history, and what earlier runs say about this one.

None of it is a reason for a run to fail, or to wait: the disk is asked in threads, for a few
seconds, and what cannot be done is told once.
"""

import logging
import sys
import time
from collections.abc import Callable
from typing import TypeVar

from imaging.feedback.events import Emit, Event, RunStarted, TypicalKnown
from imaging.feedback.outcomes import ImageFacts, RunReport, Step
from imaging.feedback.records.pace import Pace
from imaging.feedback.records.transcripts import Transcripts, open_transcripts, prune
from imaging.feedback.records.usual import usual_durations, usual_length
from imaging.site.schema import Settings
from imaging.site.state import history_file, transcripts_directory

T = TypeVar("T")

log = logging.getLogger(__name__)

LOAD, SAVE, WAIT = "imaging-load", "imaging-save", "imaging-wait"
TRANSCRIBED = frozenset({LOAD, SAVE, WAIT})  # the commands that have a dialogue with nodes
RECORDED = frozenset({LOAD, SAVE})
OPEN_BUDGET_S = 3.0
LOOKUP_BUDGET_S = 5.0
TICK_S = 1.0


class Records:
    """A sink for a run's events and report; to be closed between the two, whatever happens."""

    def __init__(self, command: str, run_id: str, settings: Settings) -> None:
        """Nothing is made before ``begin``."""
        self.pace = Pace()
        self._command = command
        self._run_id = run_id
        self._settings = settings
        self._transcripts: Transcripts | None = None
        self._image: ImageFacts | None = None

    def close(self, patience_s: float) -> None:
        """End the transcripts: they are complete by then, or their problem is known."""
        if self._transcripts is not None:
            self._transcripts.close(patience_s)

    @property
    def directory(self) -> str:
        """The directory of the run's transcripts, "" when there is none."""
        return str(self._transcripts.directory) if self._transcripts is not None else ""

    async def begin(self) -> str | None:
        """Make the directory of the run's transcripts; gives what is to be told, if anything."""
        import trio

        if self._command not in TRANSCRIBED:
            return None
        with trio.move_on_after(OPEN_BUDGET_S):
            try:
                self._transcripts = await trio.to_thread.run_sync(
                    self._open_transcripts, abandon_on_cancel=True
                )
            except OSError as error:
                return f"no transcripts: cannot make {error.filename}: {error.strerror}"
            return None
        return f"no transcripts: their directory did not answer in {OPEN_BUDGET_S:g} s"

    def _open_transcripts(self) -> Transcripts:
        directory = transcripts_directory(self._settings)
        return open_transcripts(directory, self._run_id, self._settings.transcripts)

    def take(self, event: Event) -> None:
        """Keep an event."""
        if isinstance(event, RunStarted):
            self._image = event.image
        self.pace.take(event)
        if self._transcripts is not None:
            self._transcripts.take(event)

    async def watch(self, emit: Emit) -> None:
        """Tell which steps take far longer than usual, until cancelled; and tidy up meanwhile."""
        import trio

        if self._transcripts is not None:
            await self._in_thread(self._prune)
        if self._command in RECORDED:
            typical = await self._in_thread(self._look_up)
            if typical:
                emit(TypicalKnown(time.time(), typical))
        while self.pace.typical:
            await trio.sleep(TICK_S)
            for notice in self.pace.slow(time.time()):
                emit(notice)
        await trio.sleep_forever()

    async def _in_thread(self, work: Callable[[], T]) -> T | None:
        """Do what the run does not wait for, as long as it is bearable."""
        import trio

        with trio.move_on_after(LOOKUP_BUDGET_S):
            return await trio.to_thread.run_sync(work, abandon_on_cancel=True)
        return None

    def _prune(self) -> None:
        directory = transcripts_directory(self._settings)
        removed = prune(directory, self._settings.transcripts, time.time())
        if removed:
            log.info("- removed the transcripts of %d old runs", removed)

    async def usual_length(self, image: ImageFacts | None) -> float | None:
        """How many seconds such a run usually takes, as far as earlier ones tell."""
        if self._command not in RECORDED:
            return None
        usual = await self._in_thread(lambda: self._usual(image))
        return usual_length(usual or {})

    def _look_up(self) -> dict[Step, float]:
        """How long the steps of this run usually take."""
        return self._usual(self._image)

    def _usual(self, image: ImageFacts | None) -> dict[Step, float]:
        """From the history; what is wrong with it is told later."""
        from imaging.feedback.records.history import HistoryError

        try:
            return usual_durations(history_file(self._settings), self._command, image)
        except HistoryError as error:
            log.debug("- %s", error)
            return {}

    def finish(self, report: RunReport) -> None:
        """Record the run, and tell what could not be kept."""
        problems = []
        if self._transcripts is not None and self._transcripts.problem is not None:
            problems.append(f"the transcripts are incomplete: {self._transcripts.problem}")
        if self._command in RECORDED:
            from imaging.feedback.records.history_sink import HistorySink

            history = HistorySink(history_file(self._settings), self._settings.history.keep_runs)
            history.finish(report)
            if history.problem is not None:
                problems.append(f"this run is not recorded: {history.problem}")
        for problem in problems:
            log.warning("%s", problem)
            print(f"{self._command}: {problem}", file=sys.stderr)
