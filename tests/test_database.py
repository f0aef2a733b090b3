"""SQLite files of ours, and files that only say so."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from imaging.database import upgrade

OURS = 7
MIGRATIONS = (("CREATE TABLE first (x)",), ("CREATE TABLE second (x)",))


def test_an_empty_file_gets_all_tables_and_keeps_them() -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    for _ in range(2):
        upgrade(connection, OURS, MIGRATIONS)
        assert connection.execute("PRAGMA user_version").fetchone() == (2,)
        assert connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (2,)


@pytest.mark.parametrize("version", [-(2**31), -1, 0, 3, 2**31 - 1])
def test_a_version_that_we_never_made_is_refused(version: int) -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    upgrade(connection, OURS, MIGRATIONS)
    connection.execute(f"PRAGMA user_version = {version}")
    with pytest.raises(ValueError, match=f"of version {version}, and only 2 is understood"):
        upgrade(connection, OURS, MIGRATIONS)


def test_what_is_somebody_elses_is_left_alone() -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute("CREATE TABLE theirs (x)")
    with pytest.raises(ValueError, match="something else"):
        upgrade(connection, OURS, MIGRATIONS)


class Overtaken(sqlite3.Connection):
    """A connection that another process overtakes as soon as the version was looked at."""

    other: sqlite3.Connection | None = None

    def execute(self, statement: str, *parameters: Any) -> sqlite3.Cursor:
        cursor = super().execute(statement, *parameters)
        if statement == "PRAGMA user_version" and self.other is not None:
            other, self.other = self.other, None
            upgrade(other, OURS, MIGRATIONS)
        return cursor


def test_who_is_overtaken_at_the_first_use_finds_the_tables_made(tmp_path: Path) -> None:
    file = tmp_path / "ours.sqlite"
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("PRAGMA journal_mode = WAL")  # so that it need not wait for who looks
    connection = sqlite3.connect(file, isolation_level=None, factory=Overtaken)
    connection.other = other
    upgrade(connection, OURS, MIGRATIONS)
    assert connection.other is None
    assert connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (2,)
    connection.close()
    other.close()
