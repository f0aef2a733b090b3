"""What commands print of their outcomes, checked as functions."""

import json

from hypothesis import given
from hypothesis import strategies as st

from imaging.errors import Reason
from imaging.feedback.outcomes import NodeOutcome, RunReport, Step
from imaging.feedback.results import answer_lines, answer_objects, availability_line

ON = NodeOutcome("fit01", detail="on")
INFO = NodeOutcome("reboot100", detail="card 7\nfirmware 2")
DEAD = NodeOutcome("fit02", Reason.NO_CMC, Step.POWER, "fit02: its CMC does not answer")


def report(*outcomes: NodeOutcome) -> RunReport:
    return RunReport("run", "imaging-status", outcomes, 1.0)


def test_answers_are_aligned() -> None:
    assert answer_lines(report(ON, INFO, DEAD)) == [
        "fit01:     on",
        "reboot100: card 7",
        "           firmware 2",
        "fit02:     KO (no-cmc: its CMC does not answer)",
    ]


def test_no_outcome_is_no_line() -> None:
    assert answer_lines(report()) == []
    assert answer_lines(report(NodeOutcome("fit01"))) == ["fit01:"]


def test_availability() -> None:
    assert availability_line(ON, "ssh") == "fit01: ssh OK"
    assert availability_line(DEAD, "telnet") == (
        "fit02: telnet KO (no-cmc: its CMC does not answer)"
    )


@given(st.lists(st.tuples(st.text(), st.booleans())))
def test_every_node_is_in_the_json(answers: list[tuple[str, bool]]) -> None:
    outcomes = [
        NodeOutcome(f"n{i}", None if ok else Reason.NO_CMC, message="" if ok else text, detail=text)
        for i, (text, ok) in enumerate(answers)
    ]
    (text,) = answer_objects(report(*outcomes))
    rows = json.loads(text)
    assert [row["node"] for row in rows] == [o.node for o in outcomes]
    assert [row["ok"] for row in rows] == [o.ok for o in outcomes]
    assert [row["answer"] for row in rows if row["ok"]] == [o.detail for o in outcomes if o.ok]
