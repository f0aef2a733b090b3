"""Where a ramdisk's files go: all of them or none, for everybody to read."""

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from imaging.errors import ConfigurationError, ImagingError
from imaging.ramdisk.placing import check_place, place_files

OLD = {"vmlinuz": b"old kernel", "initrd.img": b"old drivers"}
NEW = {"vmlinuz": b"new kernel", "initrd.img": b"new drivers", "pxefrisbee": b"config"}


@pytest.fixture
def narrow_umask() -> Iterator[None]:
    before = os.umask(0o077)
    yield
    os.umask(before)


def contents(directory: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in directory.iterdir()}


@pytest.mark.usefixtures("narrow_umask")
def test_everybody_can_read_them_whatever_the_umask(tmp_path: Path) -> None:
    place = tmp_path / "tftp/imaging"
    place_files(place, NEW)
    assert contents(place) == NEW
    for file in place.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o644
    for directory in (place, place.parent):
        assert stat.S_IMODE(directory.stat().st_mode) == 0o755


def test_a_directory_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    tmp_path.chmod(0o2750)
    (tmp_path / "other").write_bytes(b"other")
    place_files(tmp_path, OLD)
    place_files(tmp_path, NEW)
    assert contents(tmp_path) == {**NEW, "other": b"other"}
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o2750


def test_what_was_there_stays_when_one_file_has_no_room(tmp_path: Path) -> None:
    """In a process of its own, which may write no larger file."""
    place_files(tmp_path / "out", OLD)
    script = (
        "import resource, signal, sys\n"
        "from pathlib import Path\n"
        "from imaging.errors import ImagingError\n"
        "from imaging.ramdisk.placing import place_files\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "try:\n"
        "    place_files(Path(sys.argv[1]), {'vmlinuz': b'new', 'initrd.img': bytes(8192)})\n"
        "except ImagingError as error:\n"
        "    print(error)\n"
    )
    words = [sys.executable, "-B", "-c", script, str(tmp_path / "out")]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert "out/initrd.img: cannot be written: File too large (see --output)" in done.stdout
    assert contents(tmp_path / "out") == OLD


def test_what_was_there_stays_when_a_place_is_taken(tmp_path: Path) -> None:
    place_files(tmp_path, OLD)
    (tmp_path / "pxefrisbee").mkdir()
    with pytest.raises(ImagingError, match="pxefrisbee: cannot be written: a directory is in its"):
        place_files(tmp_path, NEW)
    (tmp_path / "pxefrisbee").rmdir()
    assert contents(tmp_path) == OLD


def test_a_place_that_cannot_be_made_is_an_error() -> None:
    with pytest.raises(ImagingError, match="/proc/imaging/out: cannot be written: No such file"):
        place_files(Path("/proc/imaging/out"), NEW)


def test_a_place_below_a_file_is_refused_before(tmp_path: Path) -> None:
    check_place(tmp_path / "new/out")
    (tmp_path / "file").touch()
    (tmp_path / "gone").symlink_to("nowhere")
    for name in ("file", "gone"):
        with pytest.raises(ConfigurationError, match=f"out: .*/{name} is no directory"):
            check_place(tmp_path / name / "out")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_place_without_permission_is_refused_before(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(ConfigurationError, match="new/out: no permission to write in "):
        check_place(tmp_path / "new/out")
