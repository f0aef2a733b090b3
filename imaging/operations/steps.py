"""How the life of one node is told: steps with their beginning, end, duration and detail."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import trio

from imaging.errors import NodeError
from imaging.feedback.events import (
    Emit,
    NodeFinished,
    NodeRetried,
    Noticed,
    Progressed,
    Said,
    Sighted,
    StepDone,
    StepFailed,
    StepStarted,
)
from imaging.feedback.outcomes import NodeOutcome, Step


class StepDetail:
    """What is worth saying about a step once it is done."""

    text = ""


class NodeStory:
    """Tells the events of one node, and its outcome in the end."""

    def __init__(self, node: str, emit: Emit) -> None:
        """``node`` is the node's name."""
        self.node = node
        self._emit = emit
        self._step: Step | None = None
        self._sighting = ""
        self._durations: dict[Step, float] = {}

    @contextmanager
    def step(self, step: Step) -> Iterator[StepDetail]:
        """Tell one step. A NodeError ends it as failed; a cancellation leaves it open."""
        self._step, self._sighting = step, ""
        started = trio.current_time()
        self._emit(StepStarted(time.time(), self.node, step))
        detail = StepDetail()
        try:
            yield detail
        except NodeError as error:
            duration = self._durations[step] = trio.current_time() - started
            self._emit(StepFailed(time.time(), self.node, step, duration, error.reason, str(error)))
            raise
        duration = self._durations[step] = trio.current_time() - started
        self._emit(StepDone(time.time(), self.node, step, duration, detail.text))

    def progress(self, fraction: float, size: int) -> None:
        """Tell how much of the image has been transferred: 0 to 1, and in bytes."""
        self._emit(Progressed(time.time(), self.node, fraction, size))

    def sight(self, what: str) -> None:
        """Tell what the last attempt to reach the node has met."""
        if what != self._sighting:
            self._sighting = what
            self._emit(Sighted(time.time(), self.node, what))

    def notice(self, message: str) -> None:
        """Tell something that is no step but worth knowing."""
        self._emit(Noticed(time.time(), self.node, message))

    def said(self, channel: str, way: str, data: bytes) -> None:
        """Tell what was sent (``>``) or received (``<``) on a channel of the node."""
        self._emit(Said(time.time(), self.node, channel, way, data))

    def retry(self, error: NodeError) -> None:
        """Tell that this attempt has failed, and that there is another one."""
        self._emit(NodeRetried(time.time(), self._outcome(error)))

    def finish(self, error: NodeError | None = None, detail: str = "") -> None:
        """Tell the outcome."""
        if error is None:
            outcome = NodeOutcome(self.node, durations=dict(self._durations), detail=detail)
        else:
            outcome = self._outcome(error)
        self._emit(NodeFinished(time.time(), outcome))

    def _outcome(self, error: NodeError) -> NodeOutcome:
        return NodeOutcome(self.node, error.reason, self._step, str(error), dict(self._durations))
