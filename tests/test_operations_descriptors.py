"""Descriptors enough for a run, with the limits that a real process has."""

import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from imaging.operations.descriptors import allow_descriptors, needed_descriptors
from tests.commands import Commands

NODES = 5


@contextmanager
def soft_limit(descriptors: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_low_limit_is_raised_as_far_as_it_must() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with soft_limit(100):
        allow_descriptors(NODES)
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (needed_descriptors(NODES), hard)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    allow_descriptors(1)
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == before


def test_what_the_system_does_not_allow_is_told() -> None:
    code = """
import resource
from imaging.operations.descriptors import allow_descriptors
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 200))
allow_descriptors(100)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "100 nodes need 528 open files, and 200 are allowed" in done.stderr


@pytest.mark.e2e
def test_too_few_descriptors_are_told_before_any_node_is_touched(testbed: Commands) -> None:
    before = testbed.requests()
    done = testbed.run("sh", "-c", "ulimit -n 100; exec imaging-load -i sample 1-5")
    assert done.returncode == 2
    assert "5 nodes need 148 open files, and 100 are allowed" in done.stderr
    assert "ulimit -Hn" in done.stderr
    assert testbed.requests() == before


@pytest.mark.e2e
def test_a_soft_limit_is_no_obstacle(testbed: Commands) -> None:
    done = testbed.run("sh", "-c", "ulimit -Sn 64; exec imaging-load -q -i sample 1")
    assert done.returncode == 0, done.stderr


@pytest.mark.e2e
def test_a_soft_limit_makes_no_node_of_the_monitor_unwell(testbed: Commands) -> None:
    done = testbed.run("sh", "-c", "ulimit -Sn 20; exec imaging-monitor --once 1-5")
    assert done.returncode == 0, done.stdout
    assert "open files" not in done.stdout
