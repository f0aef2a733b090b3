"""Files that appear whole, and the stream of events, whatever becomes of their places."""

import os
import resource
import subprocess
import threading
import time
from pathlib import Path

import msgspec
import pytest

from imaging.errors import ConfigurationError
from imaging.feedback.scripts import stream
from imaging.feedback.scripts.files import ReportFile, check_place, write_whole
from imaging.feedback.scripts.reports import ok_names
from imaging.feedback.scripts.stream import EventStream, open_stream, write_all
from tests.report_samples import EVENTS, REPORT, validated_lines


def tell(told: EventStream) -> None:
    for event in EVENTS:
        told.take(event)
    told.finish(REPORT)


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    place = tmp_path / "ok"
    place.write_text("the old one")
    file = ReportFile(check_place(place), ok_names)
    file.take(EVENTS[0])
    assert place.read_text() == "the old one"
    file.finish(REPORT)
    assert (place.read_text(), file.failure) == ("fit01\n", None)
    assert os.listdir(tmp_path) == ["ok"]


def test_an_alias_stays_one(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    alias = tmp_path / "ok"
    alias.symlink_to("folder/real")
    ReportFile(check_place(alias), ok_names).finish(REPORT)
    assert alias.is_symlink()
    assert (tmp_path / "folder/real").read_text() == "fit01\n"


def test_a_full_disk_leaves_the_old_file_and_is_told(tmp_path: Path) -> None:
    place = tmp_path / "ok"
    place.write_text("the old one")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        file = ReportFile(place, lambda _: "x" * 1000)
        file.finish(REPORT)
        with pytest.raises(OSError, match="File too large"):
            write_whole(place, b"x" * 1000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert file.failure == f"cannot write {place}: File too large"
    assert place.read_text() == "the old one"
    assert os.listdir(tmp_path) == ["ok"]


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("nowhere/ok", "there is no directory"),
        ("folder", "is no regular file"),
        ("pipe", "is no regular file"),
        ("loop", "loop"),
        ("file/ok", "there is no directory"),
        ("/dev/null", "is no regular file"),
    ],
)
def test_a_bad_place_is_refused(tmp_path: Path, place: str, words: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(ConfigurationError, match=words):
        check_place(tmp_path / place)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_that_may_not_be_written_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(ConfigurationError, match="no permission to write in"):
            check_place(tmp_path / "ok")
    finally:
        tmp_path.chmod(0o700)


def test_the_stream_is_a_line_per_event(tmp_path: Path) -> None:
    place = tmp_path / "events"
    place.write_text("the old one")
    told = EventStream(open_stream(str(place), 1), str(place))
    told.take(EVENTS[0])
    deadline = time.monotonic() + 5
    while not place.read_text().endswith("\n"):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    tell(told)
    rows = validated_lines(place.read_text())
    assert [row["event"] for row in rows[:2]] == ["run-started"] * 2
    assert rows[-1]["event"] == "run-finished"
    assert told.failure is None


def test_a_reader_that_goes_away_is_said_and_no_more(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    told = EventStream(writing, "-")
    os.close(reading)
    tell(told)
    assert told.failure == "cannot write events to -: Broken pipe"


def test_a_reader_that_stops_does_not_hold_up_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "BACKLOG", 1000)
    reading, writing = os.pipe()
    told = EventStream(writing, "-")
    started = time.monotonic()
    for _ in range(1000):
        for event in EVENTS:
            told.take(event)
    told.finish(msgspec.structs.replace(REPORT, patience=0.2))
    assert time.monotonic() - started < 2
    assert told.failure == "cannot write events to -: its reader does not read on"
    os.close(reading)


def test_a_named_pipe_that_nobody_reads_is_refused(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    started = time.monotonic()
    with pytest.raises(ConfigurationError, match="nobody reads this named pipe"):
        open_stream(str(pipe), 1)
    assert time.monotonic() - started < 2


def test_a_named_pipe_whose_reader_is_a_little_late(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    script = 'sleep 0.2; exec cat "$0"'
    with subprocess.Popen(["sh", "-c", script, pipe], stdout=subprocess.PIPE, text=True) as reader:
        tell(EventStream(open_stream(str(pipe), 1), str(pipe)))
        out, _ = reader.communicate(timeout=5)
    assert validated_lines(out)[-1]["event"] == "run-finished"


@pytest.mark.parametrize("place", ["", "nowhere/events", "folder"])
def test_a_stream_that_cannot_be_opened_is_refused(tmp_path: Path, place: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(ConfigurationError, match="cannot write events to"):
        open_stream(place and str(tmp_path / place), 1)


def test_a_descriptor_that_does_not_wait_is_written_whole() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    data = os.urandom(300_000)
    writer = threading.Thread(target=write_all, args=(writing, data))
    writer.start()
    with open(reading, "rb") as stream_of_it:
        got = stream_of_it.read(len(data))
    writer.join(5)
    os.close(writing)
    assert got == data
