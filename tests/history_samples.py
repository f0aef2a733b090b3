"""Reports of runs, for histories, and a history to put them into."""

from collections.abc import Mapping
from pathlib import Path

from imaging.errors import Reason
from imaging.feedback.outcomes import ImageFacts, NodeOutcome, RunReport, Step
from imaging.feedback.records.history import open_history
from imaging.feedback.records.history_rows import NodeImage

IMAGE = ImageFacts("fedora", "/images/fedora.ndz", 1000, "0" * 64)
OTHER = ImageFacts("debian", "/images/debian.ndz", 2000)
STEPS = {Step.POWER: 0.5, Step.BOOT: 10.0, Step.TRANSFER: 20.0, Step.RESTART: 0.25}
BOOTED = {Step.POWER: 0.5, Step.BOOT: 10.0}


def fine(node: str, durations: Mapping[Step, float] = STEPS) -> NodeOutcome:
    """An attempt that came to an end."""
    return NodeOutcome(node, durations=durations, size=1000)


def failed(node: str, step: Step, durations: Mapping[Step, float] = BOOTED) -> NodeOutcome:
    """One that stalled."""
    return NodeOutcome(node, Reason.STALLED, step, f"{node}: it stalled", durations)


def report(
    number: int,
    *outcomes: NodeOutcome,
    image: ImageFacts | None = IMAGE,
    command: str = "imaging-load",
    user: str = "alice",
) -> RunReport:
    """A run of a second of its own."""
    return RunReport(
        f"20260101-0000{number:02}-00000a",
        command,
        outcomes,
        elapsed=60.0,
        started=1000.0 * number,
        user=user,
        image=image,
        transcripts="/transcripts/x",
    )


def record(path: Path, *reports: RunReport) -> None:
    """Put runs into a history."""
    with open_history(path) as history:
        for each in reports:
            history.record(each)


def image_of(path: Path, node: str = "fit01") -> NodeImage | None:
    """What a history says of a node."""
    with open_history(path, writing=False) as history:
        return history.image_of(node)
