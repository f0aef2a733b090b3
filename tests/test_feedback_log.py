"""imaging.log."""

import logging
import os
from pathlib import Path

import pytest

from imaging.errors import Reason
from imaging.feedback.events import NodeFinished, Noticed, Progressed, StepDone, StepFailed
from imaging.feedback.log import event_text, log_event, open_log
from imaging.feedback.outcomes import NodeOutcome, Step


def test_events_are_lines_with_time_run_level_and_node(tmp_path: Path) -> None:
    path = tmp_path / "imaging.log"
    with open_log(path, "run-1", "info") as place:
        assert place == path
        log_event(StepDone(0.0, "fit01", Step.BOOT, 1.25, "ramdisk up"))
        log_event(NodeFinished(0.0, NodeOutcome("fit01")))
    lines = path.read_text().splitlines()
    assert [line.split(" ", 2)[2] for line in lines] == [
        "run-1 INFO fit01 boot done in 1.250 s: ramdisk up",
        "run-1 INFO fit01 ok",
    ]


def test_an_event_is_one_line_whatever_a_node_has_sent(tmp_path: Path) -> None:
    path = tmp_path / "imaging.log"
    with open_log(path, "run-1", "info"):
        log_event(
            StepFailed(0.0, "fit01", Step.TRANSFER, 1.0, Reason.FRISBEE_FAILED, "a\nb\r\nc\x85d")
        )
    assert path.read_text().rstrip("\n").endswith("(frisbee-failed): a / b / c / d")


def test_two_runs_append(tmp_path: Path) -> None:
    path = tmp_path / "imaging.log"
    for run in ("one", "two"):
        with open_log(path, run, "info"):
            log_event(Noticed(0.0, None, "hello"))
    assert [line.split()[2] for line in path.read_text().splitlines()] == ["one", "two"]
    files = [getattr(handler, "baseFilename", "") for handler in logging.getLogger().handlers]
    assert str(path) not in files, "the log is closed with the run"


def test_progress_is_not_worth_a_line() -> None:
    assert event_text(Progressed(0.0, "fit01", 0.5)) is None


def test_a_place_that_cannot_be_written_is_replaced_and_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    wrong = tmp_path / "no" / "such" / "imaging.log"
    with open_log(wrong, "run-1", "info") as place:
        log_event(Noticed(0.0, "fit01", "hello"))
    assert place == tmp_path / "state" / "imaging" / "imaging.log"
    assert "fit01 hello" in place.read_text()
    told = capsys.readouterr().err.splitlines()
    assert told == [f"imaging: cannot write {wrong}: No such file or directory; log in {place}"]


def test_a_link_of_ones_own_is_followed(tmp_path: Path) -> None:
    link = tmp_path / "imaging.log"
    link.symlink_to("elsewhere.log")
    with open_log(link, "run-1", "info"):
        log_event(Noticed(0.0, "fit01", "hello"))
    assert "fit01 hello" in (tmp_path / "elsewhere.log").read_text()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make another user's link")
def test_another_users_link_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    precious, link = tmp_path / "precious", tmp_path / "imaging.log"
    precious.write_text("kept")
    link.symlink_to(precious)
    os.chown(link, 65534, 65534, follow_symlinks=False)
    with open_log(link, "run-1", "info") as place:
        log_event(Noticed(0.0, "fit01", "hello"))
    assert precious.read_text() == "kept"
    assert place == tmp_path / "state" / "imaging" / "imaging.log"
    assert "is another user's symbolic link" in capsys.readouterr().err


def test_without_any_place_there_is_no_log_and_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", os.fspath(tmp_path / "file"))
    with open_log(tmp_path / "no" / "imaging.log", "run-1", "info"):
        log_event(Noticed(0.0, "fit01", "hello"))
    assert capsys.readouterr().err.rstrip().endswith("no log")


def test_a_named_pipe_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    pipe = tmp_path / "imaging.log"
    os.mkfifo(pipe)
    with open_log(pipe, "run-1", "info"):
        log_event(Noticed(0.0, "fit01", "hello"))
    assert f"imaging: cannot write {pipe}: is a named pipe; log in " in capsys.readouterr().err


def test_a_disk_that_fills_up_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    with open_log(Path("/dev/full"), "run-1", "info"):
        log_event(Noticed(0.0, "fit01", "hello"))
        log_event(Noticed(0.0, "fit01", "hello again"))
    told = "imaging: cannot write /dev/full: No space left on device\n"
    assert capsys.readouterr().err.count(told) == 1
