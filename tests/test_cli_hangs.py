"""What hangs at the end of a run, and who listens no more: the command ends all the same."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.commands import Commands, processes_of, wait_for
from tests.unread import unread

pytestmark = pytest.mark.e2e

TIMEOUT_S = 2.5
LOAD = ["imaging-load", "-i", "sample", "-t", str(TIMEOUT_S), "1-2"]


def ended_in_time(
    testbed: Commands, words: list[str], *, stdout: int = subprocess.DEVNULL, stderr: int
) -> None:
    """Run a load that cannot end before its timeout, and see that it ends at it."""
    with testbed.unreachable("fit02", "control"):
        started = time.monotonic()
        process = subprocess.Popen(
            words,
            cwd=testbed.directory,
            env={**testbed.environment, "TERM": "xterm"},
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
        )
        code = process.wait(timeout=20)
    assert code == 1
    assert time.monotonic() - started < TIMEOUT_S + 1.2  # and the start of the interpreter
    wait_for(lambda: testbed.links() == [], limit_s=1)
    wait_for(lambda: processes_of("imaging-frisbeed", testbed.directory) == [], limit_s=1)


def test_standard_error_that_nobody_reads(testbed: Commands) -> None:
    with unread("pipe") as full:
        ended_in_time(testbed, LOAD, stderr=full)


def test_a_terminal_that_is_stopped(testbed: Commands) -> None:
    with unread("terminal") as terminal:
        ended_in_time(testbed, LOAD, stderr=terminal)


def test_a_report_that_nobody_reads(testbed: Commands) -> None:
    with unread("pipe") as full:
        ended_in_time(testbed, [*LOAD, "--json"], stdout=full, stderr=subprocess.DEVNULL)


def test_a_log_that_is_a_pipe_without_a_reader(testbed: Commands, tmp_path: Path) -> None:
    os.mkfifo(testbed.directory / "log.pipe")
    try:
        with testbed.setting("file = imaging.log", "file = log.pipe"):
            done = testbed.run("imaging-load", "-i", "sample", "1")
    finally:
        (testbed.directory / "log.pipe").unlink()
    assert done.returncode == 0
    assert "log.pipe: is a named pipe" in done.stderr or "Invalid argument" in done.stderr


def test_a_log_on_a_full_disk_is_said_once(testbed: Commands) -> None:
    with testbed.setting("file = imaging.log", "file = /dev/full"):
        done = testbed.run("imaging-load", "-i", "sample", "1")
    assert done.returncode == 0
    assert done.stderr.count("cannot write /dev/full: No space left on device") == 1
    assert "Traceback" not in done.stderr


def test_a_reader_of_standard_error_that_goes_away_ends_no_run(
    testbed: Commands, tmp_path: Path
) -> None:
    report = tmp_path / "report.json"
    script = f"imaging-load -v --report {report} -i sample 1-2 2>&1 | head -1"
    testbed.run("bash", "-c", script)
    wait_for(report.exists)
    told = json.loads(report.read_text())
    assert [node["outcome"] for node in told["nodes"]] == ["ok", "ok"]
    assert told["exit_code"] == 0


def test_two_signals_at_once_end_the_run_with_its_report(testbed: Commands, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    with testbed.unreachable("fit02", "control"):
        process = testbed.start("imaging-load", "-i", "sample", "--report", str(report), "1-2")
        wait_for(lambda: len(testbed.links()) > 0)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        out, errors = process.communicate(timeout=10)
    assert process.returncode == 1, out + errors
    assert "internal error" not in errors
    assert json.loads(report.read_text())["exit_code"] == 1
    assert testbed.links() == []


def test_a_signal_is_no_success_whatever_the_quorum(testbed: Commands) -> None:
    with testbed.unreachable("fit02", "control"):
        process = testbed.start("imaging-load", "-v", "-i", "sample", "--min-ok", "1", "1-2")
        assert process.stderr is not None
        while "fit01: restart done" not in process.stderr.readline():
            pass
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=10)
    assert process.returncode == 1


def test_what_the_timeout_ends_is_told_also_with_json(testbed: Commands) -> None:
    with testbed.unreachable("fit02", "control"):
        done = testbed.run("imaging-load", "-i", "sample", "--json", "-t", "3", "1-2")
    assert "fit02: FAILED at boot (timeout)" in done.stderr
    assert json.loads(done.stdout)["exit_code"] == 1
