"""What scripts get of a run, checked as functions of the report and the events."""

import json
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaging.errors import Reason
from imaging.feedback.board import Board
from imaging.feedback.events import (
    ImageHashed,
    NodeFinished,
    NodeRetried,
    Progressed,
    RunStarted,
    Said,
)
from imaging.feedback.outcomes import NodeOutcome, RunReport, Step
from imaging.feedback.scripts.event_lines import EventLines
from imaging.feedback.scripts.junit import junit_text
from imaging.feedback.scripts.reports import failed_names, ok_names, report_lines
from tests.report_samples import (
    DIGEST,
    EVENTS,
    FINE,
    IMAGE,
    REPORT,
    STALLED,
    START,
    validated,
    validated_lines,
)

EMPTY = RunReport("run", "imaging-wait", (), 0.0)


def test_a_report_tells_the_run_and_every_node() -> None:
    (text,) = report_lines(REPORT)
    told = validated(text, "report")
    nodes = told.pop("nodes")
    assert told == {
        "format_version": 1,
        "run_id": "20260301-120000-abcdef",
        "command": "imaging-load",
        "user": "tester",
        "summary": "load sample (3 MiB) on 2 nodes: fit01-fit02",
        "start": "2026-03-01T12:00:00.000Z",
        "end": "2026-03-01T12:00:12.346Z",
        "elapsed": 12.346,
        "exit_code": 1,
        "quorum": None,
        "image": {
            "name": "sample",
            "path": "/images/sample.ndz",
            "size": 3145728,
            "sha256": DIGEST,
        },
        "transcripts": "/transcripts/20260301-120000-abcdef",
    }
    fine, failed = nodes
    assert fine == {
        "node": "fit01",
        "outcome": "ok",
        "reason": None,
        "step": None,
        "message": None,
        "detail": None,
        "durations": {"boot": 1.25, "transfer": 2.5},
        "size": 3145728,
        "transcript": "/transcripts/20260301-120000-abcdef/fit01.log",
        "attempts": [],
    }
    assert (failed["outcome"], failed["reason"], failed["step"]) == ("failed", "no-telnet", "boot")
    assert failed["message"] == "nothing answered"
    (attempt,) = failed["attempts"]
    assert (attempt["reason"], attempt["step"], attempt["size"]) == ("stalled", "transfer", 7)
    assert "attempts" not in attempt


def test_what_is_not_known_is_null() -> None:
    told = validated(report_lines(EMPTY)[0], "report")
    assert (told["image"], told["transcripts"], told["nodes"]) == (None, None, [])
    lone = RunReport("run", "imaging-status", (NodeOutcome("fit01", detail="on"),), 1.0)
    (node,) = validated(report_lines(lone)[0], "report")["nodes"]
    assert (node["detail"], node["transcript"], node["durations"]) == ("on", None, {})


def test_names_are_one_per_line() -> None:
    assert (ok_names(REPORT), failed_names(REPORT)) == ("fit01\n", "fit02\n")
    assert (ok_names(EMPTY), failed_names(EMPTY)) == ("", "")


def test_junit_has_a_test_case_per_node() -> None:
    suites = ET.fromstring(junit_text(REPORT))
    (suite,) = suites
    for element in (suites, suite):
        assert (element.get("tests"), element.get("failures")) == ("2", "1")
    assert suite.get("name") == "imaging-load"
    assert suite.get("timestamp") == "2026-03-01T12:00:00"
    properties = {p.get("name"): p.get("value") for p in suite.iter("property")}
    assert properties["run_id"] == REPORT.run_id
    assert (properties["image"], properties["sha256"]) == ("sample", DIGEST)
    fine, failed = suite.findall("testcase")
    assert (fine.get("name"), fine.get("time"), len(fine)) == ("fit01", "3.750", 0)
    assert (failed.get("name"), failed.get("time")) == ("fit02", "1.500")
    (failure,) = failed
    assert (failure.get("type"), failure.get("message")) == ("no-telnet", "nothing answered")
    assert failure.text is not None
    assert failure.text.splitlines() == [
        "fit02 failed at boot (no-telnet)",
        "fit02: nothing answered",
        "power: 0.5 s",
        "attempt 1 failed at transfer (stalled): fit02: nothing new for 20 s",
        "transcript: /transcripts/20260301-120000-abcdef/fit02.log",
    ]


