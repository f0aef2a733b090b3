"""imaging-imageunzip as its users run it: samples of the C imagezip, faults, exit statuses."""

import hashlib
import os
import re
import subprocess
from pathlib import Path

import pytest

from tests import ndz_samples
from tests.commands import BIN, sha256
from tests.ndz_samples import Sample

TOOL = str(BIN / "imaging-imageunzip")


def unzip(
    *words: str | Path, cwd: Path, data: bytes | None = None
) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        [TOOL, *map(str, words)], cwd=cwd, input=data, capture_output=True, timeout=60, check=False
    )


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture(params=ndz_samples.ALL, ids=lambda sample: sample.name)
def sample(request: pytest.FixtureRequest) -> Sample:
    found: Sample = request.param
    return found


def test_samples_to_a_file(sample: Sample, tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(sample.read())
    done = unzip("image", "disk", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    disk = tmp_path / "disk"
    assert (disk.stat().st_size, sha256(disk)) == sample.file
    words = (
        f"Decompressed {sample.decompressed} bytes, "
        f"wrote {sample.wrote} bytes ({sample.decompressed} actual) in "
    )
    assert done.stderr.decode().startswith(words)
    assert done.stdout == b""


@pytest.mark.parametrize("from_pipe", [False, True])
def test_samples_to_a_pipe(sample: Sample, from_pipe: bool, tmp_path: Path) -> None:
    if from_pipe:
        done = unzip("-", "-", cwd=tmp_path, data=sample.read())
    else:
        (tmp_path / "image").write_bytes(sample.read())
        done = unzip("image", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (len(done.stdout), digest(done.stdout)) == sample.pipe


def test_zeros_over_what_was_there(sample: Sample, tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(sample.read())
    (tmp_path / "disk").write_bytes(b"\xff" * sample.pipe[0])
    done = unzip("-z", "--disk", "image", "disk", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert sha256(tmp_path / "disk") == sample.pipe[1]


def test_without_zeros_free_space_keeps_what_it_had(tmp_path: Path) -> None:
    sample = ndz_samples.DOS_Z1
    (tmp_path / "image").write_bytes(sample.read())
    (tmp_path / "disk").write_bytes(b"\xff" * sample.pipe[0])
    assert unzip("--disk", "image", "disk", cwd=tmp_path).returncode == 0
    disk = (tmp_path / "disk").read_bytes()
    start, count = sample.regions[0][0]
    free = (start + count) * 512
    assert disk[free : free + 4096] == b"\xff" * 4096


def test_marks(tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(ndz_samples.DOS_EXT4.read())
    done = unzip("-o", "image", "disk", cwd=tmp_path)
    assert re.match(r"\.\. {65} {3}\d {6}0\n", done.stderr.decode())


@pytest.mark.parametrize(
    ("name", "status", "words"),
    [
        ("missing", 1, "opening input file: No such file or directory"),
        ("empty", 1, "empty"),
        ("text", 1, "Bad Magic Number!"),
        ("truncated", 1, "truncated"),
        ("corrupt", 1, "inflate failed, err=-3"),
        (".", 1, "Is a directory"),
    ],
)
def test_what_is_no_image(tmp_path: Path, name: str, status: int, words: str) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "text").write_bytes(b"this is not an image\n" * 60000)
    (tmp_path / "truncated").write_bytes(ndz_samples.truncated())
    (tmp_path / "corrupt").write_bytes(ndz_samples.corrupt())
    old = tmp_path / "disk"
    old.write_bytes(b"old content")
    done = unzip(name, "disk", cwd=tmp_path)
    assert done.returncode == status
    assert words in done.stderr.decode()
    assert b"Traceback" not in done.stderr
    if name != "corrupt":  # that shows only when the data are expanded
        assert old.read_bytes() == b"old content"


def test_a_disk_that_is_too_small(tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(ndz_samples.RAW.read())
    (tmp_path / "disk").write_bytes(bytes(1024 * 1024))
    done = unzip("--disk", "image", "disk", cwd=tmp_path)
    assert done.returncode == 1
    assert re.search(rb"Short write!|No space left on device", done.stderr)
    assert (tmp_path / "disk").stat().st_size == 1024 * 1024


def test_a_full_disk(tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(ndz_samples.RAW.read())
    done = unzip("image", "/dev/full", cwd=tmp_path)
    assert done.returncode == 1
    assert b"write error: No space left on device" in done.stderr


def test_the_image_is_not_its_own_disk(tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_bytes(ndz_samples.RAW.read())
    done = unzip("image", "./image", cwd=tmp_path)
    assert done.returncode == 1
    assert b"the output is the image itself" in done.stderr
    assert image.read_bytes() == ndz_samples.RAW.read()


def test_a_reader_that_goes_away(tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(ndz_samples.DOS_EXT4.read())
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [TOOL, "image", "-"], cwd=tmp_path, stdout=writer, stderr=subprocess.PIPE, check=False
        )
    finally:
        os.close(writer)
    assert done.returncode == 141
    assert b"Traceback" not in done.stderr
