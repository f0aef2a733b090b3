"""The history: an SQLite file with a row per run, and a row per node and attempt.

It answers which image is on a node, and how long steps usually take. Several commands may write
at once. Nothing here is a reason for a run to fail: all that can go wrong is a HistoryError.
"""

import json
import os
import socket
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from imaging.database import transaction
from imaging.errors import ImagingError
from imaging.feedback.outcomes import ImageFacts, NodeOutcome, RunReport, Step
from imaging.feedback.records.history_schema import check_schema
from imaging.feedback.wording import LATEST_S, encodable

LOAD = "imaging-load"  # the one command that changes what is on a disk
BUSY_TIMEOUT_S = 2.0
TYPICAL_NODES = 20  # of the last ones that went well
AFTER_TRANSFER = frozenset({Step.RESTART, Step.SSH})  # a load that fails there has written all


CURE = "see [history] file; moved away, it is begun anew"


class HistoryError(ImagingError):
    """The history cannot be read or written."""


@dataclass(frozen=True, slots=True)
class PastRun:
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


@dataclass(frozen=True, slots=True)
class PastAttempt:
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


@dataclass(frozen=True, slots=True)
class NodeImage:
    """The image on a node's disk: of which load, since when (seconds since the epoch), by whom.

    ``half_written``: that load failed while it wrote, and the disk holds nothing of use.
    """

    node: str
    image: ImageFacts
    since: float
    user: str
    run_id: str
    half_written: bool


@contextmanager
def open_history(path: Path, *, writing: bool = True) -> Iterator["History"]:
    """Open a history for the block; it is made when it is not there and is to be written.

    Raises HistoryError, also for what goes wrong with the file within the block: let it hold
    nothing but the questions.
    """
    try:
        with closing(_connect(path, writing=writing)) as connection:
            check_schema(connection)
            yield History(connection)
    except (sqlite3.Error, OSError, ValueError) as error:
        words = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise HistoryError(f"the history {path} cannot be used: {words}", hint=CURE) from error


def _connect(path: Path, *, writing: bool) -> sqlite3.Connection:
    if writing:
        path.parent.mkdir(parents=True, exist_ok=True)
    elif not path.exists():
        return sqlite3.connect(":memory:", isolation_level=None)  # nothing has happened yet
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?{_mode(path, writing=writing)}",
        uri=True,
        timeout=BUSY_TIMEOUT_S,
        isolation_level=None,  # transactions are begun where they are meant
    )
    if writing:
        _prefer_wal(connection)
    return connection


def _mode(path: Path, *, writing: bool) -> str:
    """How SQLite is to open the file."""
    if writing:
        return "mode=rwc"
    if os.access(path, os.W_OK):
        return "mode=rw"  # readers of a log have to make files beside it, too
    # without a log nobody writes now, and nothing beside the file is needed to read it
    has_log = path.with_name(f"{path.name}-wal").exists()
    return "mode=ro" if has_log else "mode=ro&immutable=1"


