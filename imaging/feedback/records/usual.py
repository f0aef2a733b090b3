"""How long a command usually takes, from the history."""

from collections.abc import Mapping
from pathlib import Path

from imaging.feedback.outcomes import ImageFacts, Step

LOAD = "imaging-load"


def usual_durations(file: Path, command: str, image: ImageFacts | None) -> dict[Step, float]:
    """The usual duration of each step in seconds, with that image. Raises HistoryError."""
    from imaging.feedback.records.history import open_history  # SQLite, for who asks

    with open_history(file, writing=False) as history:
        usual = history.typical_durations(command)
        if command == LOAD and image is not None:
            # a transfer is as long as its image
            alike = history.typical_durations(command, image.path)
            usual.pop(Step.TRANSFER, None)
            usual.update({s: d for s, d in alike.items() if s is Step.TRANSFER})
    return usual


def usual_length(usual: Mapping[Step, float]) -> float | None:
    """How many seconds a run takes in which all steps are as long as usual; None: not known.

    That of an image which nobody has had yet is not, since its transfer is most of it.
    """
    return sum(usual.values()) if Step.TRANSFER in usual else None
