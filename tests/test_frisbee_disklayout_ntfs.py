"""NTFS with and without a hibernated Windows."""

import os
import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaging.frisbee.disklayout.label import LayoutError
from imaging.frisbee.disklayout.ntfs import check_hibernation

TOOLS = ("mkfs.ntfs", "ntfscp")
MISSING = [tool for tool in TOOLS if shutil.which(tool) is None]
needs_ntfs = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")


def check(data: bytes | bytearray) -> None:
    def read(offset: int, length: int) -> bytes:
        assert 0 <= length <= 1 << 20
        if not 0 <= offset <= offset + length <= len(data):
            raise LayoutError("points outside")
        return bytes(data[offset : offset + length])

    check_hibernation(read)


def make(path: Path, *names: str) -> bytes:
    """An NTFS with files of these names."""
    with path.open("wb") as file:
        file.truncate(16 << 20)
    subprocess.run(["mkfs.ntfs", "-F", "-q", path], check=True, capture_output=True)
    content = path.with_suffix(".content")
    content.write_bytes(b"content" * 1000)
    for name in names:
        subprocess.run(["ntfscp", path, content, name], check=True, capture_output=True)
    return path.read_bytes()


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """An NTFS whose root directory has index blocks."""
    return make(tmp_path_factory.mktemp("ntfs") / "fs", *(f"file {place}" for place in range(30)))


@needs_ntfs
def test_without_the_file(good: bytes, tmp_path: Path) -> None:
    check(good)
    check(make(tmp_path / "fs"))


@needs_ntfs
@pytest.mark.parametrize("others", [0, 3, 60])
@pytest.mark.parametrize("name", ["hiberfil.sys", "Hiberfil.SYS"])
def test_with_the_file(name: str, others: int, tmp_path: Path) -> None:
    names = [f"{place} {'x' * (place % 50)}" for place in range(others)]
    data = make(tmp_path / "fs", *names, name)
    with pytest.raises(LayoutError, match="is ntfs of a Windows that may be hibernated"):
        check(data)


@needs_ntfs
@given(place=st.integers(0, 0x200), change=st.binary(min_size=1, max_size=8), in_root=st.booleans())
def test_any_root_directory_is_read_or_refused(
    good: bytes, place: int, change: bytes, in_root: bool
) -> None:
    sector, cluster = struct.unpack_from("<HB", good, 0x0B)
    mft = struct.unpack_from("<Q", good, 0x30)[0] * sector * cluster
    begin = mft + 5 * 1024 if in_root else 0
    changed = bytearray(good)
    changed[begin + place : begin + place + len(change)] = change
    try:
        check(changed)
    except LayoutError:
        return


@given(st.binary(min_size=512, max_size=512))
def test_any_boot_sector_is_refused(data: bytes) -> None:
    with pytest.raises(LayoutError):
        check(data + bytes(4096))


def test_a_file_of_noise_is_refused() -> None:
    with pytest.raises(LayoutError):
        check(os.urandom(1 << 16))
