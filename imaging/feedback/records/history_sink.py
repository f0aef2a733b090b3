"""What records a run in the history, and never fails it."""

import logging
import threading
from pathlib import Path

from imaging.feedback.events import Event
from imaging.feedback.outcomes import RunReport
from imaging.feedback.records.history import HistoryError, open_history

log = logging.getLogger(__name__)


class HistorySink:
    """A sink that records the report. What it cannot do is its ``problem`` afterwards."""

    def __init__(self, path: Path, keep_runs: int | None = None) -> None:
        """``path`` is the history's file, which keeps the last ``keep_runs``; None: all."""
        self._keep_runs = keep_runs
        self.problem: str | None = None
        self._path = path

    def take(self, event: Event) -> None:
        """The report has it all."""

    def finish(self, report: RunReport) -> None:
        """Record the run, or leave it at that after a few seconds."""
        # a daemon: should the disk hang, the command ends all the same
        thread = threading.Thread(target=self._record, args=(report,), name="history", daemon=True)
        thread.start()
        thread.join(report.patience)
        if thread.is_alive():
            self.problem = f"the history {self._path} did not answer in {report.patience:g} s"

    def _record(self, report: RunReport) -> None:
        try:
            with open_history(self._path) as history:
                history.record(report, self._keep_runs)
        except HistoryError as error:
            self.problem = str(error)
        except Exception:
            # a thread has nobody to raise to: the log keeps the traceback
            log.exception("internal error")
            self.problem = "internal error: the traceback is in the log"
