"""Every command tells its version, which has one source."""

import re
from importlib.metadata import entry_points, version
from pathlib import Path

import pytest

import imaging
from tests.commands import run_command, user_environment

COMMANDS = sorted(
    entry.name
    for entry in entry_points(group="console_scripts")
    if entry.value.startswith("imaging.")
)


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_says_it(tmp_path: Path, name: str) -> None:
    done = run_command(name, "--version", cwd=tmp_path, environment=user_environment(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"imaging {imaging.__version__}\n"


def test_the_installed_version_is_that_of_the_code() -> None:
    assert version("imaging") == imaging.__version__
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.dev\d+|rc\d+)?", imaging.__version__)
