"""What a run leaves for scripts: ``--json``, ``--events``, ``--report``, ``--ok`` and ``--ko``."""

import os
from collections.abc import Callable
from pathlib import Path

from imaging.cli.wishes import REPORT_SUFFIXES, STANDARD_OUTPUT, STDOUT, OutputOptions
from imaging.errors import ConfigurationError
from imaging.feedback.events import Event
from imaging.feedback.outcomes import RunReport
from imaging.feedback.results import Results
from imaging.feedback.scripts.files import ReportFile, check_place
from imaging.feedback.scripts.reports import failed_names, ok_names, report_lines
from imaging.feedback.scripts.stream import EventStream, open_stream, write_all
from imaging.feedback.sinks import Sink

Content = Callable[[RunReport], str]


def report_text(report: RunReport) -> str:
    """The report as the text of a JSON file."""
    return "\n".join(report_lines(report)) + "\n"


def junit_text(report: RunReport) -> str:
    """The same as JUnit's XML; few runs want that, and importing it takes a while."""
    from imaging.feedback.scripts import junit

    return junit.junit_text(report)


REPORTS: dict[str, Content] = dict(zip(REPORT_SUFFIXES, (report_text, junit_text), strict=True))


class Outputs:
    """The sinks of one run that write for scripts."""

    def __init__(self, options: OutputOptions, results: Results) -> None:
        """Nothing is looked at or opened yet."""
        self._options = options
        self._results = results
        self._files: list[ReportFile] = []
        self._stream: EventStream | None = None
        self._printed: PrintedObject | None = None

    def check(self) -> None:
        """Look whether all places can be written. Raises ConfigurationError."""
        options, taken = self._options, {}
        contents: list[tuple[Path | None, Content]] = [
            (options.report, REPORTS[options.report.suffix] if options.report else report_text),
            (options.ok_file, ok_names),
            (options.ko_file, failed_names),
        ]
        for path, content in contents:
            if path is not None:
                taken[check_place(path)] = content
        given = [path for path, _ in contents if path is not None]
        if options.events not in (None, STANDARD_OUTPUT):
            given.append(Path(options.events))
        if len({path.resolve() for path in given}) < len(given):
            raise ConfigurationError(
                "two of the files to write are the same one", hint="give each a name of its own"
            )
        self._files = [ReportFile(path, content) for path, content in taken.items()]

    def open(self) -> list[Sink]:
        """The sinks, ready; ``check`` comes before. Raises ConfigurationError."""
        sinks: list[Sink] = [*self._files]
        if self._options.events is not None:
            # not sys.stdout: a full-screen display may keep that for itself by now
            descriptor = open_stream(self._options.events, STDOUT)
            self._stream = EventStream(descriptor, self._options.events)
            sinks.append(self._stream)
        if self._options.json:
            self._printed = PrintedObject(self._results.as_json)
            sinks.append(self._printed)
        return sinks

    def failures(self) -> list[str]:
        """What could not be written, of that which was promised for the end of the run."""
        written: list[ReportFile | PrintedObject] = [*self._files]
        if self._printed is not None:
            written.append(self._printed)
        return [sink.failure for sink in written if sink.failure is not None]

    def losses(self) -> list[str]:
        """What could not be written of the events, which promise nothing."""
        return [self._stream.failure] if self._stream and self._stream.failure else []


class PrintedObject:
    """A sink that prints one JSON object, or list, at the end of the run."""

    def __init__(self, as_json: Callable[[RunReport], list[str]]) -> None:
        """``as_json`` makes the lines to print."""
        self._as_json = as_json
        self.failure: str | None = None

    def take(self, event: Event) -> None:
        """The report tells it all."""

    def finish(self, report: RunReport) -> None:
        """Print it; ``failure`` says why it could not be printed."""
        text = "".join(f"{line}\n" for line in self._as_json(report))
        try:
            # not through the buffer, which would fail once more when the command ends
            write_all(STDOUT, text.encode())
        except OSError as error:
            self.failure = f"cannot print the result: {os.strerror(error.errno or 0)}"
