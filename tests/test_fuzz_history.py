"""Whatever stands in the rows of a history is told, or is an error of the history."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import example, given, settings
from hypothesis import strategies as st

from imaging.cli.history import command
from imaging.feedback.records.history import HistoryError, open_history

RUN = ["r", "imaging-load", "alice", "host", 1000.0, 60.0, 0, "fedora", "/fedora.ndz", 10, "", ""]
ATTEMPT = ["r", "fit01", 1, 0, 1, 1030.0, None, None, "", 10, '{"transfer": 20.0}']
VALUES = st.sampled_from(
    [
        "",
        "x",
        "[]",
        "{}",
        "1",
        '{"transfer": "x"}',
        '{"transfer": 1e999}',
        '["transfer"]',
        "[" * 9000,
        1e300,
        -1e300,
        float("inf"),
        2**63 - 1,
        -(2**63),
        0,
        b"\xff",
        "\x1b[2J",
        "\u202e",
    ]
) | st.text(max_size=5)
CHANGES = st.dictionaries(st.integers(1, 22), VALUES, max_size=3)


def write(path: Path, changes: dict[int, Any]) -> None:
    """One run with one attempt, of which some columns are changed; the names of both are kept."""
    run, attempt = list(RUN), list(ATTEMPT)
    for place, value in changes.items():
        row, column = (run, place) if place < len(run) else (attempt, place - len(run) + 1)
        if row is run or column < len(attempt):
            row[column] = value
    with open_history(path):
        pass
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("DELETE FROM run")
        connection.execute("DELETE FROM attempt")
        connection.execute(f"INSERT INTO run VALUES ({', '.join('?' * len(run))})", run)
        connection.execute(f"INSERT INTO attempt VALUES ({', '.join('?' * len(attempt))})", attempt)
    connection.close()


def ask(path: Path) -> None:
    with open_history(path, writing=False) as history:
        history.runs()
        history.attempts(run_id="r")
        history.image_of("fit01")
        history.typical_durations("imaging-load")


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("history") / "history.sqlite"


@settings(max_examples=60, deadline=None)
@given(changes=CHANGES)
@example(changes={15: ""})
def test_any_rows_are_told_or_refused(path: Path, changes: dict[int, Any]) -> None:
    try:
        write(path, changes)
    except sqlite3.IntegrityError:
        return
    try:
        ask(path)
    except HistoryError as error:
        assert str(error)
    for words in ([], ["--run", "r"], ["--node", "fit01"], ["--json"], ["--run", "r", "--json"]):
        asked(path, words)


def asked(path: Path, words: list[str]) -> tuple[int, str]:
    """What imaging-history answers; never an exception, nor anything that a terminal obeys."""
    file = path.with_name("imaging.conf")
    if not file.exists():
        file.write_text(f"[history]\nfile = {path}\n")
        file.chmod(0o600)
    done = CliRunner().invoke(command, words, env={"IMAGING_CONF": str(file)})
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    assert done.output.replace("\n", "").isprintable()
    assert "Traceback" not in done.output
    assert done.exit_code in (0, 1)
    return done.exit_code, done.output


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        (4, 1e300, "started that is no time"),
        (2, b"\xff", "user that is no text"),
        (9, 1.5, "image_size that is no whole number"),
        (21, "[]", "durations that are none"),
    ],
)
def test_a_row_that_cannot_be_is_told(path: Path, place: int, value: object, words: str) -> None:
    write(path, {place: value})
    with pytest.raises(HistoryError, match=words):
        ask(path)
