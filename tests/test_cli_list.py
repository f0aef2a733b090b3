"""imaging-list, as its users run it: no inventory, no testbed."""

import json
import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from imaging.images.partial import open_partial
from tests import ndz_samples
from tests.commands import BIN, run_command, user_environment
from tests.library_samples import (
    NEWER_NAME,
    NEWEST_NAME,
    OLD_NAME,
    write_image,
    write_saved,
    write_site,
)

KEYS = [
    "name",
    "kind",
    "path",
    "file",
    "private",
    "target",
    "aliases",
    "size",
    "covered_bytes",
    "minimum_disk_size",
    "date",
    "node",
    "author",
    "comment",
    "parent",
    "sha256",
    "sidecar",
    "growing",
    "problem",
]


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A directory with settings and images of every kind."""
    images = write_site(tmp_path)
    write_saved(images / "fedora-40.ndz", ndz_samples.DOS_EXT4, comment="with drivers " * 9)
    write_saved(images / "Debian-12.ndz", ndz_samples.V3, user="bob", comment="")
    (images / "fedora.ndz").symlink_to("fedora-40.ndz")
    (images / "gone.ndz").symlink_to("nowhere.ndz")
    (images / "cut.ndz").write_bytes(ndz_samples.truncated())
    (images / ".dead.ndz.partial").write_bytes(b"x" * 3000)
    write_image(images / f"{OLD_NAME}.ndz", age_s=20)
    write_image(images / f"{NEWER_NAME}.ndz", age_s=10)
    write_image(tmp_path / "private/mine.ndz", ndz_samples.RAW)
    return tmp_path


def listed(site: Path, *words: str) -> tuple[int, list[str], str]:
    done = run_command("imaging-list", *words, cwd=site, environment=user_environment(site))
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout.splitlines(), done.stderr


def names(lines: list[str]) -> list[str]:
    return [line.split()[0] for line in lines[1:]]


def on_terminal(site: Path, columns: int, *words: str) -> list[str]:
    script = f"stty cols {columns} rows 40; imaging-list {' '.join(words)}"
    done = subprocess.run(
        ["script", "-qec", script, "/dev/null"],
        cwd=site,
        env=user_environment(site),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
    )
    return done.stdout.replace("\r", "").splitlines()


def test_the_table(site: Path) -> None:
    status, lines, said = listed(site)
    assert (status, said) == (0, "")
    assert lines[0].split() == ["NAME", "SIZE", "COVERS", "DATE", "AUTHOR", "COMMENT"]
    rows = {line.split()[0]: " ".join(line.split()) for line in lines[1:]}
    assert list(rows) == sorted(rows, key=str.lower)
    date = r"2026-03-0\d \d\d:\d\d"
    assert re.fullmatch(
        rf"fedora-40 2\.0 MiB 63\.0 MiB {date} ann with drivers .*", rows["fedora-40"]
    )
    assert re.fullmatch(rf"fedora -> fedora-40 2\.0 MiB 63\.0 MiB {date} ann .*", rows["fedora"])
    assert re.fullmatch(rf"Debian-12 1\.0 MiB 16\.0 MiB {date} bob", rows["Debian-12"])
    assert "BROKEN: the image is truncated" in rows["cut"]
    assert "DANGLING: an alias of nowhere" in rows["gone"]
    assert "2.9 KiB - " in rows["dead"]
    assert "PARTIAL: left by a save that died" in rows["dead"]
    assert rows["mine"].endswith("[private]")
    assert len({line.index("MiB") for line in lines if "MiB" in line}) == 1


@pytest.mark.skipif(not shutil.which("script"), reason="needs script(1)")
@pytest.mark.parametrize("columns", [20, 40, 80, 132])
def test_the_table_fits_the_terminal(site: Path, columns: int) -> None:
    lines = on_terminal(site, columns)
    assert max(map(len, lines)) <= columns
    assert any(line.startswith("fedora-40 ") for line in lines)
    heads = lines[0].split()
    assert heads[0] == "NAME"
    if columns >= 80:
        assert heads == ["NAME", "SIZE", "COVERS", "DATE", "AUTHOR", "COMMENT"]
        assert OLD_NAME in lines
    assert all(lines)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["FEDORA"], ["fedora", "fedora-40"]),
        (["fedora*", "deb"], ["Debian-12", "fedora", "fedora-40"]),
        (["--and", "fed", "40"], ["fedora-40"]),
        (["*__ubuntu"], [OLD_NAME, NEWER_NAME]),
        (["-r", "fed"], ["fedora-40", "fedora"]),
        (["--sort=size", "fedora-40", "deb", "dead"], ["dead", "Debian-12", "fedora-40"]),
        (["--sort=date", "deb", "mine", "ubuntu"], [OLD_NAME, NEWER_NAME, "mine", "Debian-12"]),
        (["--sort=date", "-r", "deb", "*ubuntu"], ["Debian-12", NEWER_NAME, OLD_NAME]),
    ],
    ids=str,
)
def test_patterns_and_orders(site: Path, words: list[str], expected: list[str]) -> None:
    status, lines, said = listed(site, *words)
    assert (status, said) == (0, "")
    assert names(lines) == expected


def test_a_pattern_that_fits_nothing(site: Path) -> None:
    status, lines, said = listed(site, "fedora", "suse", "x*\x1b")
    assert (status, names(lines)) == (1, ["fedora", "fedora-40"])
    assert said == "imaging-list: no image fits suse\nimaging-list: no image fits x*\\x1b\n"
    status, lines, said = listed(site, "--and", "fedora", "12")
    assert (status, lines, said) == (1, [], "imaging-list: no image fits fedora and 12\n")
    status, lines, _ = listed(site, "--json", "suse")
    assert (status, lines) == (1, ["[]"])


def test_json(site: Path) -> None:
    status, lines, said = listed(site, "--json")
    assert (status, said) == (0, "")
    rows = {row["name"]: row for row in json.loads("\n".join(lines))}
    assert all(list(row) == KEYS for row in rows.values())
    image = rows["fedora-40"]
    assert image["kind"] == "image"
    assert image["aliases"] == ["fedora"]
    assert (image["size"], image["date"]) == (2 << 20, "2026-03-01T12:00:00Z")
    assert (image["author"], image["node"], image["sidecar"]) == ("ann", "fit01", "fine")
    assert image["sha256"] == ndz_samples.DOS_EXT4.sha256
    assert (rows["fedora"]["kind"], rows["fedora"]["target"]) == ("alias", "fedora-40")
    assert {row["kind"] for row in rows.values()} == {
        "image",
        "alias",
        "broken",
        "dangling",
        "partial",
    }
    assert rows["mine"]["private"] is True
    assert rows["mine"]["author"] is None


def test_every_key_is_in_the_help(site: Path) -> None:
    text = " ".join(listed(site, "--help")[1])
    assert [key for key in KEYS if key not in text] == []
    assert text.count("imaging-list --") >= 2


def test_resolve(site: Path) -> None:
    images = site / "images"
    assert listed(site, "--resolve", "fedora") == (
        0,
        [str(images / "fedora-40.ndz")],
        "fedora: fedora.ndz is an alias in the images directory\n",
    )
    assert listed(site, "--resolve", "mine")[1] == [str(site / "private/mine.ndz")]
    assert listed(site, "--resolve", "images/fedora.ndz")[1] == [str(images / "fedora-40.ndz")]
    (images / f"{NEWEST_NAME}.ndz").write_bytes(ndz_samples.truncated())
    status, lines, said = listed(site, "--resolve", "ubuntu")
    assert (status, lines) == (0, [str(images / f"{NEWER_NAME}.ndz")])
    assert f"{NEWER_NAME}.ndz is the newest whole image with the radical ubuntu" in said
    assert f"not {images / NEWEST_NAME}.ndz: the image is truncated" in said
    assert f"not {images / OLD_NAME}.ndz: is older" in said


@pytest.mark.parametrize("name", ["suse", "cut", "gone", "dead", "a b", "./suse", ""])
def test_what_does_not_resolve(site: Path, name: str) -> None:
    status, lines, said = listed(site, "--resolve", name)
    assert (status, lines) == (2, [])
    assert len(said.splitlines()) == 1


def test_check(site: Path) -> None:
    images = site / "images"
    status, lines, _ = listed(site, "--check", "fedora", "deb", "mine")
    assert status == 0
    assert lines == [
        "OK Debian-12",
        "OK fedora -> fedora-40",
        "OK fedora-40",
        "OK mine (no sidecar to compare with)",
    ]
    (images / "damaged.ndz").write_bytes(ndz_samples.corrupt())
    write_saved(images / "swapped.ndz", ndz_samples.RAW)
    write_image(images / "swapped.ndz", ndz_samples.DOS_Z1)
    with open_partial(images / "live.ndz"):
        status, lines, said = listed(site, "--check")
    assert (status, said) == (1, "")
    broken = [line.split(":")[0] for line in lines if not line.startswith("OK ")]
    assert broken == [
        "BROKEN cut",
        "BROKEN damaged",
        "BROKEN dead",
        "BROKEN gone -> nowhere",
        "SAVING live",
        "BROKEN swapped",
    ]
    assert any("its sha256 is " in line for line in lines)
    with open_partial(images / "live.ndz"):
        assert listed(site, "--check", "live")[:2] == (0, ["SAVING live"])


def test_nothing_that_a_terminal_obeys_gets_through(site: Path) -> None:
    evil = "\x1b]0;\x07\n\u202e\x9b"
    images = site / "images"
    (images / f"bad{evil}.ndz").write_bytes(b"")
    write_saved(images / "fine.ndz", user=evil, comment=evil)
    (images / "link.ndz").symlink_to(f"no{evil}.ndz")
    Path(os.fsdecode(os.fsencode(images) + b"/\xff.ndz")).touch()
    write_image(images / f"bad{evil}__suse.ndz")
    for words in ([], ["--json"], ["--check"], ["--resolve", "suse"], ["--resolve", evil]):
        done = run_command("imaging-list", *words, cwd=site, environment=user_environment(site))
        assert "Traceback" not in done.stderr
        for line in (done.stdout + done.stderr).split("\n"):
            assert line.isprintable()


def test_a_comment_that_the_terminal_cannot_show(site: Path) -> None:
    write_saved(site / "images/fine.ndz", comment="東")
    environment = {**user_environment(site), "PYTHONIOENCODING": "ascii"}
    done = run_command("imaging-list", "fine", cwd=site, environment=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert r"\u6771" in done.stdout


def as_weak_root(*words: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
    """Run a command to which file modes apply, even for root."""
    weak = []
    if os.geteuid() == 0:
        if not shutil.which("setpriv"):
            pytest.skip("root may read everything, and there is no setpriv(1)")
        weak = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    return run_command(*weak, *words, cwd=cwd, environment=user_environment(cwd))


def test_what_may_not_be_read(site: Path) -> None:
    (site / "images/Debian-12.ndz").chmod(0)
    done = as_weak_root("imaging-list", "deb", cwd=site)
    assert done.returncode == 0
    assert "UNREADABLE: Permission denied" in done.stdout
    done = as_weak_root("imaging-list", "--resolve", "Debian-12", cwd=site)
    assert done.returncode == 2
    assert "Permission denied" in done.stderr
    (site / "images").chmod(0)
    for words in ([], ["--resolve", "mine"]):
        done = as_weak_root("imaging-list", *words, cwd=site)
        (message,) = done.stderr.splitlines()
        assert done.returncode == 2
        assert "Permission denied" in message
    (site / "images").chmod(0o755)


def test_an_empty_library_and_none_at_all(tmp_path: Path) -> None:
    images = write_site(tmp_path)
    assert listed(tmp_path) == (
        0,
        [],
        f"imaging-list: there are no images in {images} or {tmp_path / 'private'}\n",
    )
    images.rmdir()
    status, lines, said = listed(tmp_path)
    assert (status, lines) == (2, [])
    assert f"the images directory {images} does not exist" in said


@pytest.mark.parametrize(
    "words",
    [
        ["--resolve", "fedora", "fedora"],
        ["--resolve", "fedora", "--check"],
        ["--check", "--json"],
        ["--sort", "colour"],
    ],
    ids=str,
)
def test_options_that_make_no_sense(site: Path, words: list[str]) -> None:
    status, lines, said = listed(site, *words)
    assert (status, lines) == (2, [])
    assert "Error: " in said


def test_a_hundred_large_images_are_listed_at_once(tmp_path: Path) -> None:
    images = write_site(tmp_path)
    last = bytearray(ndz_samples.DOS_EXT4.chunks[1][:4096])
    last[8:12] = (4095).to_bytes(4, "little")  # its number
    for number in range(100):
        with (images / f"image-{number:03}.ndz").open("wb") as stream:
            stream.write(ndz_samples.DOS_EXT4.chunks[0][:4096])
            stream.seek(4095 << 20)
            stream.write(last)
            stream.truncate(4096 << 20)
    started = time.monotonic()
    status, lines, _ = listed(tmp_path)
    assert time.monotonic() - started < 2
    assert (status, len(lines)) == (0, 101)
    assert all("4.0 GiB" in line for line in lines[1:])


def test_it_starts_without_what_it_does_not_need(tmp_path: Path) -> None:
    code = "import sys, imaging.cli.list, imaging.cli.image; print(*sys.modules)"
    done = run_command(
        BIN / "python", "-c", code, cwd=tmp_path, environment=user_environment(tmp_path)
    )
    heavy = {"trio", "httpx", "asyncssh", "asyncio", "blessed", "telnetlib3"}
    assert heavy & set(done.stdout.split()) == set()
