"""The wheel as a stranger gets it: alone, in an empty environment of each Python."""

import re
import shutil
import subprocess
import sys
import sysconfig
from importlib.metadata import requires
from pathlib import Path

import pytest

import imaging
from tests.commands import run_command, user_environment
from tests.report_samples import DOCS

ROOT = DOCS.parent
VERSIONS = ("3.11", "3.12", "3.13", "3.14")
INSTALL_LIMIT_S = 170

pytestmark = pytest.mark.e2e


def interpreter(version: str) -> Path:
    """A Python of that version with venv and pip; skips the test when there is none."""
    places = [Path(sysconfig.get_config_var("BINDIR")), Path.home() / f".pyenv/versions/{version}"]
    places += sorted((Path.home() / ".pyenv/versions").glob(f"{version}.*/bin"))
    candidates = [place / f"python{version}" for place in places]
    on_path = shutil.which(f"python{version}")
    candidates += [Path(on_path)] if on_path else []
    for candidate in candidates:
        if candidate.is_file():
            check = [str(candidate), "-c", "import ensurepip, venv"]
            if subprocess.run(check, capture_output=True, check=False).returncode == 0:
                return candidate
    pytest.skip(f"there is no Python {version} with venv here")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this source."""
    output = tmp_path_factory.mktemp("wheel")
    words = [sys.executable, "-W", "ignore", "-m", "build", "--no-isolation", "--wheel"]
    words += ["--outdir", str(output), str(ROOT)]
    done = run_command(*words, cwd=output, environment=user_environment(output))
    assert done.returncode == 0, done.stdout + done.stderr
    (found,) = output.iterdir()
    return found


@pytest.mark.parametrize("version", VERSIONS)
def test_the_wheel_alone_shows_the_demo(tmp_path: Path, wheel: Path, version: str) -> None:
    environment = tmp_path / "environment"
    subprocess.run([interpreter(version), "-m", "venv", environment], check=True)
    binaries = environment / "bin"
    installed = subprocess.run(
        [binaries / "python", "-m", "pip", "install", "--quiet", "--retries=1", wheel],
        capture_output=True,
        text=True,
        timeout=INSTALL_LIMIT_S,
        check=False,
    )
    if re.search("NewConnectionError|NameResolutionError|ConnectTimeout", installed.stderr):
        pytest.skip("no package index can be reached")
    assert installed.returncode == 0, installed.stderr

    bare = user_environment(tmp_path) | {"PATH": f"{binaries}:/usr/sbin:/usr/bin:/sbin:/bin"}
    said = run_command("imaging", "--version", cwd=tmp_path, environment=bare)
    assert (said.stdout, said.stderr) == (f"imaging {imaging.__version__}\n", "")
    demo = run_command("imaging-testbed", "demo", cwd=tmp_path, environment=bare)
    assert demo.returncode == 0, demo.stderr
    assert "8 of 8 disks are identical" in demo.stdout
    assert "Traceback" not in demo.stderr
    assert (environment / "share/bash-completion/completions/imaging-load").is_file()


def test_every_promised_version_is_tried() -> None:
    """And no other is promised."""
    text = (ROOT / "pyproject.toml").read_text()
    promised = re.findall(r'"Programming Language :: Python :: (3\.\d+)"', text)
    assert tuple(promised) == VERSIONS
    (first, end) = re.findall(r'requires-python = ">=(3\.\d+),<(3\.\d+)"', text)[0]
    assert first == VERSIONS[0]
    assert end == f"3.{int(VERSIONS[-1].partition('.')[2]) + 1}"
    assert requires("imaging")
