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


def attribute(kind: int, body: bytes = b"", *, elsewhere: bool = False) -> bytes:
    """An attribute of a record; what is elsewhere is told by its runs."""
    head = struct.pack("<IIB", kind, 0, int(elsewhere)).ljust(0x20, b"\0")
    if elsewhere:
        head += struct.pack("<H", 0x40)
    data = head.ljust(0x40, b"\0") + body
    return data[:4] + struct.pack("<I", len(data)) + data[8:]


def small(*attributes: bytes, magic: bytes = b"FILE", size_code: int = 0xF6) -> bytearray:
    """An NTFS of one record, that of its root directory."""
    data = bytearray(16 * 4096)
    struct.pack_into("<HB", data, 0x0B, 512, 8)
    struct.pack_into("<Q", data, 0x30, 4)
    data[0x40] = data[0x44] = size_code
    record = bytearray(1024)
    struct.pack_into("<4sHH", record, 0, magic, 0x30, 3)
    struct.pack_into("<H", record, 0x14, 0x38)
    body = b"".join(attributes)
    record[0x38 : 0x38 + len(body)] = body
    place = 4 * 4096 + 5 * 1024
    data[place : place + 1024] = record
    return data


NAME = "hiberfil.sys".encode("utf-16-le")
END = struct.pack("<II", 0xFFFFFFFF, 0)


def test_a_small_one_without_the_file() -> None:
    check(small(attribute(0x90), END))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (small(attribute(0x20), END), "with a root directory in many parts"),
        (small(attribute(0x90, NAME), END), "of a Windows that may be hibernated"),
        (small(END, size_code=0), "makes no sense"),
        (small(END, magic=b"BAAD"), "makes no sense"),
        (small(struct.pack("<II", 0x90, 8)), "makes no sense"),
        (small(attribute(0xA0, elsewhere=True), END), "makes no sense"),
        (small(attribute(0xA0), END), "makes no sense"),
        (small(attribute(0xA0, b"\x11\x00\x01", elsewhere=True), END), "makes no sense"),
    ],
)
def test_what_a_root_directory_can_be(data: bytearray, words: str) -> None:
    with pytest.raises(LayoutError, match=words):
        check(data)


def test_a_name_in_a_block_of_the_directory() -> None:
    data = small(attribute(0xA0, b"\x11\x01\x08\0", elsewhere=True), END)
    block = struct.pack("<4sHH", b"INDX", 0x28, 3).ljust(0x40, b"\0") + NAME
    data[8 * 4096 : 8 * 4096 + len(block)] = block
    with pytest.raises(LayoutError, match="of a Windows that may be hibernated"):
        check(data)