def _prefer_wal(connection: sqlite3.Connection) -> None:
    """Let readers and a writer work at once, where the file system can; it stays so."""
    try:
        (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode == "wal":
            # a power cut may cost the last runs, but never the file
            connection.execute("PRAGMA synchronous = NORMAL")
    except sqlite3.OperationalError:
        pass  # somebody else is at it this very moment, or it is none for reasons told later


class History:
    """The runs of the past; made by open_history."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """The schema of the file has been seen to."""
        self._connection = connection
        connection.row_factory = sqlite3.Row

    def record(self, report: RunReport) -> None:
        """Write a run, and all attempts on its nodes, or nothing."""
        image = report.image or ImageFacts("", "", 0)
        run = (
            report.run_id,
            report.command,
            report.user,
            socket.gethostname(),
            report.started,
            report.elapsed,
            report.exit_code,
            encodable(image.name),
            encodable(image.path),
            image.size,
            image.sha256,
            encodable(report.transcripts),
        )
        attempts = [
            row
            for place, outcome in enumerate(report.outcomes)
            for row in _attempt_rows(report, place, outcome)
        ]
        with transaction(self._connection):
            self._connection.execute(
                f"INSERT OR REPLACE INTO run VALUES ({_marks(12)})",  # noqa: S608
                run,
            )
            self._connection.executemany(
                f"INSERT OR REPLACE INTO attempt VALUES ({_marks(11)})",  # noqa: S608
                attempts,
            )

    def runs(
        self,
        *,
        count: int = 20,
        run_id: str | None = None,
        command: str | None = None,
        user: str | None = None,
        image: str | None = None,
        node: str | None = None,
        failed: bool = False,
    ) -> list[PastRun]:
        """The last runs, newest first, to which all that is given applies.

        ``image`` is a name or a path; ``failed`` are those in which a node has failed.
        """
        rows = self._connection.execute(
            """
            SELECT * FROM run WHERE (:run_id IS NULL OR run_id = :run_id)
            AND (:command IS NULL OR command = :command)
            AND (:user IS NULL OR user = :user)
            AND (:image IS NULL OR image_name = :image OR image_path = :image)
            AND (:node IS NULL OR run_id IN (SELECT run_id FROM attempt WHERE node = :node))
            AND (NOT :failed OR EXISTS (SELECT 1 FROM attempt WHERE attempt.run_id = run.run_id
                                        AND final AND reason IS NOT NULL))
            ORDER BY started DESC, run_id DESC LIMIT :count
            """,
            {
                "run_id": run_id,
                "command": command,
                "user": user,
                "image": image,
                "node": node,
                "failed": failed,
                "count": count,
            },
        )
        return [self._past_run(row) for row in rows.fetchall()]

    def last_run(self, command: str, user: str) -> PastRun | None:
        """The user's last run of a command."""
        found = self.runs(count=1, command=command, user=user)
        return found[0] if found else None

    def attempts(
        self, *, run_id: str | None = None, node: str | None = None, count: int = -1
    ) -> list[PastAttempt]:
        """The attempts of a run in the order of its nodes, or on a node with the newest first."""
        order = "place, number" if run_id is not None else "ended DESC, number DESC"
        rows = self._connection.execute(
            f"""
            SELECT * FROM attempt WHERE (:run_id IS NULL OR run_id = :run_id)
            AND (:node IS NULL OR node = :node) ORDER BY {order} LIMIT :count
            """,  # noqa: S608 - one of two orders
            {"run_id": run_id, "node": node, "count": count},
        )
        return [_past_attempt(row) for row in rows]

    def image_of(self, node: str) -> NodeImage | None:
        """The image that a node's last load has left; None when no load has reached its disk."""
        rows = self._connection.execute(
            """
            SELECT run.*, ended, reason, step FROM attempt JOIN run USING (run_id)
            WHERE node = ? AND command = ? ORDER BY ended DESC, number DESC
            """,
            (node, LOAD),
        )
        for row in rows:
            written = row["reason"] is None or row["step"] in AFTER_TRANSFER
            if written or row["step"] == Step.TRANSFER:
                image = _image(row) or ImageFacts("", "", 0)
                since, user, run_id = _time(row, "ended"), _text(row, "user"), row["run_id"]
                return NodeImage(node, image, since, user, run_id, half_written=not written)
        return None

    def typical_durations(self, command: str, image: str | None = None) -> dict[Step, float]:
        """The median duration of each step of a command, in seconds, of nodes that went well.

        With the path of an ``image``, only those that had it: a transfer is as long as its image.
        A step counts when most of these nodes have taken it.
        """
        rows = self._connection.execute(
            """
            SELECT durations FROM attempt JOIN run USING (run_id)
            WHERE command = :command AND reason IS NULL
            AND (:image IS NULL OR image_path = :image) ORDER BY ended DESC LIMIT :count
            """,
            {"command": command, "image": image, "count": TYPICAL_NODES},
        )
        nodes = [_durations(row) for row in rows]
        taken = Counter(step for durations in nodes for step in durations)
        return {
            step: _median([durations[step] for durations in nodes if step in durations])
            for step in Step
            if taken[step] * 2 > len(nodes)
        }

    def run_counts(self) -> dict[tuple[str, bool], int]:
        """How many runs there were, by command and whether the exit code was 0."""
        rows = self._connection.execute(
            "SELECT command, exit_code = 0 AS fine, count(*) AS runs FROM run GROUP BY 1, 2"
        )
        return {(_text(row, "command"), bool(row["fine"])): _whole(row, "runs") for row in rows}

    def _past_run(self, row: sqlite3.Row) -> PastRun:
        nodes = self._connection.execute(
            "SELECT node, reason FROM attempt WHERE run_id = ? AND final ORDER BY place",
            (row["run_id"],),
        ).fetchall()
        return PastRun(
            _text(row, "run_id"),
            _text(row, "command"),
            _text(row, "user"),
            _text(row, "host"),
            _time(row, "started"),
            _time(row, "elapsed"),
            _whole(row, "exit_code"),
            _image(row),
            _text(row, "transcripts"),
            ok=tuple(node for node, reason in nodes if reason is None),
            failed=tuple(node for node, reason in nodes if reason is not None),
        )


def _attempt_rows(
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


def _past_attempt(row: sqlite3.Row) -> PastAttempt:
    return PastAttempt(
        _text(row, "run_id"),
        _text(row, "node"),
        _whole(row, "number"),
        bool(row["final"]),
        _time(row, "ended"),
        row["reason"] and _text(row, "reason"),
        row["step"] and _text(row, "step"),
        _text(row, "message"),
        _whole(row, "size"),
        _durations(row),
    )


def _durations(row: sqlite3.Row) -> dict[str, float]:
    """The seconds by step of an attempt. Raises ValueError for what this cannot be."""
    try:
        told = json.loads(row["durations"])
        return {str(step): float(seconds) for step, seconds in told.items()}
    except (AttributeError, TypeError, OverflowError, RecursionError) as error:
        raise ValueError("it holds durations that are none") from error


def _image(row: sqlite3.Row) -> ImageFacts | None:
    if not row["image_name"] and not row["image_path"]:
        return None
    size, sha256 = _whole(row, "image_size"), _text(row, "image_sha256")
    return ImageFacts(_text(row, "image_name"), _text(row, "image_path"), size, sha256)


# SQLite lets every column hold everything; what another program has put there is told as such


def _text(row: sqlite3.Row, column: str) -> str:
    if not isinstance(row[column], str):
        raise ValueError(f"it holds {column} that is no text")
    return str(row[column])


def _whole(row: sqlite3.Row, column: str) -> int:
    if not isinstance(row[column], int):
        raise ValueError(f"it holds {column} that is no whole number")
    return int(row[column])


def _time(row: sqlite3.Row, column: str) -> float:
    if not isinstance(row[column], (int, float)) or not abs(row[column]) < LATEST_S:
        raise ValueError(f"it holds {column} that is no time")
    return float(row[column])


def _median(values: list[float]) -> float:
    """Without the module statistics, whose import takes longer than all the rest."""
    values = sorted(values)
    return (values[(len(values) - 1) // 2] + values[len(values) // 2]) / 2


def _marks(count: int) -> str:
    return ", ".join("?" * count)
