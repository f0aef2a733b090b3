"""The history: an SQLite file with a row per run, and a row per node and attempt.

It answers which image is on a node, and how long steps usually take. Several commands may write
at once. Nothing here is a reason for a run to fail: all that can go wrong is a HistoryError.
"""

import os
import socket
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from imaging.database import transaction
from imaging.errors import ImagingError
from imaging.feedback.outcomes import ImageFacts, RunReport, Step
from imaging.feedback.records.history_rows import (
    NodeImage,
    PastAttempt,
    PastRun,
    attempt_rows,
    durations_of,
    image_in,
    past_attempt,
    text_in,
    time_in,
    whole_in,
)
from imaging.feedback.records.history_schema import check_schema
from imaging.feedback.wording import encodable

LOAD = "imaging-load"  # the one command that changes what is on a disk
BUSY_TIMEOUT_S = 2.0
TYPICAL_NODES = 20  # of the last ones that went well
PRUNE_LIMIT = 100  # runs that one is dropped for: none has to pay for all that was left
AFTER_TRANSFER = frozenset({Step.RESTART, Step.SSH})  # a load that fails there has written all


CURE = "see [history] file; moved away, it is begun anew"


class HistoryError(ImagingError):
    """The history cannot be read or written."""


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
    try:
        if writing:
            _prefer_wal(connection)
    except BaseException:  # as that it is no database
        connection.close()
        raise
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

    def record(self, report: RunReport, keep_runs: int | None = None) -> None:
        """Write a run, and all attempts on its nodes, or nothing.

        With ``keep_runs``, what is older than so many runs is dropped, but for the loads to which
        some node owes its image.
        """
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
            for row in attempt_rows(report, place, outcome)
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
            if keep_runs is not None:
                self._drop_all_but(keep_runs)

    def _drop_all_but(self, count: int) -> None:
        """Drop the oldest runs beyond so many, a few at a time."""
        own, later = _reached("own"), _reached("later")
        rows = self._connection.execute(
            f"""
            SELECT run_id FROM run WHERE started <
                (SELECT started FROM run ORDER BY started DESC LIMIT 1 OFFSET :last)
            AND NOT (command = :load AND EXISTS (
                SELECT 1 FROM attempt AS own WHERE own.run_id = run.run_id AND {own}
                AND NOT EXISTS (
                    SELECT 1 FROM attempt AS later JOIN run AS loads USING (run_id)
                    WHERE later.node = own.node AND loads.command = :load
                    AND {later}
                    AND (later.ended, later.number) > (own.ended, own.number))))
            ORDER BY started LIMIT :limit
            """,  # noqa: S608 - a condition of ours
            {"last": count - 1, "load": LOAD, "limit": PRUNE_LIMIT},
        )
        dropped = [(row["run_id"],) for row in rows.fetchall()]
        for table in ("attempt", "run"):
            self._connection.executemany(
                f"DELETE FROM {table} WHERE run_id = ?",  # noqa: S608 - one of our tables
                dropped,
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
        return [past_attempt(row) for row in rows]

    def image_of(self, node: str) -> NodeImage | None:
        """The image that a node's last load has left; None when no load has reached its disk."""
        row = self._connection.execute(
            f"""
            SELECT run.*, ended, reason, step FROM attempt JOIN run USING (run_id)
            WHERE node = ? AND command = ? AND {_reached("attempt")}
            ORDER BY ended DESC, number DESC LIMIT 1
            """,  # noqa: S608 - a condition of ours
            (node, LOAD),
        ).fetchone()
        if row is None:
            return None
        written = row["reason"] is None or row["step"] in AFTER_TRANSFER
        image = image_in(row) or ImageFacts("", "", 0)
        since, user = time_in(row, "ended"), text_in(row, "user")
        return NodeImage(node, image, since, user, row["run_id"], half_written=not written)

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
        nodes = [durations_of(row) for row in rows]
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
        return {(text_in(row, "command"), bool(row["fine"])): whole_in(row, "runs") for row in rows}

    def _past_run(self, row: sqlite3.Row) -> PastRun:
        nodes = self._connection.execute(
            "SELECT node, reason FROM attempt WHERE run_id = ? AND final ORDER BY place",
            (row["run_id"],),
        ).fetchall()
        return PastRun(
            text_in(row, "run_id"),
            text_in(row, "command"),
            text_in(row, "user"),
            text_in(row, "host"),
            time_in(row, "started"),
            time_in(row, "elapsed"),
            whole_in(row, "exit_code"),
            image_in(row),
            text_in(row, "transcripts"),
            ok=tuple(node for node, reason in nodes if reason is None),
            failed=tuple(node for node, reason in nodes if reason is not None),
        )


def _reached(table: str) -> str:
    """The condition that an attempt of a load, a row of this table, has written on the disk."""
    steps = ", ".join(f"'{step}'" for step in (Step.TRANSFER, *sorted(AFTER_TRANSFER)))
    return f"({table}.reason IS NULL OR {table}.step IN ({steps}))"


def _median(values: list[float]) -> float:
    """Without the module statistics, whose import takes longer than all the rest."""
    values = sorted(values)
    return (values[(len(values) - 1) // 2] + values[len(values) // 2]) / 2


def _marks(count: int) -> str:
    return ", ".join("?" * count)
