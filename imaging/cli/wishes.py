"""What the user wants of a run, as the options have it: known before anything heavy is imported."""

from pathlib import Path

import msgspec

STANDARD_OUTPUT = "-"
STDOUT = 1  # its descriptor
REPORT_SUFFIXES = (".json", ".xml")


class OutputOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What scripts are to have; ``events`` is a file, or ``-`` for standard output."""

    json: bool = False
    events: str | None = None
    report: Path | None = None
    ok_file: Path | None = None
    ko_file: Path | None = None

    @property
    def keeps_standard_output(self) -> bool:
        """Whether nothing else may be printed there."""
        return self.json or self.events == STANDARD_OUTPUT

    @property
    def file_options(self) -> list[str]:
        """The options given that name a file to write."""
        given = {
            "--events": self.events not in (None, STANDARD_OUTPUT),
            "--report": self.report is not None,
            "--ok": self.ok_file is not None,
            "--ko": self.ko_file is not None,
        }
        return [option for option, there in given.items() if there]


NO_OUTPUTS = OutputOptions()


class CommonOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The options that all operations share; ``timeout`` is in seconds, None for the setting."""

    timeout: float | None = None
    quiet: bool = False
    verbose: bool = False
    dry_run: bool = False
    live: bool = False
    strict_lease: bool = False
    outputs: OutputOptions = NO_OUTPUTS
