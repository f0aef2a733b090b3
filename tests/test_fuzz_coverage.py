"""The property tests as coverage drives them, when atheris is there: a short run of each."""

import importlib.util
import subprocess
import sys

import pytest

from tests.fuzz import targets

NAMES = [name for name, _ in targets()]


def test_the_parsers_of_what_comes_from_outside_are_among_them() -> None:
    assert len(NAMES) >= 10


@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris is not installed")
@pytest.mark.parametrize("name", NAMES)
def test_a_short_run_finds_nothing(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", name, "-max_total_time=3"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-2000:]
