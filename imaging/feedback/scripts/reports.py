"""The report of a run as a document for scripts: pure functions of the report.

The types are the format: ``docs/report.schema.json`` is made from them. A field is never taken
away or given another meaning without another ``format_version``; new ones may come.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from imaging.errors import Reason
from imaging.feedback.outcomes import ImageFacts, NodeOutcome, RunReport, Step
from imaging.feedback.records.transcripts import transcript_path
from imaging.feedback.wording import encodable

FORMAT_VERSION: Literal[1] = 1

Count = Annotated[int, Meta(ge=0)]
Seconds = Annotated[float, Meta(ge=0)]
Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Moment = Annotated[
    str,
    Meta(
        description="in UTC, with milliseconds",
        pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$",
        extra_json_schema={"format": "date-time"},
    ),
]


class ImageDocument(msgspec.Struct, frozen=True, kw_only=True):
    """The image of a run; ``size`` is that of its file in bytes, 0 when there is none (yet)."""

    name: str
    path: str
    size: Count
    sha256: Sha256 | None


class AttemptDocument(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt on one node.

    ``reason``, ``step`` and ``message`` are null when all went fine. ``detail`` is what a node
    that was asked something answered, ``durations`` are seconds per step that ended, ``size`` is
    how many bytes of image were transferred, ``transcript`` is the file of what was said with the
    node, when it is kept.
    """

    node: str
    outcome: Literal["ok", "failed"]
    reason: Reason | None
    step: Step | None
    message: str | None
    detail: str | None
    durations: dict[Step, Seconds]
    size: Count
    transcript: str | None


class NodeDocument(AttemptDocument, frozen=True, kw_only=True):
    """What became of one node: its last attempt, and the earlier ones, which failed."""

    attempts: list[AttemptDocument]


class ReportDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A whole run, and what became of each of its nodes, in their order.

    ``elapsed`` is in seconds. ``exit_code`` is 0 when all went fine for all nodes, or for
    ``quorum`` of them when that is not null. ``image`` is null for commands that have none;
    ``transcripts`` is the directory of what was said in the run, when it is kept.
    """

    format_version: Literal[1]
    run_id: str
    command: str
    user: str
    summary: str
    start: Moment
    end: Moment
    elapsed: Seconds
    exit_code: Literal[0, 1]
    quorum: Count | None
    image: ImageDocument | None
    transcripts: str | None
    nodes: list[NodeDocument]


def report_document(report: RunReport) -> ReportDocument:
    """A report as the document that scripts read."""
    return ReportDocument(
        format_version=FORMAT_VERSION,
        run_id=report.run_id,
        command=report.command,
        user=encodable(report.user),
        summary=encodable(report.summary),
        start=moment(report.started),
        end=moment(report.started + report.elapsed),
        elapsed=seconds(report.elapsed),
        exit_code=0 if report.exit_code == 0 else 1,
        quorum=report.quorum,
        image=image_document(report.image),
        transcripts=encodable(report.transcripts) or None,
        nodes=[node_document(outcome, report.transcripts) for outcome in report.outcomes],
    )


def report_lines(report: RunReport) -> list[str]:
    """A report as one JSON object."""
    return [msgspec.json.format(msgspec.json.encode(report_document(report)), indent=2).decode()]


def image_document(image: ImageFacts | None) -> ImageDocument | None:
    """What is known of an image."""
    if image is None:
        return None
    return ImageDocument(
        name=encodable(image.name),
        path=encodable(image.path),
        size=image.size,
        sha256=image.sha256 or None,
    )


def node_document(outcome: NodeOutcome, transcripts: str) -> NodeDocument:
    """What became of one node; ``transcripts`` is the directory of the run's, or ""."""
    earlier = [attempt_document(attempt, transcripts) for attempt in outcome.attempts]
    last = msgspec.structs.asdict(attempt_document(outcome, transcripts))
    return NodeDocument(**last, attempts=earlier)


def attempt_document(outcome: NodeOutcome, transcripts: str) -> AttemptDocument:
    """One attempt on one node, without those before it."""
    return AttemptDocument(
        node=encodable(outcome.node),
        outcome="ok" if outcome.ok else "failed",
        reason=outcome.reason,
        step=outcome.step,
        message=encodable(outcome.message.removeprefix(f"{outcome.node}: ")) or None,
        detail=encodable(outcome.detail) or None,
        durations={step: seconds(took) for step, took in outcome.durations.items()},
        size=outcome.size,
        transcript=transcript_text(transcripts, outcome.node),
    )


def transcript_text(transcripts: str, node: str) -> str | None:
    """The file of what was said with one node, in the directory of the run's transcripts."""
    return encodable(str(transcript_path(transcripts, node))) if transcripts else None


def names_text(outcomes: Sequence[NodeOutcome]) -> str:
    """Names of nodes, one per line: a shell's ``$(cat FILE)`` makes a selection of them."""
    return "".join(f"{outcome.node}\n" for outcome in outcomes)


def ok_names(report: RunReport) -> str:
    """The nodes for which all went fine, one per line."""
    return names_text([outcome for outcome in report.outcomes if outcome.ok])


def failed_names(report: RunReport) -> str:
    """The nodes for which something went wrong, one per line."""
    return names_text(report.failed)


def moment(at: float) -> str:
    """Seconds since the epoch as a date in UTC."""
    text = datetime.fromtimestamp(round(at, 3), UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def seconds(duration: float) -> float:
    """A duration as it is told: to the millisecond; a clock that was set back gives no less."""
    return max(0.0, round(duration, 3))
