"""What the frisbee tools refuse, and what keeps them from reading."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from imaging.frisbee.commands import uuid_option
from imaging.frisbee.disklayout.devices import partition_device
from imaging.frisbee.disklayout.label import Kind, LayoutError, Partition
from imaging.frisbee.errors import DiskError, UsageError
from imaging.frisbee.source import SourceDisk
from tests import ndz_samples

BIN = Path(sys.executable).parent
SESSION = ("-i", "127.0.0.1", "-m", "239.77.1.1", "-p", "7000", "out")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("frisbee", "--join-timeout", "soon", *SESSION),
            "--join-timeout soon: is not a number of seconds",
        ),
        (("frisbee", "--join-timeout=-1", *SESSION), "--join-timeout -1: must be more than 0"),
        (("frisbee", "-s", "1", *SESSION), "-s is not supported"),
        (("imagezip", "-r", "odd", "out"), "size 100 is not a multiple of 512 (use -f for such a"),
        (("imageunzip", ".", "out"), "opening input file: Is a directory (.)"),
    ],
)
def test_what_the_tools_refuse(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    (tmp_path / "odd").write_bytes(bytes(100))
    done = subprocess.run(
        [BIN / f"imaging-{words[0]}", *words[1:]],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert said in done.stderr
    assert done.returncode != 0


def test_an_image_that_ends_too_early(tmp_path: Path) -> None:
    done = subprocess.run(
        [BIN / "imaging-imageunzip", "-", "out"],
        cwd=tmp_path,
        input=ndz_samples.truncated(),
        capture_output=True,
        check=False,
    )
    assert b"the image is truncated: " in done.stderr
    assert done.returncode != 0


def test_what_is_no_uuid() -> None:
    with pytest.raises(UsageError, match="-U 12: not 32 hexadecimal digits"):
        uuid_option("-U", "12")


def test_a_disk_that_cannot_be_read(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    try:
        with pytest.raises(DiskError, match="reading input file: Is a directory .disk"):
            SourceDisk(descriptor, "disk", 1).read(0, 512)
    finally:
        os.close(descriptor)


def test_a_file_has_no_devices(tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(bytes(512))
    descriptor = os.open(tmp_path / "disk", os.O_RDONLY)
    try:
        with pytest.raises(LayoutError, match="has no device of its own, for the disk is a file"):
            partition_device(descriptor, Partition(1, Kind.FILES, "0x83", 0, 1))
    finally:
        os.close(descriptor)
