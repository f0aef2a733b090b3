"""Who holds the nodes, by leases that are known."""

from pathlib import Path

from imaging.leases.lease import Lease
from imaging.monitor.leases import LeaseProbe, holders
from imaging.monitor.observations import NodeLease, Observation
from imaging.site.schema import LeasesSettings

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


async def test_a_site_without_leases_is_not_asked() -> None:
    seen: list[Observation] = []
    probe = LeaseProbe(LeasesSettings(), 1.0, NODES, seen.append)
    await probe.look()
    assert (seen, probe.problem) == ([], "")


async def test_a_book_that_cannot_be_read_is_a_problem_and_no_end(tmp_path: Path) -> None:
    file = tmp_path / "leases.sqlite"
    file.write_text("no database " * 100)
    seen: list[Observation] = []
    settings = LeasesSettings(backend="local", file=file)
    probe = LeaseProbe(settings, 0.0, NODES, seen.append)
    await probe.look()
    assert str(file) in probe.problem
    file.unlink()
    await probe.look()
    assert (seen, probe.problem) == ([], "")
