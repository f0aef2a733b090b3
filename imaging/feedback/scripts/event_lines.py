"""The events of a run as JSON lines for scripts: pure functions of the events.

The types are the format: ``docs/events.schema.json`` is made from them, for one line. What is
said on the channels is not told here: that is for the transcripts.
"""

import math
from typing import Literal

import msgspec

from imaging.errors import Reason
from imaging.feedback.events import (
    Event,
    ImageHashed,
    NodeFinished,
    NodeRetried,
    Noticed,
    Progressed,
    RunStarted,
    Said,
    Sighted,
    StepDone,
    StepFailed,
    StepStarted,
    TypicalKnown,
)
from imaging.feedback.outcomes import RunReport, Step
from imaging.feedback.scripts.reports import (
    AttemptDocument,
    Count,
    ImageDocument,
    Moment,
    NodeDocument,
    Seconds,
    Sha256,
    attempt_document,
    image_document,
    moment,
    node_document,
    seconds,
)
from imaging.feedback.wording import encodable


class Line(msgspec.Struct, frozen=True, kw_only=True, tag_field="event"):
    """What all lines have: the word of the event, and when it happened."""

    at: Moment


class RunStartedLine(Line, frozen=True, kw_only=True, tag="run-started"):
    """The checks are over, and the nodes are about to be touched; always the first line.

    ``timeout`` is in seconds from ``at`` on, null for none; the rest is as in the report.
    """

    run_id: str
    command: str
    user: str
    summary: str
    nodes: list[str]
    timeout: float | None
    quorum: Count | None
    image: ImageDocument | None
    transcripts: str | None


class ImageHashedLine(Line, frozen=True, kw_only=True, tag="image-hashed"):
    """What the image's file holds is known."""

    sha256: Sha256
    size: Count


class StepStartedLine(Line, frozen=True, kw_only=True, tag="step-started"):
    """A node begins a step."""

    node: str
    step: Step


class StepDoneLine(Line, frozen=True, kw_only=True, tag="step-done"):
    """A node is through with a step; ``duration`` is in seconds."""

    node: str
    step: Step
    duration: Seconds
    detail: str | None


class StepFailedLine(Line, frozen=True, kw_only=True, tag="step-failed"):
    """A step failed: another attempt, or the end of the node follows."""

    node: str
    step: Step
    duration: Seconds
    reason: Reason
    message: str


class ProgressedLine(Line, frozen=True, kw_only=True, tag="progressed"):
    """A transfer went on: ``fraction`` of the whole is done (0 to 1), ``size`` bytes of image."""

    node: str
    fraction: float
    size: Count


class SightedLine(Line, frozen=True, kw_only=True, tag="sighted"):
    """What the last attempt to reach a node has met: nothing new happens until it changes."""

    node: str
    what: str


class NoticedLine(Line, frozen=True, kw_only=True, tag="noticed"):
    """Something worth knowing; ``node`` is null when it is about the whole run."""

    node: str | None
    message: str


class NodeRetriedLine(Line, frozen=True, kw_only=True, tag="node-retried"):
    """An attempt on a node has failed, and the next begins."""

    node: str
    attempt: AttemptDocument


class NodeFinishedLine(Line, frozen=True, kw_only=True, tag="node-finished"):
    """Nothing more happens on this node; ``result`` is as in the report."""

    node: str
    result: NodeDocument


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """How many nodes of the run ended how."""

    ok: Count
    failed: Count


class RunFinishedLine(Line, frozen=True, kw_only=True, tag="run-finished"):
    """The run is over; always the last line. ``elapsed`` is in seconds."""

    exit_code: Literal[0, 1]
    elapsed: Seconds
    counts: Counts


AnyLine = (
    RunStartedLine
    | ImageHashedLine
    | StepStartedLine
    | StepDoneLine
    | StepFailedLine
    | ProgressedLine
    | SightedLine
    | NoticedLine
    | NodeRetriedLine
    | NodeFinishedLine
    | RunFinishedLine
)


class EventLines:
    """Turns the events of one run into lines."""

    def __init__(self) -> None:
        """No event has come yet."""
        self._transcripts = ""

    def line(self, event: Event) -> bytes | None:
        """The line of an event, or None when it has none."""
        if isinstance(event, RunStarted):
            self._transcripts = event.transcripts
        entry = self._entry(event)
        return None if entry is None else _encoded(entry)

    def last_line(self, report: RunReport) -> bytes:
        """The line at the end of the run."""
        failed = len(report.failed)
        counts = Counts(ok=len(report.outcomes) - failed, failed=failed)
        return _encoded(
            RunFinishedLine(
                at=moment(report.started + report.elapsed),
                exit_code=0 if report.exit_code == 0 else 1,
                elapsed=seconds(report.elapsed),
                counts=counts,
            )
        )

    def _entry(self, event: Event) -> AnyLine | None:
        match event:
            case Said() | TypicalKnown():
                return None
            case NodeRetried(outcome=outcome):
                attempt = attempt_document(outcome, self._transcripts)
                return NodeRetriedLine(at=moment(event.at), node=outcome.node, attempt=attempt)
            case NodeFinished(outcome=outcome):
                result = node_document(outcome, self._transcripts)
                return NodeFinishedLine(at=moment(event.at), node=outcome.node, result=result)
            case RunStarted():
                return _run_started(event)
            case ImageHashed():
                return ImageHashedLine(at=moment(event.at), sha256=event.sha256, size=event.size)
            case _:
                return _within_attempt(event)


def _run_started(event: RunStarted) -> RunStartedLine:
    return RunStartedLine(
        at=moment(event.at),
        run_id=event.run_id,
        command=event.command,
        user=encodable(event.user),
        summary=encodable(event.summary),
        nodes=[encodable(node) for node in event.nodes],
        timeout=seconds(event.timeout) if math.isfinite(event.timeout) else None,
        quorum=event.quorum,
        image=image_document(event.image),
        transcripts=encodable(event.transcripts) or None,
    )


def _within_attempt(
    event: StepStarted | StepDone | StepFailed | Progressed | Sighted | Noticed,
) -> AnyLine:
    at = moment(event.at)
    match event:
        case StepStarted(node=node, step=step):
            return StepStartedLine(at=at, node=node, step=step)
        case StepDone(node=node, step=step):
            took, detail = seconds(event.duration), encodable(event.detail) or None
            return StepDoneLine(at=at, node=node, step=step, duration=took, detail=detail)
        case StepFailed(node=node, step=step):
            took, message = seconds(event.duration), encodable(event.message)
            reason = event.reason
            return StepFailedLine(
                at=at, node=node, step=step, duration=took, reason=reason, message=message
            )
        case Progressed(node=node):
            fraction = round(event.fraction, 4)
            return ProgressedLine(at=at, node=node, fraction=fraction, size=event.size)
        case Sighted(node=node):
            return SightedLine(at=at, node=node, what=encodable(event.what))
        case Noticed(node=name):
            return NoticedLine(at=at, node=name, message=encodable(event.message))


def _encoded(entry: AnyLine) -> bytes:
    return msgspec.json.encode(entry) + b"\n"
