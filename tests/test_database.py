"""SQLite files of ours, and files that only say so."""

import sqlite3

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
