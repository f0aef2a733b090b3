"""The benchmark's command: parts chosen, pages written, nothing left behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.bench import __main__ as bench
from tests.bench.disk import write_disk
from tests.bench.parts import Part, chosen, find, names
from tests.bench.tables import PartResult, Table
from tests.commands import processes_of, wait_for

ROOT = Path(__file__).parent.parent


def test_every_part_in_the_register_is_there() -> None:
    assert "dataplane-pacing" in names()
    for name in names():
        assert find(name).title


def test_parts_are_chosen_by_the_beginnings_of_their_names() -> None:
    assert chosen([]) == names()
    assert chosen(["dataplane-p", "dataplane-i"]) == ["dataplane-images", "dataplane-pacing"]
    assert len(chosen(["dataplane"])) >= 4
    with pytest.raises(ValueError, match="no part 'kitchen'"):
        chosen(["kitchen"])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--only", "nothing"], "there is no part 'nothing'; there are dataplane-images"),
        (["--write", "--runs", "4"], "medians of at least 5 runs"),
        (["--check", "--size", "64"], "for a disk of 1280 MiB only"),
        (["--runs", "0"], "--runs is at least 1"),
        (["--write", "--check"], "not allowed with argument"),
    ],
)
def test_wrong_options(options: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ending:
        bench.main(options)
    assert ending.value.code == 2
    assert words in capsys.readouterr().err


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A part that measures nothing, and a page and ratios of its own."""
    table = Table("Speed", ["tool", "s"], [["ours", "1"]])

    def register(speed: float) -> Part:
        return Part("Speed", lambda _: PartResult([table], {"speed": speed}), "page.md")

    monkeypatch.setattr(bench, "DOCS", tmp_path)
    monkeypatch.setattr(bench, "RATIOS", tmp_path / "ratios.json")
    monkeypatch.setattr(bench, "find", lambda _: register(float((tmp_path / "now").read_text())))
    (tmp_path / "page.md").write_text("# Page\n")
    (tmp_path / "now").write_text("2.0")
    return tmp_path / "page.md"


def test_the_page_is_written_and_a_slower_version_found_out(
    page: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench.main(["--only", "dataplane-pacing", "--write"]) == 0
    text = page.read_text()
    assert "| ours | 1 |" in text
    assert "Run on " in text
    (page.parent / "now").write_text("1.6")
    assert bench.main(["--only", "dataplane-pacing", "--check"]) == 0
    (page.parent / "now").write_text("1.4")
    assert bench.main(["--only", "dataplane-pacing", "--check"]) == 1
    assert "WORSE dataplane-pacing: speed: 2.00 before, 1.40 now" in capsys.readouterr().out
    assert page.read_text() == text, "a check writes nothing"


def test_a_part_that_has_no_committed_ratios_fails_a_check(
    page: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench.main(["--only", "dataplane-pacing", "--write"]) == 0
    assert bench.main(["--only", "simulation", "--check"]) == 1
    assert "simulation: no ratios are committed" in capsys.readouterr().out


def test_without_e2fsprogs_the_disk_has_the_same_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.bench.disk.shutil.which", lambda *_, **__: None)
    said = write_disk(tmp_path / "disk", 8)
    assert "no mke2fs" in said
    assert (tmp_path / "disk").stat().st_size == 8 << 20
    write_disk(tmp_path / "again", 8)
    assert (tmp_path / "again").read_bytes() == (tmp_path / "disk").read_bytes()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda s: s.name)
def test_an_interrupted_benchmark_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    words = ["--only", "dataplane-loopback", "--size", "8", "--directory", str(tmp_path)]
    with subprocess.Popen(
        [sys.executable, "-m", "tests.bench", *words],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            wait_for(lambda: bool(processes_of("imaging-frisbeed", tmp_path)), 30)
            begin = time.monotonic()
            os.kill(process.pid, number)
            _, said = process.communicate(timeout=10)
        finally:
            process.kill()
    assert time.monotonic() - begin < 5
    assert process.returncode == 1
    assert "interrupted" in said
    assert list(tmp_path.iterdir()) == []
    wait_for(lambda: not processes_of("frisbee", tmp_path))
