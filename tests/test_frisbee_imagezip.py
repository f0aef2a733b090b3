"""imaging-imagezip as its users run it: real disks in, images out, faults, exit statuses."""

import hashlib
import lzma
import os
import random
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from imaging.frisbee.image import inspect_image
from imaging.frisbee.ndz import CHUNK_SIZE
from imaging.testbed.sample_image import write_disk
from tests import ndz_samples
from tests.commands import BIN, sha256

LIMIT_S = 30.0
ZIP, UNZIP = str(BIN / "imaging-imagezip"), str(BIN / "imaging-imageunzip")


def run(*words: str | Path, cwd: Path) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        [str(word) for word in words], cwd=cwd, capture_output=True, timeout=120, check=False
    )


@pytest.fixture
def dos_disk(tmp_path: Path) -> Path:
    """A disk with ext4 and swap, of which the C imagezip made the small samples."""
    packed = ndz_samples.SAMPLES / "extra" / "dos0.img.xz"
    disk = tmp_path / "dos0.img"
    disk.write_bytes(lzma.decompress(packed.read_bytes()))
    return disk


@pytest.mark.parametrize("to_pipe", [False, True])
@pytest.mark.parametrize(
    "options",
    [[], ["-z1"], ["-z0"], ["-z9"], ["-1"], ["-u", "00112233445566778899aabbccddeeff"], ["-r"]],
    ids=lambda options: " ".join(options) or "default",
)
def test_what_is_saved_is_what_comes_back(
    dos_disk: Path, options: list[str], to_pipe: bool
) -> None:
    home = dos_disk.parent
    saved = run(ZIP, *options, dos_disk.name, "-" if to_pipe else "image", cwd=home)
    assert saved.returncode == 0, saved.stderr
    if to_pipe:
        (home / "image").write_bytes(saved.stdout)
    else:
        assert saved.stdout == b""
    restored = run(UNZIP, "-z", "image", "copy", cwd=home)
    assert restored.returncode == 0, restored.stderr
    original, copy = dos_disk.read_bytes(), (home / "copy").read_bytes()
    # what swap space contains is not kept, but for its head
    swap = 30720 * 512 + 64 * 512
    assert copy[:swap] == original[:swap]
    if options == ["-r"]:
        assert copy == original


def test_success_is_told_as_the_c_tool_tells_it(dos_disk: Path) -> None:
    done = run(ZIP, dos_disk.name, "image", cwd=dos_disk.parent)
    size = (dos_disk.parent / "image").stat().st_size
    told = done.stderr.decode()
    assert re.search(
        r"^\d+ input \(\d+ compressed\) bytes in \d\.\d{3} seconds$", told, re.MULTILINE
    )
    assert f"Image size: {size} bytes\n" in told
    assert re.search(r"^Finished in \d\.\d{3} seconds\n\Z", told, re.MULTILINE)


def test_a_slice_alone(dos_disk: Path) -> None:
    home = dos_disk.parent
    assert run(ZIP, "-s", "2", dos_disk.name, "image", cwd=home).returncode == 0
    assert run(UNZIP, "-z", "image", "copy", cwd=home).returncode == 0
    swap = dos_disk.read_bytes()[30720 * 512 :]
    assert (home / "copy").read_bytes()[: 64 * 512] == swap[: 64 * 512]


def test_an_ignored_slice_is_free(dos_disk: Path) -> None:
    home = dos_disk.parent
    assert run(ZIP, "-I", "1", dos_disk.name, "image", cwd=home).returncode == 0
    assert run(UNZIP, "-z", "image", "copy", cwd=home).returncode == 0
    copy = (home / "copy").read_bytes()
    assert copy[2048 * 512 : 30720 * 512] == bytes(28672 * 512)
    assert copy[:512] == dos_disk.read_bytes()[:512]


def test_a_file_of_any_length(tmp_path: Path) -> None:
    for size in (1, 511, 512, 1000, 1048577):
        data = random.Random(size).randbytes(size)
        (tmp_path / "file").write_bytes(data)
        assert run(ZIP, "-f", "file", "image", cwd=tmp_path).returncode == 0
        assert run(UNZIP, "image", "copy", cwd=tmp_path).returncode == 0
        copy = (tmp_path / "copy").read_bytes()
        assert copy[:size] == data
        assert len(copy) - size < 512


