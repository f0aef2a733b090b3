"""The tables of the history's file, and how those of earlier versions become the present ones."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

APPLICATION_ID = 0x494D4748  # tells our files from what else is kept in SQLite

# the n-th makes version n + 1 of version n: what was released is never changed, only added to
MIGRATIONS = (
    (
        """
        CREATE TABLE run (
            run_id TEXT PRIMARY KEY, command TEXT NOT NULL, user TEXT NOT NULL,
            host TEXT NOT NULL, started REAL NOT NULL, elapsed REAL NOT NULL,
            exit_code INTEGER NOT NULL, image_name TEXT NOT NULL, image_path TEXT NOT NULL,
            image_size INTEGER NOT NULL, image_sha256 TEXT NOT NULL, transcripts TEXT NOT NULL
        ) WITHOUT ROWID
        """,
        # reason is NULL when all went well; durations is a JSON object, seconds by step
        """
        CREATE TABLE attempt (
            run_id TEXT NOT NULL REFERENCES run, node TEXT NOT NULL, number INTEGER NOT NULL,
            place INTEGER NOT NULL, final INTEGER NOT NULL, ended REAL NOT NULL, reason TEXT,
            step TEXT, message TEXT NOT NULL, size INTEGER NOT NULL, durations TEXT NOT NULL,
            PRIMARY KEY (run_id, node, number)
        ) WITHOUT ROWID
        """,
        "CREATE INDEX run_started ON run (started)",
        "CREATE INDEX attempt_node ON attempt (node, ended)",
        "CREATE INDEX attempt_ended ON attempt (ended)",
        f"PRAGMA application_id = {APPLICATION_ID}",
    ),
)
VERSION = len(MIGRATIONS)


def check_schema(connection: sqlite3.Connection) -> None:
    """Bring a file to the present version; an empty one gets its tables.

    Raises ValueError when the file is not ours, or of a later version, and sqlite3.Error.
    """
    if _version(connection) == VERSION:
        return
    # alone, because several commands may find the file empty at once
    with transaction(connection):
        for number in range(_version(connection), VERSION):
            for statement in MIGRATIONS[number]:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {VERSION}")


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All that the block writes, or nothing of it; nobody else writes meanwhile."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # after some errors, as when the disk is full, SQLite has done so itself
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _version(connection: sqlite3.Connection) -> int:
    """The version of a file of ours, 0 when it is empty."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (owner,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if not version and not owner and not tables:
        return 0
    if owner != APPLICATION_ID:
        raise ValueError("it is a database of something else")
    if version > VERSION:
        raise ValueError(f"it is of version {version}, and only {VERSION} is understood")
    return int(version)


def text_of(text: str) -> str:
    """The text without what has no UTF-8: names of files may hold any bytes."""
    return text.encode(errors="backslashreplace").decode()