@given(st.text(st.characters(), max_size=40), st.text(st.characters(), max_size=40))
def test_any_text_of_a_node_makes_documents_that_can_be_read(message: str, detail: str) -> None:
    outcomes = (
        NodeOutcome("fit01", Reason.STALLED, Step.BOOT, message),
        NodeOutcome("fit02", detail=detail),
    )
    report = RunReport("run", "imaging-load", outcomes, 1.0, user=detail, summary=message)
    validated(report_lines(report)[0].encode(), "report")
    failed, _ = ET.fromstring(junit_text(report).encode()).iter("testcase")
    assert failed.find("failure") is not None
    line = EventLines().line(NodeFinished(1.0, outcomes[0]))
    assert line is not None
    assert line.count(b"\n") == 1
    validated(line, "events")


@pytest.mark.parametrize("control", ["\0", "\x1b[31m", "\ufffe", "\ud800", "\x0b"])
def test_what_xml_cannot_hold_is_removed(control: str) -> None:
    failed = NodeOutcome("fit01", Reason.STALLED, Step.BOOT, f"a{control}<&>\"'b")
    text = junit_text(RunReport("run", "imaging-load", (failed,), 1.0))
    assert control not in text
    (failure,) = ET.fromstring(text.encode()).iter("failure")
    assert "<&>\"'b" in (failure.get("message") or "")


def test_every_event_is_a_line_that_keeps_to_the_schema() -> None:
    lines = EventLines()
    told = [lines.line(event) for event in EVENTS]
    text = b"".join(line for line in told if line is not None) + lines.last_line(REPORT)
    rows = validated_lines(text.decode())
    assert len(rows) == len(EVENTS) + 1
    assert [row["event"] for row in rows[:4]] == [
        "run-started",
        "step-started",
        "sighted",
        "step-done",
    ]
    assert rows[3] == {
        "event": "step-done",
        "at": "2026-03-01T12:00:02.000Z",
        "node": "fit01",
        "step": "boot",
        "duration": 1.25,
        "detail": "ramdisk up",
    }
    assert rows[-2]["result"]["transcript"].endswith("/fit01.log")
    assert rows[-1] == {
        "event": "run-finished",
        "at": "2026-03-01T12:00:12.346Z",
        "exit_code": 1,
        "elapsed": 12.346,
        "counts": {"ok": 1, "failed": 1},
    }


def test_what_is_said_on_a_channel_has_no_line() -> None:
    assert EventLines().line(Said(1.0, "fit01", "telnet", ">", b"secret")) is None


def test_a_run_without_timeout_has_none() -> None:
    endless = EventLines().line(RunStarted(1.0, "run", "imaging-wait", (), "wait"))
    assert endless is not None
    assert json.loads(endless)["timeout"] is None


def test_the_board_gives_the_report_its_image_and_its_attempts() -> None:
    board = Board()
    for event in (
        START,
        ImageHashed(2.0, "f" * 64, 99),
        Progressed(3.0, "fit02", 0.5, 4096),
        NodeRetried(4.0, STALLED),
        NodeFinished(5.0, FINE),
        NodeFinished(6.0, NodeOutcome("fit02")),
    ):
        board.fold(event)
    report = board.report(now=START.at + 10)
    assert report.summary == START.summary
    assert report.image is not None
    assert (report.image.sha256, report.image.size) == ("f" * 64, 99)
    assert report.image.name == IMAGE.name
    assert [attempt.size for attempt in report.outcomes[1].attempts] == [4096]
