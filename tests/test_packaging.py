"""What is given away: the wheel and the source distribution hold what they should, and no more."""

import email
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import imaging
from tests.commands import run_command, user_environment
from tests.report_samples import DOCS

ROOT = DOCS.parent
NAME = f"imaging-{imaging.__version__}"
# of no use to who has only the source distribution
LEFT_OUT = (".ci/",)
ADDED = {"PKG-INFO"}
SHARED = (
    "bash-completion/completions/",
    "fish/vendor_completions.d/",
    "zsh/site-functions/",
    "man/",
)


def tracked() -> set[str]:
    """The files that git knows, and that are there."""
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("this is no checkout of git's")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return {name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()}


def copy_of(files: set[str], directory: Path) -> Path:
    """A source tree of these files, and of what working in it leaves behind."""
    for name in files:
        target = directory / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, target)
    for stray in (
        "imaging/__pycache__/errors.cpython-311.pyc",
        "imaging/imaging.log",
        "tests/.hypothesis/constants/1",
        "imaging.log",
        "notes.txt",
        "dist/imaging-0.0.1.tar.gz",
        ".venv/pyvenv.cfg",
    ):
        (directory / stray).parent.mkdir(parents=True, exist_ok=True)
        (directory / stray).write_text("stray")
    return directory


def build(tree: Path, output: Path) -> tuple[Path, Path]:
    """The wheel and the source distribution, made as ``python -m build`` does: one of the other."""
    environment = {**user_environment(output), "SOURCE_DATE_EPOCH": "1700000000"}
    words = [sys.executable, "-W", "ignore", "-m", "build", "--no-isolation", "--outdir", "."]
    output.mkdir()
    done = run_command(*words, str(tree), cwd=output, environment=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return output / f"{NAME}-py3-none-any.whl", output / f"{NAME}.tar.gz"


@pytest.fixture(scope="module")
def files() -> set[str]:
    return tracked()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, files: set[str]) -> tuple[Path, Path]:
    directory = tmp_path_factory.mktemp("packaging")
    return build(copy_of(files, directory / "tree"), directory / "dist")


def test_the_wheel_is_the_package_and_what_shells_and_man_look_for(
    built: tuple[Path, Path], files: set[str]
) -> None:
    with zipfile.ZipFile(built[0]) as wheel:
        names = {entry.filename for entry in wheel.infolist() if not entry.is_dir()}
    package = {name for name in files if name.startswith("imaging/")}
    assert "imaging/py.typed" in package
    others = names - package
    assert names - others == package
    shared = {name for name in others if name.startswith(f"{NAME}.data/data/share/")}
    assert all(name.partition("/share/")[2].startswith(SHARED) for name in shared)
    assert f"{NAME}.data/data/share/zsh/site-functions/_imaging" in shared
    assert f"{NAME}.data/data/share/bash-completion/completions/imaging-load" in shared
    assert f"{NAME}.data/data/share/fish/vendor_completions.d/imaging-load.fish" in shared
    pages = {name.partition("/share/man/")[2] for name in shared if "/share/man/" in name}
    manuals = [Path(name) for name in files if name.startswith("docs/man/")]
    assert {"man1/imaging-load.1", "man5/imaging.conf.5"} <= pages
    assert pages == {f"man{manual.suffix[1:]}/{manual.name}" for manual in manuals}
    assert others - shared == {
        f"{NAME}.dist-info/{name}"
        for name in ("METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE")
    }


def test_the_source_is_what_git_knows(built: tuple[Path, Path], files: set[str]) -> None:
    with tarfile.open(built[1]) as source:
        names = {entry.name.removeprefix(f"{NAME}/") for entry in source if not entry.isdir()}
    assert names == {name for name in files if not name.startswith(LEFT_OUT)} | ADDED


def test_the_source_alone_gives_the_same_bytes(built: tuple[Path, Path], tmp_path: Path) -> None:
    """Unpacked and built again, at another place and another time."""
    # tarfile itself has no filters before Python 3.11.4, and Debian 12 has 3.11.2
    subprocess.run(["tar", "-xf", built[1], "-C", tmp_path], check=True)
    again = build(tmp_path / NAME, tmp_path / "dist")
    assert [file.read_bytes() for file in again] == [file.read_bytes() for file in built]


def test_what_an_index_shows_leads_nowhere_that_is_not_there(built: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(built[0]) as wheel:
        metadata = email.message_from_bytes(wheel.read(f"{NAME}.dist-info/METADATA"))
    text = str(metadata.get_payload())
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert text.lstrip().startswith((ROOT / "README.md").read_text().partition("\n")[0])
    targets = re.findall(r"\]\(([^)]*)\)", text) + re.findall(r'(?:src|href)="([^"]*)"', text)
    assert [target for target in targets if not target.startswith("https://")] == []
