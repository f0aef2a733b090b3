"""Boards of runs as a display meets them, at a fixed time."""

from collections.abc import Sequence

from imaging.errors import Reason
from imaging.feedback.board import Board
from imaging.feedback.events import (
    Event,
    NodeFinished,
    Progressed,
    RunStarted,
    Sighted,
    StepDone,
    StepStarted,
)
from imaging.feedback.outcomes import ImageFacts, NodeOutcome, Step

START = 1000.0
NOW = START + 42
IMAGE = ImageFacts("sample", "/images/sample.ndz", 64 * 1024 * 1024)
WIDE = "表示 e\u0301 \x1b[31m bell\x07 日本語のメッセージ、とても長い説明が続きます"


def run_of(count: int, *events: Event, image: ImageFacts | None = IMAGE) -> Board:
    """The board of a load of so many nodes, after these events."""
    names = tuple(f"fit{number:02d}" for number in range(1, count + 1))
    summary = f"load sample (64 MiB) on {count} nodes"
    started = RunStarted(START, "run", "imaging-load", names, summary, timeout=900, image=image)
    board = Board()
    for event in (started, *events):
        board.fold(event)
    return board


def transfer(node: str, fraction: float, *, since: float = START + 30) -> list[Event]:
    """A node whose transfer is at work."""
    return [
        StepDone(since, node, Step.BOOT, 25.0, ""),
        StepStarted(since, node, Step.TRANSFER),
        Progressed(NOW, node, fraction, int(fraction * IMAGE.size)),
    ]


def done(node: str, detail: str = "") -> list[Event]:
    """A node that is through."""
    durations = {Step.BOOT: 25.0, Step.TRANSFER: 8.0}
    return [
        *transfer(node, 1.0),
        StepDone(NOW, node, Step.TRANSFER, 8.0, ""),
        NodeFinished(NOW, NodeOutcome(node, durations=durations, detail=detail)),
    ]


def failed(node: str, message: str, reason: Reason = Reason.NO_TELNET) -> list[Event]:
    """A node that has failed while booting."""
    outcome = NodeOutcome(node, reason, Step.BOOT, f"{node}: {message}", {Step.BOOT: 30.0})
    return [StepStarted(START, node, Step.BOOT), NodeFinished(NOW, outcome)]


def story(count: int) -> Sequence[Event]:
    """A run in which everything happens: failures, all steps, wide and control characters."""
    events: list[Event] = []
    for number in range(1, count + 1):
        node = f"fit{number:02d}"
        match number % 8:
            case 1 if number > 1:
                events += failed(node, f"no telnet: {WIDE}")
            case 2:
                events += done(node)
            case 3:
                started = StepStarted(START + 5, node, Step.BOOT)
                events += [started, Sighted(NOW, node, f"telnet: refused {WIDE}")]
            case 4:
                pass
            case _:
                events += transfer(node, (number * 37 % 100) / 100)
    return events
