"""Past boots as the history tells them."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from imaging.errors import Reason
from imaging.feedback.outcomes import NodeOutcome, RunReport, Step
from imaging.feedback.records.boots import past_boots
from imaging.feedback.records.history import HistoryError, open_history


def report(run_id: str, started: float, *outcomes: NodeOutcome) -> RunReport:
    return RunReport(run_id, "imaging-load", outcomes, 60.0, started)


def boot(node: str, seconds: float) -> NodeOutcome:
    return NodeOutcome(node, durations={Step.POWER: 0.1, Step.BOOT: seconds})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.sqlite"


def test_boots_by_node_newest_first(path: Path) -> None:
    with open_history(path) as history:
        history.record(report("one", 1000.0, boot("fit01", 50.0), boot("fit02", 70.0)))
        history.record(report("two", 2000.0, boot("fit01", 52.0), boot("fit03", 9.0)))
    assert past_boots(path, ["fit01", "fit02"]) == {"fit01": [52.0, 50.0], "fit02": [70.0]}


def test_what_failed_or_was_not_reset_tells_nothing(path: Path) -> None:
    there_already = NodeOutcome("fit01", durations={Step.BOOT: 0.1})
    failed = replace(boot("fit02", 3.0), reason=Reason.STALLED, step=Step.TRANSFER)
    with open_history(path) as history:
        history.record(report("one", 1000.0, there_already, failed))
    assert past_boots(path, ["fit01", "fit02"]) == {}


def test_no_history_and_one_that_is_none(path: Path) -> None:
    assert past_boots(path, ["fit01"]) == {}
    path.write_text("this is no history at all" * 100)
    with pytest.raises(HistoryError):
        past_boots(path, ["fit01"])
