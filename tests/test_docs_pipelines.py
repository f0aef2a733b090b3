"""The pipelines of the CI page: they can be read, and the one that needs no node runs."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.commands import user_environment
from tests.documented_commands import ROOT, blocks

PAGE = (ROOT / "docs/how-to/ci.md").read_text()
GITLAB, GITHUB, REHEARSAL = (
    yaml.safe_load(block.text) for block in blocks(PAGE) if block.kind == "yaml"
)
LIMIT_S = 100.0


def test_gitlabs_has_its_stages_and_shows_the_report() -> None:
    load = GITLAB["reimage"]
    assert {GITLAB[job]["stage"] for job in ("reimage", "test")} == set(GITLAB["stages"])
    report = load["artifacts"]["reports"]["junit"]
    assert f"--report {report}" in " ".join(load["script"])
    assert load["artifacts"]["when"] == "always"
    assert load["resource_group"] == GITLAB["test"]["resource_group"]


def test_githubs_has_its_steps_and_keeps_the_report() -> None:
    (job,) = GITHUB["jobs"].values()
    steps: list[dict[str, Any]] = job["steps"]
    assert GITHUB[True] is not None, "YAML 1.1 reads `on` as true; GitHub does not"
    assert all(("run" in step) != ("uses" in step) for step in steps)
    (kept,) = (step for step in steps if "upload" in step.get("uses", ""))
    assert kept["if"] == "always()"
    assert "load.json" in kept["with"]["path"]
    assert any("--report load.json" in step.get("run", "") for step in steps)


def test_the_options_that_the_page_praises_are_used_on_it() -> None:
    table, _, rest = PAGE.partition("| want | option |\n")[2].partition("\n\n")
    praised = set(re.findall(r"`(--?[a-z-]+)", table)) - {"--wait-lock"}
    assert len(praised) > 5
    assert all(option in rest for option in praised)


@pytest.mark.e2e
def test_the_rehearsal_needs_no_node_and_ends_well(tmp_path: Path) -> None:
    """GitLab's runner ends a job with the first command that fails, and so does this."""
    installs, *script = REHEARSAL["rehearsal"]["script"]
    assert installs.startswith("pip install ")
    directory, home = tmp_path / "job", tmp_path / "home"
    directory.mkdir()
    home.mkdir()
    try:
        done = subprocess.run(
            ["/bin/bash", "-e", "-o", "pipefail", "-c", "\n".join(script)],
            cwd=directory,
            env=user_environment(home),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "failure" in (directory / "load.xml").read_text()
    finally:
        subprocess.run(
            ["imaging-testbed", "down", "bed"],
            cwd=directory,
            env=user_environment(home),
            capture_output=True,
            check=False,
        )
