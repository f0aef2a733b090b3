"""The board: the state of a run, folded from its events; what displays draw and reports tell.

``fold`` is the only way in which a board changes, and it does no I/O. Nodes are kept in a dict
that is updated in place, because a run of 1000 nodes folds some thousand events per second.
"""

from collections import Counter
from dataclasses import dataclass, field

from imaging.errors import Reason
from imaging.feedback.events import (
    Event,
    NodeFinished,
    Noticed,
    Progressed,
    RunStarted,
    StepDone,
    StepFailed,
    StepStarted,
)
from imaging.feedback.outcomes import NodeOutcome, RunReport, Step


@dataclass(slots=True)
class NodeState:
    """Where one node is."""

    step: Step | None = None
    fraction: float = 0.0
    durations: dict[Step, float] = field(default_factory=dict)
    outcome: NodeOutcome | None = None


@dataclass(slots=True)
class Board:
    """Where the run is. ``started`` is the time of the first event, in seconds since the epoch."""

    run_id: str = ""
    command: str = ""
    summary: str = ""
    started: float = 0.0
    nodes: dict[str, NodeState] = field(default_factory=dict)

    def fold(self, event: Event) -> None:
        """Take one event into account."""
        match event:
            case RunStarted():
                self.run_id, self.command, self.summary = event.run_id, event.command, event.summary
                self.started = event.at
                self.nodes = {name: NodeState() for name in event.nodes}
            case StepStarted():
                self.nodes[event.node].step = event.step
            case StepDone() | StepFailed():
                self.nodes[event.node].durations[event.step] = event.duration
            case Progressed():
                self.nodes[event.node].fraction = event.fraction
            case NodeFinished():
                self.nodes[event.outcome.node].outcome = event.outcome
            case Noticed():
                pass

    @property
    def unfinished(self) -> list[str]:
        """The names of the nodes which have no outcome yet."""
        return [name for name, state in self.nodes.items() if state.outcome is None]

    @property
    def done(self) -> int:
        """How many nodes are done and fine."""
        return sum(s.outcome is not None and s.outcome.ok for s in self.nodes.values())

    @property
    def failed(self) -> int:
        """How many nodes have failed."""
        return sum(s.outcome is not None and not s.outcome.ok for s in self.nodes.values())

    @property
    def fraction(self) -> float:
        """How much of the image is on the disks of the nodes which have not failed (0 to 1)."""
        alive = [s for s in self.nodes.values() if s.outcome is None or s.outcome.ok]
        return sum(s.fraction for s in alive) / len(alive) if alive else 0.0

    def steps(self) -> Counter[Step]:
        """How many unfinished nodes are in each step."""
        return Counter(
            state.step
            for state in self.nodes.values()
            if state.outcome is None and state.step is not None
        )

    def interrupted_outcome(self, name: str, reason: Reason, message: str) -> NodeOutcome:
        """The outcome of a node which the end of the run found at work."""
        state = self.nodes[name]
        return NodeOutcome(name, reason, state.step, message, dict(state.durations))

    def report(self, now: float) -> RunReport:
        """The report of the run; every node must have its outcome.

        ``now`` is in seconds since the epoch.
        """
        outcomes = [state.outcome for state in self.nodes.values()]
        complete = tuple(outcome for outcome in outcomes if outcome is not None)
        if len(complete) != len(outcomes):
            raise ValueError(f"no outcome for {', '.join(self.unfinished)}")
        return RunReport(self.run_id, self.command, complete, now - self.started)
