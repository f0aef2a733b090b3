"""What scripts get of real runs: the installed commands against a running virtual testbed."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from tests.commands import Commands, sha256, wait_for
from tests.report_samples import validated, validated_lines

pytestmark = pytest.mark.e2e

LOAD = ("imaging-load", "-i", "sample")


@pytest.fixture
def outputs(tmp_path: Path) -> list[str]:
    """All files that a run can be asked for, each in the test's directory."""
    return [
        f"--events={tmp_path}/events",
        f"--report={tmp_path}/report.json",
        f"--ok={tmp_path}/ok",
        f"--ko={tmp_path}/ko",
    ]


def words_of(place: Path) -> list[str]:
    return place.read_text().split()


def checked(tmp_path: Path) -> Any:
    """The report of a run, after everything it has left is seen to tell the same."""
    report = validated((tmp_path / "report.json").read_text(), "report")
    rows = validated_lines((tmp_path / "events").read_text())
    ok = [node["node"] for node in report["nodes"] if node["outcome"] == "ok"]
    ko = [node["node"] for node in report["nodes"] if node["outcome"] == "failed"]
    assert words_of(tmp_path / "ok") == ok
    assert words_of(tmp_path / "ko") == ko
    assert rows[0]["event"] == "run-started"
    assert rows[0]["run_id"] == report["run_id"]
    assert rows[-1]["event"] == "run-finished"
    assert rows[-1]["counts"] == {"ok": len(ok), "failed": len(ko)}
    assert rows[-1]["exit_code"] == report["exit_code"]
    ends = {row["node"]: row["result"] for row in rows if row["event"] == "node-finished"}
    for node in report["nodes"]:
        told = ends[node["node"]]
        assert {**told, "transcript": None} == {**node, "transcript": None}
    finished = [row["result"] for row in rows if row["event"] == "node-finished"]
    assert sorted(node["node"] for node in finished) == sorted(ok + ko)
    assert not [name for name in os.listdir(tmp_path) if name.endswith(".partial")]
    return report


def reasons(report: Any) -> dict[str, tuple[str, str]]:
    return {
        node["node"]: (node["reason"], node["step"])
        for node in report["nodes"]
        if node["outcome"] == "failed"
    }


def test_json_is_one_object_and_nothing_else(testbed: Commands) -> None:
    done = testbed.run(*LOAD, "--json", "1-2")
    assert done.returncode == 0, done.stderr
    report = validated(done.stdout, "report")
    assert [node["node"] for node in report["nodes"]] == ["fit01", "fit02"]
    assert report["nodes"][0]["durations"].keys() >= {"boot", "transfer", "restart"}
    assert report["nodes"][0]["size"] > 0
    assert "load sample" in done.stderr


def test_json_is_read_by_other_tools(testbed: Commands) -> None:
    script = "set -o pipefail; imaging-load -i sample --json 1 2>/dev/null | python3 -m json.tool"
    done = testbed.run("bash", "-c", script)
    assert done.returncode == 0
    assert json.loads(done.stdout)["command"] == "imaging-load"


def test_the_image_is_named_by_its_sha256(testbed: Commands, tmp_path: Path) -> None:
    image = testbed.directory / "images/sample.ndz"
    plain = tmp_path / "copy.ndz"
    plain.write_bytes(image.read_bytes())
    for path in (image, plain):
        done = testbed.run("imaging-load", "-i", str(path), "--json", "1")
        told = validated(done.stdout, "report")["image"]
        assert (told["sha256"], told["size"]) == (sha256(image), image.stat().st_size)


def test_a_sidecar_older_than_its_image_is_not_believed(testbed: Commands, tmp_path: Path) -> None:
    (tmp_path / "mine.ndz").write_bytes((testbed.directory / "images/sample.ndz").read_bytes())
    size = (tmp_path / "mine.ndz").stat().st_size
    sidecar = {
        "name": "mine",
        "date": "2026-03-01T12:00:00Z",
        "size": size,
        "covered_bytes": 0,
        "data_bytes": 0,
        "minimum_disk_size": 0,
        "sha256": "f" * 64,
    }
    (tmp_path / "mine.json").write_text(json.dumps(sidecar))
    command = ("imaging-load", "-i", f"{tmp_path}/mine.ndz", "--json", "1")
    believed = validated(testbed.run(*command).stdout, "report")
    assert believed["image"]["sha256"] == "f" * 64
    os.utime(tmp_path / "mine.json", (1, 1))
    computed = validated(testbed.run(*command).stdout, "report")
    assert computed["image"]["sha256"] == sha256(tmp_path / "mine.ndz")


def test_a_save_tells_the_image_that_it_made(
    testbed: Commands, tmp_path: Path, outputs: list[str]
) -> None:
    image = testbed.directory / "images/made.ndz"
    assert testbed.run(*LOAD, "-q", "1").returncode == 0
    done = testbed.run("imaging-save", *outputs, "-o", "made", "1")
    try:
        assert done.returncode == 0, done.stderr
        told = checked(tmp_path)["image"]
        assert (told["name"], told["path"]) == ("made", str(image))
        assert (told["size"], told["sha256"]) == (image.stat().st_size, sha256(image))
    finally:
        image.unlink(missing_ok=True)
        image.with_suffix(".json").unlink(missing_ok=True)


