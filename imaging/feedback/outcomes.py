"""What became of each node, and of the run."""

from collections.abc import Mapping
from enum import StrEnum

import msgspec

from imaging.errors import Reason


class Step(StrEnum):
    """The steps in the life of a node, in the order in which they come."""

    LOCK = "lock"
    NEXTBOOT = "nextboot"
    POWER = "power"
    BOOT = "boot"
    CHECK = "check"
    TRANSFER = "transfer"
    STORE = "store"
    RESTART = "restart"
    TELNET = "telnet"
    SSH = "ssh"


class ImageFacts(msgspec.Struct, frozen=True):
    """The image of a run; ``size`` is that of its file in bytes, ``sha256`` "" until known."""

    name: str
    path: str
    size: int
    sha256: str = ""


class NodeOutcome(msgspec.Struct, frozen=True):
    """The end of one node's run.

    ``reason`` is None when all went fine; otherwise ``step`` is where it failed, and ``message``
    says what failed and what to do. ``durations`` are seconds per step that ended, ``detail`` is
    the answer of a node that was asked something. ``size`` is how many bytes of image were
    transferred, ``attempts`` are the earlier ones that failed, where there were retries.
    """

    node: str
    reason: Reason | None = None
    step: Step | None = None
    message: str = ""
    durations: Mapping[Step, float] = msgspec.field(default_factory=dict)
    detail: str = ""
    size: int = 0
    attempts: tuple["NodeOutcome", ...] = ()

    @property
    def ok(self) -> bool:
        """Whether everything went fine for this node."""
        return self.reason is None


class RunReport(msgspec.Struct, frozen=True):
    """The end of a run: one outcome for each subject node, in their order.

    ``started`` is in seconds since the epoch, ``elapsed`` in seconds. ``quorum`` is how many nodes
    must be fine for the run to be; None is all of them. ``transcripts`` is the directory of what
    was said in the run, "" when it is not kept. ``summary`` is the whole plan in one line.
    ``interrupted`` is whether a signal, or a bug, has ended it. ``patience`` is for how many
    seconds whoever is told may wait for a disk or a reader.
    """

    run_id: str
    command: str
    outcomes: tuple[NodeOutcome, ...]
    elapsed: float
    started: float = 0.0
    user: str = ""
    image: ImageFacts | None = None
    quorum: int | None = None
    transcripts: str = ""
    patience: float = 3.0
    interrupted: bool = False
    summary: str = ""

    @property
    def failed(self) -> tuple[NodeOutcome, ...]:
        """The nodes for which something went wrong."""
        return tuple(outcome for outcome in self.outcomes if not outcome.ok)

    @property
    def exit_code(self) -> int:
        """0 when everything went fine for all subject nodes, or for the quorum; 1 otherwise.

        A run that was ended early did not go fine, whatever the quorum.
        """
        wanted = len(self.outcomes) if self.quorum is None else self.quorum
        fine = len(self.outcomes) - len(self.failed)
        return 0 if self.outcomes and fine >= wanted and not self.interrupted else 1
