"""Healthy nodes are not delayed by the others: within a fifth of what they take alone.

On simulated nodes, so that it is the command that is measured and not forty clients on one
machine, with a boot and a transfer that are long enough for a fifth of them to be no noise.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.commands import Commands
from tests.soak import FAULTS, simulated_testbed

pytestmark = pytest.mark.e2e

NODES = 2 * len(FAULTS)
FAULTY = [f"fit{number:02}" for number in range(1, len(FAULTS) + 1)]


@pytest.fixture(scope="module")
def bed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    directory = tmp_path_factory.mktemp("delay") / "bed"
    with (
        simulated_testbed(directory, NODES, patience_s=9, boot_s=2.0) as testbed,
        testbed.setting("bandwidth_mibps = 400", "bandwidth_mibps = 80"),
    ):
        yield testbed


def load(bed: Commands) -> dict[str, dict[str, Any]]:
    """Load all nodes; their rows of the report."""
    done = bed.run("imaging-load", "-i", "sample", "-t", "40", "-a", "--json")
    return {row["node"]: row for row in json.loads(done.stdout)["nodes"]}


def time_of(row: dict[str, Any]) -> float:
    """Seconds from the beginning to the end of a node's own life in the run."""
    return float(sum(row["durations"].values()))


def test_every_fault_at_once_delays_no_healthy_node(bed: Commands) -> None:
    alone = load(bed)
    assert {row["outcome"] for row in alone.values()} == {"ok"}
    usual = max(map(time_of, alone.values()))
    assert usual > 3  # seconds: a fifth of it is more than the noise of a busy machine
    for node, fault in zip(FAULTY, FAULTS, strict=True):
        kind, _, what = fault.partition("=")
        bed.set_fault(node, **{kind: what})
    try:
        among_faults = load(bed)
    finally:
        bed.clear_faults()
    healthy = {name: row for name, row in among_faults.items() if name not in FAULTY}
    assert {row["outcome"] for row in healthy.values()} == {"ok"}
    assert {name: time_of(row) for name, row in healthy.items() if time_of(row) > 1.2 * usual} == {}
    failed = {name for name in FAULTY if among_faults[name]["outcome"] != "ok"}
    assert len(failed) == sum(None not in reasons for reasons in FAULTS.values())
