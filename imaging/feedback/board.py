"""The board: the state of a run, folded from its events; what displays draw and reports tell.

``fold`` is the only way in which a board changes, and it does no I/O. Nodes are kept in a dict
that is updated in place, because a run of 1000 nodes folds some thousand events per second.
"""

from collections import Counter
from collections.abc import Mapping

import msgspec
from msgspec.structs import replace

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
from imaging.feedback.outcomes import ImageFacts, NodeOutcome, RunReport, Step

StepEvent = StepStarted | StepDone | StepFailed | Progressed | Sighted | Noticed


class NodeState(msgspec.Struct):
    """Where one node is; ``step_started`` is in seconds since the epoch, ``size`` in bytes."""

    step: Step | None = None
    step_started: float = 0.0
    fraction: float = 0.0
    size: int = 0
    sighting: str = ""
    message: str = ""
    attempts: list[NodeOutcome] = msgspec.field(default_factory=list)
    durations: dict[Step, float] = msgspec.field(default_factory=dict)
    outcome: NodeOutcome | None = None


class Board(msgspec.Struct):
    """Where the run is. ``started`` and ``deadline`` are in seconds since the epoch.

    ``typical`` is how many seconds steps usually take, as far as that is known.
    """

    run_id: str = ""
    command: str = ""
    summary: str = ""
    started: float = 0.0
    deadline: float = float("inf")
    user: str = ""
    image: ImageFacts | None = None
    quorum: int | None = None
    transcripts: str = ""
    nodes: dict[str, NodeState] = msgspec.field(default_factory=dict)
    typical: Mapping[Step, float] = msgspec.field(default_factory=dict)

    def fold(self, event: Event) -> None:
        """Take one event into account."""
        match event:
            case RunStarted():
                self._start(event)
            case TypicalKnown():
                self.typical = event.durations
            case ImageHashed():
                if self.image is not None:
                    self.image = replace(self.image, sha256=event.sha256, size=event.size)
            case NodeRetried():
                state = self.nodes[event.outcome.node]
                attempts = [*state.attempts, replace(event.outcome, size=state.size)]
                self.nodes[event.outcome.node] = NodeState(attempts=attempts)
            case NodeFinished():
                self.nodes[event.outcome.node].outcome = self._whole(event.outcome)
            case Said():
                pass
            case _ if event.node is not None:
                self._fold_step(self.nodes[event.node], event)

    @staticmethod
    def _fold_step(state: NodeState, event: StepEvent) -> None:
        """Take what happened within an attempt on one node into account."""
        match event:
            case StepStarted():
                state.step, state.step_started, state.sighting = event.step, event.at, ""
            case StepDone() | StepFailed():
                state.durations[event.step] = event.duration
            case Progressed():
                state.fraction, state.size = event.fraction, event.size
            case Sighted():
                state.sighting = event.what
            case Noticed():
                state.message = event.message

    def _start(self, event: RunStarted) -> None:
        self.run_id, self.command, self.summary = event.run_id, event.command, event.summary
        self.started, self.deadline = event.at, event.at + event.timeout
        self.user, self.image, self.quorum = event.user, event.image, event.quorum
        self.transcripts = event.transcripts
        self.nodes = {name: NodeState() for name in event.nodes}

    def completed(self, event: Event) -> Event:
        """An event that was folded, with what only the board knows of it."""
        match event:
            case NodeFinished():
                whole = self.nodes[event.outcome.node].outcome
                return replace(event, outcome=whole) if whole is not None else event
            case NodeRetried():
                return replace(event, outcome=self.nodes[event.outcome.node].attempts[-1])
            case _:
                return event

    def _whole(self, outcome: NodeOutcome) -> NodeOutcome:
        """An outcome with what only the board knows: bytes, and earlier attempts."""
        state = self.nodes[outcome.node]
        return replace(outcome, size=state.size, attempts=tuple(state.attempts))

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
        """How far the nodes are which have not failed (0 to 1): by their transfers, or done."""
        alive = [s for s in self.nodes.values() if s.outcome is None or s.outcome.ok]
        done = sum(s.fraction if s.outcome is None else 1.0 for s in alive)
        return done / len(alive) if alive else 0.0

    def pace(self, now: float) -> tuple[float, float] | None:
        """The transfers at work: their mean rate in bytes/s, and the seconds until all are done.

        None when nothing has been transferred yet. ``now`` is in seconds since the epoch.
        """
        at_work = [s for s in self.nodes.values() if s.step is Step.TRANSFER and s.outcome is None]
        moving = [s for s in at_work if s.size and s.fraction and now > s.step_started]
        if not moving:
            return None
        rate = sum(s.size / (now - s.step_started) for s in moving) / len(moving)
        left = max((now - s.step_started) * (1 - s.fraction) / s.fraction for s in moving)
        return rate, left

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
        if state.sighting:
            message = f"{message}; the last attempt: {state.sighting}"
        if state.message:
            message = f"{message}; {state.message}"
        return NodeOutcome(name, reason, state.step, message, dict(state.durations))

    def report(self, now: float) -> RunReport:
        """The report of the run; every node must have its outcome.

        ``now`` is in seconds since the epoch. Raises ValueError for nodes that have none.
        """
        outcomes = [state.outcome for state in self.nodes.values()]
        complete = tuple(outcome for outcome in outcomes if outcome is not None)
        if len(complete) != len(outcomes):
            raise ValueError(f"no outcome for {', '.join(self.unfinished)}")
        return RunReport(
            self.run_id,
            self.command,
            complete,
            now - self.started,
            started=self.started,
            user=self.user,
            image=self.image,
            quorum=self.quorum,
            transcripts=self.transcripts,
            summary=self.summary,
        )
