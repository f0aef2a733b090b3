"""The history: real files, and several processes at once."""

import os
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from subprocess import PIPE

import msgspec
import pytest

from imaging.feedback.records import history_schema
from imaging.feedback.records.history import History, HistoryError, open_history
from imaging.feedback.records.history_sink import HistorySink
from tests.history_samples import fine, image_of, record, report
from tests.messages.recorder import heard


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "history.sqlite"


def test_reading_makes_nothing(path: Path) -> None:
    with open_history(path, writing=False) as history:
        assert history.runs() == []
        assert history.image_of("fit01") is None
        assert history.typical_durations("imaging-load") == {}
    assert not path.parent.exists()


def test_readers_and_a_writer_do_not_wait_for_each_other(path: Path) -> None:
    record(path, report(1, fine("fit01")))
    with open_history(path, writing=False) as reader:
        rows = reader._connection.execute("SELECT * FROM run")
        rows.fetchone()
        record(path, report(2, fine("fit01")))
        rows.close()
        assert len(reader.runs()) == 2
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["history.sqlite"]


WRITE_MANY = """
import sys
from pathlib import Path
from imaging.feedback.records.history_sink import HistorySink
from tests.history_samples import fine, report

print("ready", flush=True)
sys.stdin.read()
for number in range(5):
    sink = HistorySink(Path(sys.argv[1]))
    sink.finish(report(5 * int(sys.argv[2]) + number, *(fine(f"fit{n:02}") for n in range(37))))
    assert sink.problem is None, sink.problem
"""


def test_processes_write_at_once(path: Path) -> None:
    # the file is not there yet: all of them want to make it
    words = [sys.executable, "-c", WRITE_MANY, str(path)]
    with ExitStack() as stack:
        workers = [
            stack.enter_context(
                subprocess.Popen([*words, str(number)], stdin=PIPE, stdout=PIPE, stderr=PIPE)
            )
            for number in range(8)
        ]
        for worker in workers:
            assert worker.stdout is not None
            assert worker.stdout.readline() == b"ready\n"
        for worker in workers:
            assert worker.stdin is not None
            worker.stdin.close()
        for worker in workers:
            assert worker.stderr is not None
            assert (worker.stderr.read(), worker.wait(60)) == (b"", 0)
    with open_history(path) as history:
        assert len(history.runs(count=100)) == 40
        assert len(history.attempts(node="fit36")) == 40


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"this is no database, but a text of many words" * 100, "file is not a database"),
        (b"SQLite format 3\0" + b"\xff" * 5000, ""),
    ],
)
def test_a_corrupt_file_is_told_and_left_alone(path: Path, content: bytes, words: str) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    sink = HistorySink(path)
    sink.finish(report(1, fine("fit01")))
    assert sink.problem is not None
    assert sink.problem.startswith(f"the history {path} cannot be used: {words}")
    with pytest.raises(HistoryError), open_history(path, writing=False):
        pass
    assert path.read_bytes() == content
    assert os.listdir(path.parent) == [path.name]


def test_somebody_elses_database_is_left_alone(path: Path) -> None:
    path.parent.mkdir()
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE run (x)")
    other.commit()
    other.close()
    with pytest.raises(HistoryError, match="it is a database of something else"):
        record(path, report(1, fine("fit01")))


def test_a_later_version_is_left_alone(path: Path) -> None:
    record(path, report(1, fine("fit01")))
    later = sqlite3.connect(path)
    later.execute(f"PRAGMA user_version = {len(history_schema.MIGRATIONS) + 1}")
    later.close()
    with pytest.raises(HistoryError, match="it is of version 2, and only 1 is understood"):
        record(path, report(2, fine("fit01")))