def test_one_failed_node(testbed: Commands, tmp_path: Path, outputs: list[str]) -> None:
    with testbed.unreachable("fit02", "cmc"):
        done = testbed.run(*LOAD, *outputs, "1-3")
    assert done.returncode == 1
    assert "fit02: FAILED at power (no-cmc)" in done.stdout
    report = checked(tmp_path)
    assert report["exit_code"] == 1
    assert reasons(report) == {"fit02": ("no-cmc", "power")}
    again = testbed.run("sh", "-c", f"imaging-load -i sample $(cat {tmp_path}/ko)")
    assert again.returncode == 0, again.stderr
    assert "1 of 1 nodes done" in again.stdout


def test_the_timeout(testbed: Commands, tmp_path: Path, outputs: list[str]) -> None:
    with testbed.unreachable("fit02", "control"):
        done, elapsed = testbed.timed(*LOAD, *outputs, "-t", "3", "1-2")
    assert done.returncode == 1
    assert elapsed < 3.5
    assert reasons(checked(tmp_path)) == {"fit02": ("timeout", "boot")}


def test_sigterm(testbed: Commands, tmp_path: Path, outputs: list[str]) -> None:
    with testbed.unreachable("fit01", "control"):
        process = testbed.start(*LOAD, *outputs, "--json", "1")
        wait_for(lambda: len(testbed.links()) > 0)
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=10)
    assert process.returncode == 1
    report = checked(tmp_path)
    assert json.loads(out) == report
    assert report["nodes"][0]["reason"] == "interrupted"
    assert report["nodes"][0]["message"].startswith("interrupted by SIGTERM")


def test_the_death_of_the_server(testbed: Commands, tmp_path: Path, outputs: list[str]) -> None:
    server = tmp_path / "dying-server"
    server.write_text(
        "#!/bin/sh\necho 'Using Multicast x' >&2\nsleep 0.3\necho dying >&2\nexit 4\n"
    )
    server.chmod(0o755)
    with testbed.setting("server = imaging-frisbeed", f"server = {server}"):
        done = testbed.run(*LOAD, *outputs, "1-2")
    assert done.returncode == 1
    nodes = checked(tmp_path)["nodes"]
    assert {node["reason"] for node in nodes} == {"server-died"}


def test_junit_of_a_run_with_a_failed_node(testbed: Commands, tmp_path: Path) -> None:
    with testbed.unreachable("fit02", "cmc"):
        done = testbed.run(*LOAD, f"--report={tmp_path}/junit.xml", "1-2")
    assert done.returncode == 1
    suites = ET.parse(tmp_path / "junit.xml").getroot()
    first, second = suites.iter("testcase")
    assert (first.get("name"), len(first)) == ("fit01", 0)
    assert float(first.get("time") or 0) > 0
    (failure,) = second
    assert failure.get("type") == "no-cmc"
    properties = {p.get("name"): p.get("value") for p in suites.iter("property")}
    assert properties["sha256"] == sha256(testbed.directory / "images/sample.ndz")


def test_wait_and_the_power_verbs(testbed: Commands, tmp_path: Path, outputs: list[str]) -> None:
    assert testbed.run("imaging-on", "1-2").returncode == 0
    with testbed.unreachable("fit02", "cmc"):
        done = testbed.run("imaging-status", *outputs, "--json", "1-2")
    assert done.returncode == 1
    assert [row["ok"] for row in json.loads(done.stdout)] == [True, False]
    assert checked(tmp_path)["nodes"][0]["detail"] == "on"
    with testbed.unreachable("fit02", "control"):
        waited = testbed.run("imaging-wait", *outputs, "--json", "-n", "-t", "1", "2")
    assert waited.returncode == 1
    assert json.loads(waited.stdout) == checked(tmp_path)
    silent = testbed.run("imaging-wait", "-s", "--json", "-n", "-t", "1", "9")
    assert (silent.returncode, silent.stdout) == (2, "")


def test_events_on_standard_output_have_it_for_themselves(testbed: Commands) -> None:
    done = testbed.run("imaging-status", "--events", "-", "1-2")
    assert done.returncode == 0
    assert validated_lines(done.stdout)[-1]["event"] == "run-finished"
    assert "fit01: " in done.stderr


def test_events_come_as_they_happen(testbed: Commands) -> None:
    with testbed.unreachable("fit01", "control"):
        process = testbed.start(*LOAD, "--events", "-", "1")
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["event"] == "run-started"
        assert process.poll() is None
        process.terminate()
        process.communicate(timeout=10)


def test_events_to_a_named_pipe(testbed: Commands, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE, text=True) as reader:
        done = testbed.run("imaging-status", "--events", pipe, "1")
        out, _ = reader.communicate(timeout=5)
    assert done.returncode == 0
    assert validated_lines(out)[-1]["event"] == "run-finished"


