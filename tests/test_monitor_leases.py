"""Who holds the nodes, by leases that are known."""

import json
import os
from pathlib import Path

import jsonschema
import pytest
import trio

from imaging.feedback.scripts.stream import LineStream
from imaging.feedback.wording import encodable
from imaging.leases.lease import Lease
from imaging.monitor import documents
from imaging.monitor.faces import EventsFace, TextFace
from imaging.monitor.leases import LeaseProbe, holders
from imaging.monitor.observations import NodeLease, Observation
from imaging.monitor.service import Monitor
from imaging.monitor.testbed import Testbed
from imaging.node.remote import prepare_login
from imaging.site.schema import LeasesSettings, MonitorSettings, Settings
from tests.report_samples import DOCS

NODES = ["fit01", "fit02", "fit03"]
LEASES = [
    Lease("1", "first", 0.0, 100.0),
    Lease("2", "second", 100.0, 200.0, ("fit01", "fit02")),
    Lease("3", "third\x1b[31m", 150.0, 300.0, ("fit02", "elsewhere")),
]


def held_by(now: float) -> dict[str, str]:
    return {node: lease.holder for node, lease in holders(LEASES, NODES, now).items()}


def test_a_lease_holds_from_its_start_to_its_end() -> None:
    assert held_by(-1) == {}
    assert held_by(0) == dict.fromkeys(NODES, "first")
    assert held_by(99.9) == dict.fromkeys(NODES, "first")
    assert held_by(100) == {"fit01": "second", "fit02": "second"}
    assert held_by(300) == {}


def test_the_lease_that_lasts_longest_counts() -> None:
    assert holders(LEASES, NODES, 160) == {
        "fit01": NodeLease("second", 200.0),
        "fit02": NodeLease("third\\x1b[31m", 300.0),
    }


def unexpected(problem: str) -> None:
    raise AssertionError(problem)


async def test_a_site_without_leases_is_not_asked() -> None:
    seen: list[Observation] = []
    probe = LeaseProbe(LeasesSettings(), 1.0, NODES, seen.append, unexpected)
    await probe.look()
    assert (seen, probe.problem) == ([], "")


async def test_a_book_that_cannot_be_read_is_a_problem_and_no_end(tmp_path: Path) -> None:
    file = tmp_path / "leases.sqlite"
    file.write_text("no database " * 100)
    seen: list[Observation] = []
    settings = LeasesSettings(backend="local", file=file)
    problems: list[str] = []
    probe = LeaseProbe(settings, 0.0, NODES, seen.append, problems.append)
    assert probe.problem  # nobody was asked yet
    for _ in range(2):
        await probe.look()
    assert str(file) in probe.problem
    file.unlink()
    for _ in range(2):
        await probe.look()
    assert (seen, probe.problem) == ([], "")
    assert [str(file) in problem for problem in problems] == [True, False]
    assert problems[1] == ""


@pytest.mark.parametrize(
    ("problem", "leases"),
    [
        (None, None),
        ("", {"known": True, "problem": None}),
        ("lost \udcff", {"known": False, "problem": encodable("lost \udcff")}),
    ],
)
def test_scripts_are_told_whether_they_are_known(problem: str | None, leases: object) -> None:
    nodes = Testbed.of(NODES)
    nodes.leases_problem = problem
    for told in (documents.testbed_line(nodes), documents.once_document(nodes)):
        assert json.loads(told)["leases"] == leases


def test_people_are_told_when_they_are_not_known(tmp_path: Path) -> None:
    place = tmp_path / "lines"
    with place.open("wb") as stream:
        face = TextFace(LineStream(os.dup(stream.fileno()), "lines"), Testbed.of(NODES))
    for problem in ("", "out of reach", "", ""):
        face.take_leases(0.0, problem)
    assert face.end(1) is None
    lines = [line.partition(" ")[2] for line in place.read_text().splitlines()]
    assert lines[:-1] == [
        "who holds the nodes is not known: out of reach",
        "who holds the nodes is known again",
    ]


async def test_a_monitor_tells_its_faces(tmp_path: Path) -> None:
    file = tmp_path / "leases.sqlite"
    file.write_text("no database " * 100)
    settings = Settings(
        leases=LeasesSettings(backend="local", file=file),
        monitor=MonitorSettings(lease_interval_s=0.01),
    )
    monitor = Monitor([], settings, prepare_login("root", 22, None))
    place = tmp_path / "events"
    with place.open("wb") as stream:
        face = EventsFace(LineStream(os.dup(stream.fileno()), "events"), monitor.testbed)
    monitor.faces.append(face)
    await monitor.leases.look()
    file.unlink()
    await trio.sleep(0.02)
    await monitor.leases.look()
    assert face.end(1) is None
    first, lost, found, _ = map(json.loads, place.read_text().splitlines())
    assert (first["event"], first["leases"]["known"]) == ("testbed", False)
    assert (lost["event"], lost["leases"]["known"]) == ("leases", False)
    assert str(file) in lost["leases"]["problem"]
    assert found["leases"] == {"known": True, "problem": None}
    schema = json.loads((DOCS / "monitor.schema.json").read_text())
    for line in (first, lost, found):
        jsonschema.validate(line, schema)
