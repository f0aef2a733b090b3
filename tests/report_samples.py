"""Reports and events of runs that never were, and the schemas that real ones must keep to."""

import json
from pathlib import Path
from typing import Any

import jsonschema

from imaging.errors import Reason
from imaging.feedback.events import (
    Event,
    ImageHashed,
    NodeFinished,
    NodeRetried,
    Noticed,
    Progressed,
    RunStarted,
    Sighted,
    StepDone,
    StepFailed,
    StepStarted,
)
from imaging.feedback.outcomes import ImageFacts, NodeOutcome, RunReport, Step

DOCS = Path(__file__).parent.parent / "docs"
DIGEST = "0123456789abcdef" * 4

IMAGE = ImageFacts("sample", "/images/sample.ndz", 3145728, DIGEST)
FINE = NodeOutcome("fit01", durations={Step.BOOT: 1.25, Step.TRANSFER: 2.5}, size=3145728)
STALLED = NodeOutcome(
    "fit02", Reason.STALLED, Step.TRANSFER, "fit02: nothing new for 20 s", {Step.BOOT: 1.0}, size=7
)
FAILED = NodeOutcome(
    "fit02",
    Reason.NO_TELNET,
    Step.BOOT,
    "fit02: nothing answered",
    {Step.POWER: 0.5},
    attempts=(STALLED,),
)
REPORT = RunReport(
    "20260301-120000-abcdef",
    "imaging-load",
    (FINE, FAILED),
    12.3456,
    started=1772366400.0,
    user="tester",
    image=IMAGE,
    transcripts="/transcripts/20260301-120000-abcdef",
    summary="load sample (3 MiB) on 2 nodes: fit01-fit02",
)
START = RunStarted(
    1772366400.0,
    REPORT.run_id,
    REPORT.command,
    ("fit01", "fit02"),
    REPORT.summary,
    timeout=300.0,
    user="tester",
    image=IMAGE,
    transcripts=REPORT.transcripts,
)
EVENTS: tuple[Event, ...] = (
    START,
    StepStarted(1772366401.5, "fit01", Step.BOOT),
    Sighted(1772366401.6, "fit01", "connection refused"),
    StepDone(1772366402.0, "fit01", Step.BOOT, 1.25, "ramdisk up"),
    Noticed(1772366402.1, None, "something"),
    ImageHashed(1772366402.2, DIGEST, 3145728),
    Progressed(1772366402.3, "fit01", 0.123456, 4096),
    StepFailed(1772366402.4, "fit02", Step.BOOT, 2.0, Reason.NO_TELNET, "nothing answered"),
    NodeRetried(1772366402.5, STALLED),
    NodeFinished(1772366402.6, FAILED),
    NodeFinished(1772366402.7, FINE),
)


def validated(text: str | bytes, schema: str) -> Any:
    """A JSON text that keeps to one of the committed schemas, decoded."""
    value = json.loads(text)
    described = json.loads((DOCS / f"{schema}.schema.json").read_text())
    jsonschema.Draft202012Validator(described).validate(value)
    return value


def validated_lines(text: str) -> list[Any]:
    """The events of a run, each a line that keeps to the schema."""
    return [validated(line, "events") for line in text.splitlines()]
