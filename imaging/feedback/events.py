"""What happens in a run, as values: the one stream that displays, log and reports are fed from.

``at`` is the time of the event in seconds since the epoch; durations are seconds.
"""

from collections.abc import Callable, Mapping

import msgspec

from imaging.errors import Reason
from imaging.feedback.outcomes import ImageFacts, NodeOutcome, Step


class RunStarted(msgspec.Struct, frozen=True):
    """The checks are over, and the nodes are about to be touched.

    ``timeout`` is that of the whole run, from ``at`` on, in seconds; the rest is as in RunReport.
    """

    at: float
    run_id: str
    command: str
    nodes: tuple[str, ...]
    summary: str
    timeout: float = float("inf")
    user: str = ""
    image: ImageFacts | None = None
    quorum: int | None = None
    transcripts: str = ""


class ImageHashed(msgspec.Struct, frozen=True):
    """What the file of the run's image holds is known: its sha256, and its size in bytes.

    A load computes it while the nodes boot, unless the image's sidecar has told it; a save has it
    once the image is there.
    """

    at: float
    sha256: str
    size: int


class TypicalKnown(msgspec.Struct, frozen=True):
    """How many seconds each step usually takes is known from earlier runs; it never may be."""

    at: float
    durations: Mapping[Step, float]


class StepStarted(msgspec.Struct, frozen=True):
    """A node begins a step."""

    at: float
    node: str
    step: Step


class StepDone(msgspec.Struct, frozen=True):
    """A node is through with a step."""

    at: float
    node: str
    step: Step
    duration: float
    detail: str


class StepFailed(msgspec.Struct, frozen=True):
    """A step failed; the node's outcome follows."""

    at: float
    node: str
    step: Step
    duration: float
    reason: Reason
    message: str


class Progressed(msgspec.Struct, frozen=True):
    """A transfer went on: ``fraction`` of the whole is done (0 to 1), ``size`` bytes of image."""

    at: float
    node: str
    fraction: float
    size: int = 0


class Sighted(msgspec.Struct, frozen=True):
    """What the last attempt to reach a node has met: nothing new happens until it changes."""

    at: float
    node: str
    what: str


class Noticed(msgspec.Struct, frozen=True):
    """Something worth a line in the log; ``node`` is None when it is about the whole run."""

    at: float
    node: str | None
    message: str


class Said(msgspec.Struct, frozen=True):
    """What was said on a channel: telnet or ssh of a node, or the frisbee server's own log.

    ``way`` is ``>`` for what was sent and ``<`` for what was received; ``node`` is None for the
    server.
    """

    at: float
    node: str | None
    channel: str
    way: str
    data: bytes


class NodeRetried(msgspec.Struct, frozen=True):
    """An attempt on a node has failed, and the next begins."""

    at: float
    outcome: NodeOutcome


class NodeFinished(msgspec.Struct, frozen=True):
    """Nothing more happens on this node."""

    at: float
    outcome: NodeOutcome


Event = (
    RunStarted
    | TypicalKnown
    | StepStarted
    | StepDone
    | StepFailed
    | Progressed
    | Sighted
    | Noticed
    | ImageHashed
    | Said
    | NodeRetried
    | NodeFinished
)
Emit = Callable[[Event], None]
