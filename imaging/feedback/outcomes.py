"""What became of each node, and of the run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from imaging.errors import Reason


class Step(StrEnum):
    """The steps in the life of a node, in the order in which they come."""

    NEXTBOOT = "nextboot"
    POWER = "power"
    BOOT = "boot"
    CHECK = "check"
    TRANSFER = "transfer"
    STORE = "store"
    RESTART = "restart"
    TELNET = "telnet"
    SSH = "ssh"


@dataclass(frozen=True, slots=True)
class NodeOutcome:
    """The end of one node's run.

    ``reason`` is None when all went fine; otherwise ``step`` is where it failed, and ``message``
    says what failed and what to do. ``durations`` are seconds per step that ended, ``detail`` is
    the answer of a node that was asked something.
    """

    node: str
    reason: Reason | None = None
    step: Step | None = None
    message: str = ""
    durations: Mapping[Step, float] = field(default_factory=dict)
    detail: str = ""

    @property
    def ok(self) -> bool:
        """Whether everything went fine for this node."""
        return self.reason is None


@dataclass(frozen=True, slots=True)
class RunReport:
    """The end of a run: one outcome for each subject node, in their order."""

    run_id: str
    command: str
    outcomes: tuple[NodeOutcome, ...]
    elapsed: float  # seconds

    @property
    def failed(self) -> tuple[NodeOutcome, ...]:
        """The nodes for which something went wrong."""
        return tuple(outcome for outcome in self.outcomes if not outcome.ok)

    @property
    def exit_code(self) -> int:
        """0 when everything went fine for all subject nodes, 1 otherwise."""
        return 0 if self.outcomes and not self.failed else 1
