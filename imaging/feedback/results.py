"""What a command prints on standard output: pure functions of the outcomes."""

import json
from collections.abc import Callable
from enum import IntEnum

import msgspec

from imaging.feedback.display.cells import visible
from imaging.feedback.outcomes import NodeOutcome, RunReport
from imaging.feedback.records.transcripts import transcript_path
from imaging.feedback.scripts.reports import report_lines


class Detail(IntEnum):
    """How much of a run's progress is told, on standard error."""

    NOTHING = 0
    FAILURES = 1
    BAR = 2  # on a terminal, and what is noticed
    MILESTONES = 3
    STEPS = 4  # of every node


def outcome_line(outcome: NodeOutcome, transcript: str = "") -> str:
    """A failed node in one line: its step, its reason word, what happened, and where to look."""
    where = f" at {outcome.step}" if outcome.step else ""
    line = visible(f"{outcome.node}: FAILED{where} ({outcome.reason}): {_message(outcome)}")
    return f"{line}; transcript: {transcript}" if transcript else line


def summary_lines(report: RunReport) -> list[str]:
    """The result of a run: every failed node with step and reason, then the count."""
    total, failed = len(report.outcomes), len(report.failed)
    verdict = f"{report.command}: {total - failed} of {total} nodes done"
    if failed:
        verdict += f", {failed} failed"
    verdict += f" in {report.elapsed:.1f} s"
    if report.quorum is not None:
        enough = "enough" if report.exit_code == 0 else "too few"
        verdict += f": {enough}, as at least {report.quorum} were asked for"
    failures = [outcome_line(outcome, _transcript(report, outcome)) for outcome in report.failed]
    return [*failures, verdict]


def _transcript(report: RunReport, outcome: NodeOutcome) -> str:
    """The node's transcript, when there is one."""
    return str(transcript_path(report.transcripts, outcome.node)) if report.transcripts else ""


def answer_lines(report: RunReport) -> list[str]:
    """One aligned line per node: what it answered, or why it did not; further lines indented."""
    width = max((len(outcome.node) for outcome in report.outcomes), default=0) + 1
    lines = []
    for outcome in report.outcomes:
        answer = outcome.detail if outcome.ok else f"KO ({outcome.reason}: {_message(outcome)})"
        first, *others = answer.splitlines() or [""]
        lines.append(f"{outcome.node + ':':{width}} {first}".rstrip())
        lines.extend(f"{'':{width}} {other}".rstrip() for other in others)
    return lines


def answer_objects(report: RunReport) -> list[str]:
    """The answers as one JSON list: node, ok, answer, reason, message."""
    rows = [
        {
            "node": outcome.node,
            "ok": outcome.ok,
            "answer": outcome.detail if outcome.ok else None,
            "reason": outcome.reason,
            "message": outcome.message or None,
        }
        for outcome in report.outcomes
    ]
    return [json.dumps(rows, indent=1)]


def availability_line(outcome: NodeOutcome, what: str) -> str:
    """``fit01: ssh OK``, or ``fit01: ssh KO (reason)``; ``what`` is ssh or telnet."""
    if outcome.ok:
        return f"{outcome.node}: {what} OK"
    return f"{outcome.node}: {what} KO ({outcome.reason}: {_message(outcome)})"


def _message(outcome: NodeOutcome) -> str:
    """What happened, where the node's name is on the line already."""
    return visible(outcome.message.removeprefix(f"{outcome.node}: "))


class Results(msgspec.Struct, frozen=True):
    """What one command prints: a line as each node ends, and lines at the end of the run.

    ``as_json`` is printed instead of both when the user wants JSON. ``detail`` is how much of the
    progress is told besides, when the user says nothing about it; ``names_failures`` is whether
    the lines at the end name the nodes that failed.
    """

    as_finished: Callable[[NodeOutcome], str] | None = None
    at_end: Callable[[RunReport], list[str]] = summary_lines
    as_json: Callable[[RunReport], list[str]] = report_lines
    detail: Detail = Detail.MILESTONES
    names_failures: bool = True
