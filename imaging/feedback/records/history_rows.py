"""The rows of the history as values, and what is not to be believed of them.

SQLite lets every column hold everything: what another program has put there is a ValueError.
"""

import json
import sqlite3
from collections.abc import Iterator, Mapping

import msgspec

from imaging.feedback.outcomes import ImageFacts, NodeOutcome, RunReport
from imaging.feedback.wording import LATEST_S, encodable


class PastRun(msgspec.Struct, frozen=True):
    """A run that is over; ``started`` is in seconds since the epoch, ``elapsed`` in seconds.

    ``ok`` and ``failed`` are its nodes, in their order. ``transcripts`` is a directory that may be
    gone by now.
    """

    run_id: str
    command: str
    user: str
    host: str
    started: float
    elapsed: float
    exit_code: int
    image: ImageFacts | None
    transcripts: str
    ok: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()


class PastAttempt(msgspec.Struct, frozen=True):
    """What became of one attempt on a node; ``ended`` is in seconds since the epoch.

    ``reason`` is None when all went well. Steps and reasons are words, which may be those of
    another version. Only the last attempt of a run is ``final``.
    """

    run_id: str
    node: str
    number: int
    final: bool
    ended: float
    reason: str | None
    step: str | None
    message: str
    size: int
    durations: Mapping[str, float]


class NodeImage(msgspec.Struct, frozen=True):
    """The image on a node's disk: of which load, since when (seconds since the epoch), by whom.

    ``half_written``: that load failed while it wrote, and the disk holds nothing of use.
    """

    node: str
    image: ImageFacts
    since: float
    user: str
    run_id: str
    half_written: bool


def attempt_rows(
    report: RunReport, place: int, outcome: NodeOutcome
) -> Iterator[tuple[object, ...]]:
    """The rows of one node: its attempts one after the other, each after the steps it took."""
    ended, end_of_run = report.started, report.started + report.elapsed
    for number, attempt in enumerate((*outcome.attempts, outcome), start=1):
        ended += sum(attempt.durations.values())
        # a step that the end of the run has found at work has no duration
        unfinished = attempt.step is not None and attempt.step not in attempt.durations
        yield (
            report.run_id,
            attempt.node,
            number,
            place,
            attempt is outcome,
            end_of_run if unfinished else ended,
            attempt.reason,
            attempt.step,
            encodable(attempt.message),
            attempt.size,
            json.dumps(dict(attempt.durations)),
        )


def past_attempt(row: sqlite3.Row) -> PastAttempt:
    """An attempt. Raises ValueError."""
    return PastAttempt(
        text_in(row, "run_id"),
        text_in(row, "node"),
        whole_in(row, "number"),
        bool(row["final"]),
        time_in(row, "ended"),
        row["reason"] and text_in(row, "reason"),
        row["step"] and text_in(row, "step"),
        text_in(row, "message"),
        whole_in(row, "size"),
        durations_of(row),
    )


def durations_of(row: sqlite3.Row) -> dict[str, float]:
    """The seconds by step of an attempt. Raises ValueError for what this cannot be."""
    try:
        told = json.loads(row["durations"])
        return {str(step): float(seconds) for step, seconds in told.items()}
    except (AttributeError, TypeError, OverflowError, RecursionError) as error:
        raise ValueError("it holds durations that are none") from error


def image_in(row: sqlite3.Row) -> ImageFacts | None:
    """The image of a run, if it had one. Raises ValueError."""
    if not row["image_name"] and not row["image_path"]:
        return None
    size, sha256 = whole_in(row, "image_size"), text_in(row, "image_sha256")
    return ImageFacts(text_in(row, "image_name"), text_in(row, "image_path"), size, sha256)


def text_in(row: sqlite3.Row, column: str) -> str:
    """A text. Raises ValueError."""
    if not isinstance(row[column], str):
        raise ValueError(f"it holds {column} that is no text")
    return str(row[column])


def whole_in(row: sqlite3.Row, column: str) -> int:
    """A whole number. Raises ValueError."""
    if not isinstance(row[column], int):
        raise ValueError(f"it holds {column} that is no whole number")
    return int(row[column])


def time_in(row: sqlite3.Row, column: str) -> float:
    """A time, or a duration. Raises ValueError."""
    if not isinstance(row[column], (int, float)) or not abs(row[column]) < LATEST_S:
        raise ValueError(f"it holds {column} that is no time")
    return float(row[column])
