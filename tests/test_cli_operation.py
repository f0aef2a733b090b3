"""A bug in the middle of a run: what has happened to the nodes is kept all the same."""

import json
from pathlib import Path

from tests.site_directory import SiteDirectory

BUGGY_RUN = """
import sys, time
from pathlib import Path
from imaging.cli.runs import run_operation
from imaging.cli.wishes import CommonOptions, OutputOptions
from imaging.feedback.events import NodeFinished, StepStarted
from imaging.feedback.outcomes import ImageFacts, NodeOutcome, Step
from imaging.feedback.results import Results

class Plan:
    node_names = ("fit01", "fit02")
    summary = "load it"
    image_facts = ImageFacts("sample", "/images/sample.ndz", 1024)
    quorum = 1

async def operate(plan, emit):
    emit(StepStarted(time.time(), "fit01", Step.TRANSFER))
    emit(NodeFinished(time.time(), NodeOutcome("fit02")))
    raise RuntimeError("a bug")

outputs = OutputOptions(report=Path("report.json"))
options = CommonOptions(outputs=outputs)
sys.exit(run_operation("imaging-load", options, lambda _: Plan(), operate, lambda _: 60, Results()))
"""


KEPT_HERE = "[history]\nfile = history.sqlite\n[transcripts]\ndirectory = transcripts\n"


def test_a_bug_leaves_a_report_and_a_record(tmp_path: Path) -> None:
    site = SiteDirectory(tmp_path)
    site.add_settings(KEPT_HERE)
    done = site.run("python", "-c", BUGGY_RUN)
    assert done.returncode == 1
    assert "imaging-load: internal error: RuntimeError('a bug'); the traceback is in" in done.stderr
    assert "Traceback" not in done.stderr
    report = json.loads((site.directory / "report.json").read_text())
    assert [node["reason"] for node in report["nodes"]] == ["internal-error", None]
    assert report["nodes"][0]["step"] == "transfer"
    assert report["exit_code"] == 1  # whatever the quorum
    told = site.run("imaging-history", "--node", "fit01").stdout
    assert "unknown, the load of sample (/images/sample.ndz) failed while it wrote" in told