def test_a_big_disk_of_many_chunks(tmp_path: Path) -> None:
    write_disk(tmp_path / "disk", 48 << 20, 3)
    done = run(ZIP, "-o", "disk", "image", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    chunks = (tmp_path / "image").stat().st_size >> 20
    assert chunks > 10
    # as the C tool: the last chunk has no mark
    assert re.findall(r"^\.+$", done.stderr.decode(), re.MULTILINE) == ["." * (chunks - 1)]
    summary = inspect_image(tmp_path / "image")
    assert summary.chunks == chunks
    assert summary.minimum_disk_size == 48 << 20
    assert run(UNZIP, "image", "copy", cwd=tmp_path).returncode == 0
    assert sha256(tmp_path / "copy") == sha256(tmp_path / "disk")


@pytest.mark.parametrize(
    ("source", "output", "words"),
    [
        ("missing", "image", "missing: No such file or directory"),
        ("zeros", "image", "Wrong magic number in DOS partition table at sector 0"),
        ("empty", "image", "sector 0"),
        (".", "image", "neither a disk nor a file"),
        ("dos0.img", "no/such/image", "opening output file: No such file or directory"),
        ("dos0.img", "dos0.img", "the output is the disk itself"),
        ("dos0.img", "/dev/full", "No space left on device"),
    ],
)
def test_what_cannot_be_saved(dos_disk: Path, source: str, output: str, words: str) -> None:
    home = dos_disk.parent
    (home / "zeros").write_bytes(bytes(1 << 20))
    (home / "empty").touch()
    (home / "image").write_bytes(b"a good image of yesterday")
    before = sha256(dos_disk)
    done = run(ZIP, source, output, cwd=home)
    assert done.returncode == 1
    assert words in done.stderr.decode()
    assert b"Traceback" not in done.stderr
    assert sha256(dos_disk) == before
    assert (home / "image").read_bytes() == b"a good image of yesterday"


def test_a_reader_that_goes_away(dos_disk: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [ZIP, dos_disk, "-"], stdout=writer, stderr=subprocess.PIPE, check=False
        )
    finally:
        os.close(writer)
    assert done.returncode == 141
    assert b"Traceback" not in done.stderr


def signalled(home: Path, number: signal.Signals, *command: str) -> tuple[int, bytes]:
    """A long save to which a signal comes in its middle: its exit status, and what it has said."""
    (home / "disk").write_bytes(random.Random(1).randbytes(24 << 20))
    image = home / "image"
    zipping = subprocess.Popen(
        [*command, ZIP, "-r", "-z9", "disk", "image"], cwd=home, stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + LIMIT_S
    while not image.exists() or image.stat().st_size < 2 * CHUNK_SIZE:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    zipping.send_signal(number)
    _, told = zipping.communicate(timeout=LIMIT_S)
    return zipping.returncode, told


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_nothing_that_looks_like_an_image(
    tmp_path: Path, number: signal.Signals
) -> None:
    status, told = signalled(tmp_path, number)
    assert status == 128 + number
    assert b"Traceback" not in told
    assert (tmp_path / "image").stat().st_size == 0


def test_a_hangup_that_is_to_be_ignored_is(tmp_path: Path) -> None:
    status, told = signalled(tmp_path, signal.SIGHUP, "sh", "-c", 'trap "" HUP; exec "$0" "$@"')
    assert status == 0, told
    assert inspect_image(tmp_path / "image").chunks > 24


def test_a_partition_that_reaches_beyond_the_end_of_the_disk(dos_disk: Path) -> None:
    """The C tool silently makes a shorter image of it."""
    os.truncate(dos_disk, 8 << 20)
    done = run(ZIP, dos_disk.name, "image", cwd=dos_disk.parent)
    assert done.returncode == 1
    image = dos_disk.parent / "image"
    assert not image.exists() or image.stat().st_size == 0


def test_information_only(dos_disk: Path) -> None:
    done = run(ZIP, "-i", "-d", dos_disk.name, cwd=dos_disk.parent)
    assert done.returncode == 0
    assert b"Total Number of Valid Sectors: " in done.stderr
    assert not (dos_disk.parent / "image").exists()
    assert hashlib.sha256(dos_disk.read_bytes()).hexdigest().startswith("5055c54c869eef1e")
