"""SQLite files of ours: whose they are, which version they have, and transactions."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

Migrations = Sequence[Sequence[str]]
"""Statements: the n-th make version n + 1 of version n. What was released is only added to."""


def upgrade(connection: sqlite3.Connection, application_id: int, migrations: Migrations) -> None:
    """Bring a file to the present version; an empty one gets its tables.

    Raises ValueError when the file is not ours, or of a later version, and sqlite3.Error.
    """
    with _transaction(connection, "DEFERRED"):  # a reader may not begin one that writes
        version = _version(connection, application_id, migrations)
    if version == len(migrations):
        return
    # alone, because several commands may find the file empty at once
    with transaction(connection):
        for number in range(_version(connection, application_id, migrations), len(migrations)):
            for statement in migrations[number]:
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {application_id}")
        connection.execute(f"PRAGMA user_version = {len(migrations)}")


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All that the block writes, or nothing of it; nobody else writes meanwhile."""
    with _transaction(connection, "IMMEDIATE"):
        yield


@contextmanager
def _transaction(connection: sqlite3.Connection, kind: str) -> Iterator[None]:
    connection.execute(f"BEGIN {kind}")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # after some errors, as when the disk is full, SQLite has done so itself
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _version(connection: sqlite3.Connection, application_id: int, migrations: Migrations) -> int:
    """The version of a file of ours, 0 when it is empty.

    Within a transaction: the three looks must be at one state, while others may make the tables.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (owner,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if not version and not owner and not tables:
        return 0
    if owner != application_id:
        raise ValueError("it is a database of something else")
    if not 0 < version <= len(migrations):
        raise ValueError(f"it is of version {version}, and only {len(migrations)} is understood")
    return int(version)
