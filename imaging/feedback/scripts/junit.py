"""The report of a run as JUnit XML, as Jenkins and GitLab show it: one test case per node."""

import re
from datetime import UTC, datetime
from xml.etree import ElementTree as ET

from imaging.feedback.outcomes import NodeOutcome, RunReport
from imaging.feedback.scripts.reports import seconds, transcript_text
from imaging.feedback.wording import encodable

# what XML 1.0 cannot hold, not even escaped
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit_text(report: RunReport) -> str:
    """The whole document."""
    suites = ET.Element("testsuites", _totals(report))
    suites.append(_suite(report))
    ET.indent(suites)
    body = ET.tostring(suites, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{body}\n'


def _totals(report: RunReport) -> dict[str, str]:
    return {
        "name": "imaging",
        "tests": str(len(report.outcomes)),
        "failures": str(len(report.failed)),
        "errors": "0",
        "skipped": "0",
        "time": _time(report.elapsed),
    }


def _suite(report: RunReport) -> ET.Element:
    # this format's dates have no zone
    started = datetime.fromtimestamp(report.started, UTC).replace(tzinfo=None)
    suite = ET.Element(
        "testsuite",
        {
            **_totals(report),
            "name": report.command,
            "timestamp": started.isoformat(timespec="seconds"),
        },
    )
    properties = ET.SubElement(suite, "properties")
    for name, value in _properties(report).items():
        if value:
            ET.SubElement(properties, "property", name=name, value=clean(value))
    suite.extend(_case(report, outcome) for outcome in report.outcomes)
    return suite


def _properties(report: RunReport) -> dict[str, str]:
    """What is known of the run; "" when it is not."""
    image = report.image
    return {
        "run_id": report.run_id,
        "summary": report.summary,
        "user": report.user,
        "image": image.name if image else "",
        "image_path": image.path if image else "",
        "sha256": image.sha256 if image else "",
        "transcripts": report.transcripts,
    }


def _case(report: RunReport, outcome: NodeOutcome) -> ET.Element:
    took = sum(sum(attempt.durations.values()) for attempt in (*outcome.attempts, outcome))
    case = ET.Element(
        "testcase", classname=report.command, name=clean(outcome.node), time=_time(took)
    )
    if outcome.reason is not None:
        message = outcome.message.removeprefix(f"{outcome.node}: ")
        failure = ET.SubElement(case, "failure", type=outcome.reason, message=clean(message))
        failure.text = clean("\n".join(_failure_lines(report, outcome)))
    elif outcome.attempts or outcome.detail:
        out = ET.SubElement(case, "system-out")
        told = [outcome.detail] if outcome.detail else []
        out.text = clean("\n".join([*told, *_attempt_lines(outcome)]))
    return case


def _failure_lines(report: RunReport, outcome: NodeOutcome) -> list[str]:
    where = f" at {outcome.step}" if outcome.step else ""
    lines = [f"{outcome.node} failed{where} ({outcome.reason})", outcome.message]
    lines.extend(f"{step}: {took:.1f} s" for step, took in outcome.durations.items())
    lines.extend(_attempt_lines(outcome))
    transcript = transcript_text(report.transcripts, outcome.node)
    return [*lines, f"transcript: {transcript}"] if transcript else lines


def _attempt_lines(outcome: NodeOutcome) -> list[str]:
    """The attempts before the last one."""
    return [
        f"attempt {number} failed at {attempt.step} ({attempt.reason}): {attempt.message}"
        for number, attempt in enumerate(outcome.attempts, 1)
    ]


def _time(duration: float) -> str:
    return f"{seconds(duration):.3f}"


def clean(text: str) -> str:
    """A text without the characters that XML 1.0 cannot hold."""
    return _NO_XML.sub("", encodable(text))