def test_a_named_pipe_that_nobody_reads(testbed: Commands, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    before = testbed.requests()
    done, elapsed = testbed.timed(*LOAD, f"--events={tmp_path}/pipe", "1")
    assert done.returncode == 2
    assert "nobody reads this named pipe" in done.stderr
    assert elapsed < 5
    assert testbed.requests() == before


def test_events_to_standard_error_do_not_empty_its_file(testbed: Commands, tmp_path: Path) -> None:
    script = "echo before >&2; imaging-status --events /dev/stderr 1"
    with (tmp_path / "log").open("w") as log:
        done = subprocess.run(
            ["sh", "-c", script],
            cwd=testbed.directory,
            env=testbed.environment,
            stderr=log,
            check=False,
        )
    assert done.returncode == 0
    first, *lines = (tmp_path / "log").read_text().splitlines()
    assert first == "before"
    assert json.loads(lines[-1])["event"] == "run-finished"


def test_a_reader_of_events_that_goes_away_does_not_fail_the_run(testbed: Commands) -> None:
    script = "set -o pipefail; imaging-load -i sample --events - 1-2 | head -1"
    done = testbed.run("bash", "-c", script)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("cannot write events to -: Broken pipe") == 1
    assert "2 of 2 nodes done" in done.stderr


def test_a_full_disk_does_not_fail_the_run_for_its_events(testbed: Commands) -> None:
    done = testbed.run("imaging-status", "--events", "/dev/full", "1")
    assert done.returncode == 0
    assert done.stderr.count("/dev/full: No space left on device") == 1


def test_a_result_that_cannot_be_printed_is_a_failure(testbed: Commands) -> None:
    done = testbed.run("sh", "-c", "imaging-load -i sample --json 1 >/dev/full")
    assert done.returncode == 1
    assert "cannot print the result: No space left on device" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_report_that_cannot_be_written_is_a_failure(testbed: Commands, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    log = testbed.directory / "imaging.log"
    log.unlink(missing_ok=True)  # an earlier wait has left the same line
    with testbed.unreachable("fit01", "control"):
        process = testbed.start("imaging-wait", f"--ok={folder}/ok", f"--ko={tmp_path}/ko", "1")
        wait_for(lambda: log.exists() and "wait for ssh on 1 node" in log.read_text())
        folder.rmdir()
        time.sleep(0.2)
        process.terminate()
        _, told = process.communicate(timeout=10)
    assert process.returncode == 1
    assert told.count("cannot write ") == 1
    assert words_of(tmp_path / "ko") == ["fit01"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--report", "report.txt"], "ends in .json or .xml"),
        (["--report", "report"], "ends in .json or .xml"),
        (["--json", "--events", "-"], "exclude each other"),
        (["--report", "nowhere/report.xml"], "there is no directory"),
        (["--ok", "/dev/null"], "no regular file"),
        (["--ko", "."], "directory"),
        (["--ok", "same", "--ko", "./same"], "the same one"),
        (["--events", "same", "--ko", "same"], "the same one"),
        (["--events", "nowhere/events"], "No such file or directory"),
        (["--events", "images"], "Is a directory"),
    ],
)
def test_bad_places_are_refused_before_any_node_is_touched(
    testbed: Commands, options: list[str], words: str
) -> None:
    before, there = testbed.requests(), sorted(os.listdir(testbed.directory))
    for command in (LOAD, ("imaging-wait",), ("imaging-status",)):
        done = testbed.run(*command, *options, "1")
        assert done.returncode == 2, done.stderr
        assert words in done.stderr
        assert done.stdout == ""
    assert testbed.requests() == before
    assert sorted(os.listdir(testbed.directory)) == there


def test_a_reader_of_the_results_that_goes_away_ends_no_run(
    testbed: Commands, tmp_path: Path, outputs: list[str]
) -> None:
    words = " ".join(outputs)
    done = testbed.run("bash", "-c", f"set -o pipefail; imaging-wait -n -t 1 {words} 1-3 | true")
    assert done.returncode == 1
    assert "internal error" not in done.stderr
    assert len(checked(tmp_path)["nodes"]) == 3


def test_a_run_that_ends_before_its_plan_is_made_writes_nothing(
    testbed: Commands, tmp_path: Path, outputs: list[str]
) -> None:
    done = testbed.run(*LOAD, *outputs, "--json", "-t", "0.001", "1")
    assert (done.returncode, done.stdout) == (1, "")
    assert "before any node was touched" in done.stderr
    assert [name for name in os.listdir(tmp_path) if name != "events"] == []


def test_what_did_not_begin_leaves_everything_as_it_was(
    testbed: Commands, tmp_path: Path, outputs: list[str]
) -> None:
    (tmp_path / "ko").write_text("fit03\n")
    refused = testbed.run("imaging-load", "-i", "nosuch", *outputs, "1")
    dry = testbed.run(*LOAD, *outputs, "--json", "--dry-run", "1")
    assert (refused.returncode, dry.returncode, dry.stdout) == (2, 0, "")
    assert "would load sample" in dry.stderr
    assert os.listdir(tmp_path) == ["ko"]
    assert (tmp_path / "ko").read_text() == "fit03\n"
