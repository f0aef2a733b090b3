"""A short soak; the long one is ``python -m tests.monitor_soak``."""

from pathlib import Path

import pytest

from tests.monitor_soak import MonitorSoak, hurried_testbed


@pytest.mark.e2e
def test_a_monitor_at_fifty_times_its_pace_does_not_grow(tmp_path: Path) -> None:
    with hurried_testbed(tmp_path / "bed", 4) as testbed:
        soak = MonitorSoak(testbed, seed=7)
        soak.run(10)
    assert len(soak.conditions) > 10