def test_an_earlier_version_is_brought_to_the_present(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(path, report(1, fine("fit01")))
    added = (*history_schema.MIGRATIONS, ("CREATE TABLE more (x)", "INSERT INTO more VALUES (1)"))
    monkeypatch.setattr(history_schema, "MIGRATIONS", added)
    for _ in range(2):
        with open_history(path) as history:
            assert len(history.runs()) == 1
    seen = sqlite3.connect(path)
    assert seen.execute("SELECT count(*) FROM more").fetchone() == (1,)
    seen.close()


def test_a_migration_that_fails_leaves_the_file_as_it_was(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(path, report(1, fine("fit01")))
    broken = (*history_schema.MIGRATIONS, ("CREATE TABLE more (x)", "CREATE TABLE run (x)"))
    with monkeypatch.context() as patched:
        patched.setattr(history_schema, "MIGRATIONS", broken)
        with pytest.raises(HistoryError, match="table run already exists"):
            record(path, report(2, fine("fit01")))
    with open_history(path) as history:
        assert len(history.runs()) == 1


def test_a_file_that_is_no_database_is_closed_again(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"no database" * 1000)
    with pytest.raises(HistoryError, match="not a database") as caught:
        record(path, report(1, fine("fit01")))
    opened = {os.path.realpath(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd")}
    assert caught.value  # whose traceback knows the connection
    assert str(path) not in opened


def test_a_file_that_stays_locked_is_given_up_in_time(path: Path) -> None:
    record(path, report(1, fine("fit01")))
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    try:
        started = time.monotonic()
        sink = HistorySink(path)
        sink.finish(report(2, fine("fit01")))
        assert time.monotonic() - started < 4
        told = f"the history {path} cannot be used: database is locked ("
        assert str(sink.problem).startswith(told)
        assert image_of(path) is not None, "reading goes on"
    finally:
        holder.close()


def test_a_file_that_is_locked_for_a_moment_is_waited_for(path: Path) -> None:
    record(path, report(1, fine("fit01")))
    holder = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    holder.execute("BEGIN IMMEDIATE")
    release = threading.Timer(0.3, holder.close)
    release.start()
    sink = HistorySink(path)
    sink.finish(report(2, fine("fit01")))
    release.join()
    assert sink.problem is None


def test_a_disk_that_hangs_is_given_up_in_time(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    woken = threading.Event()
    monkeypatch.setattr(HistorySink, "_record", lambda *_: woken.wait(10))
    sink = HistorySink(path)
    sink.finish(msgspec.structs.replace(report(1, fine("fit01")), patience=0.1))
    woken.set()
    assert sink.problem == f"the history {path} did not answer in 0.1 s"
    heard(sink.problem)


def test_a_bug_is_no_traceback_for_the_user(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise KeyError

    monkeypatch.setattr(History, "record", fail)
    sink = HistorySink(path)
    sink.finish(report(1, fine("fit01")))
    assert sink.problem == "internal error: the traceback is in the log"
    heard(sink.problem)


def test_a_place_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file" / "x" / "history.sqlite", tmp_path):
        sink = HistorySink(path)
        sink.finish(report(1, fine("fit01")))
        assert sink.problem is not None
        assert sink.problem.startswith(f"the history {path} cannot be used: ")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_file_that_may_not_be_written(path: Path) -> None:
    record(path, report(1, fine("fit01")))
    path.chmod(0o400)
    path.parent.chmod(0o500)
    try:
        sink = HistorySink(path)
        sink.finish(report(2, fine("fit01")))
        assert sink.problem is not None
        assert image_of(path) is not None, "it is read all the same"
    finally:
        path.parent.chmod(0o700)


def test_what_may_not_be_written_is_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record(path, report(1, fine("fit01")))
    before = path.stat()
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert image_of(path) is not None
    # and while somebody has it open, beside its log
    with open_history(path) as history:
        history.record(report(2, fine("fit01")))
        found = image_of(path)
    assert found is not None
    assert found.run_id == "20260101-000002-00000a"
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(before.st_mode)


def test_a_disk_that_is_full_is_told(path: Path) -> None:
    record(path, report(1, fine("fit01")))
    with open_history(path) as history:
        connection = history._connection
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(sqlite3.OperationalError, match="database or disk is full"):
            history.record(report(2, *(fine(f"fit{n}") for n in range(1000))))
        assert len(history.runs()) == 1


@pytest.mark.parametrize(
    ("table", "column", "value", "words"),
    [
        ("attempt", "durations", "[]", "it holds durations that are none"),
        ("attempt", "node", b"fit01", "it holds node that is no text"),
        ("run", "image_size", 1.5, "it holds image_size that is no whole number"),
        ("run", "started", b"now", "it holds started that is no time"),
    ],
)
def test_what_another_program_has_put_there_is_told(
    path: Path, table: str, column: str, value: object, words: str
) -> None:
    record(path, report(1, fine("fit01")))
    other = sqlite3.connect(path)
    other.execute(f"UPDATE {table} SET {column} = ?", (value,))
    other.commit()
    other.close()

    def read() -> None:
        with open_history(path, writing=False) as history:
            history.runs()
            history.attempts(run_id=report(1).run_id)

    with pytest.raises(HistoryError, match=f"the history {path} cannot be used: {words}"):
        read()
