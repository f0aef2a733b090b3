"""The tables of the history's file, and how those of earlier versions become the present ones."""

import sqlite3

from imaging.database import upgrade

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
    ),
)


def check_schema(connection: sqlite3.Connection) -> None:
    """Bring a file to the present version; an empty one gets its tables.

    Raises ValueError when the file is not ours, or of a later version, and sqlite3.Error.
    """
    upgrade(connection, APPLICATION_ID, MIGRATIONS)
