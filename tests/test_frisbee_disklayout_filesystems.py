"""What a partition is taken for."""

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaging.frisbee.disklayout.filesystems import look_into
from imaging.frisbee.disklayout.label import Kind, LayoutError, Partition
from imaging.frisbee.disklayout.stretches import Findings

SIZE = 4 << 20


def no_device(partition: Partition) -> Path:
    raise LayoutError("has no device")


def look(data: bytes | bytearray, kind: Kind = Kind.FILES) -> Findings:
    """Look into a partition in memory."""

    def read(offset: int, length: int) -> bytes:
        if not 0 <= offset <= offset + length <= len(data):
            raise LayoutError("points outside")
        return bytes(data[offset : offset + length])

    partition = Partition(1, kind, "0x83", 2048, len(data) // 512)
    return look_into(partition, read, no_device, 1)


def having(*words: tuple[int, bytes], size: int = SIZE) -> bytearray:
    """A partition with these bytes at these places."""
    data = bytearray(size)
    for place, word in words:
        data[place : place + len(word)] = word
    return data


EXT = (1080, b"\x53\xef")
SWAP = (4086, b"SWAPSPACE2")
SECTORS = SIZE // 512


@pytest.mark.parametrize(
    ("page", "head"), [(4096, 64), (8192, 64), (16384, 64), (32768, 64), (65536, 128)]
)
def test_of_swap_the_head_is_kept(page: int, head: int) -> None:
    found = look(having((page - 10, b"SWAPSPACE2")), Kind.SWAP)
    assert found == Findings("swap space", ((head, SECTORS),))


def test_swap_that_is_all_head() -> None:
    assert look(having(SWAP, size=16384), Kind.SWAP).free == ()


@pytest.mark.skipif(shutil.which("mkswap") is None, reason="mkswap is not installed")
def test_swap_as_mkswap_makes_it(tmp_path: Path) -> None:
    path = tmp_path / "swap"
    path.write_bytes(bytes(SIZE))
    path.chmod(0o600)
    subprocess.run(["mkswap", path], check=True, capture_output=True)
    assert look(path.read_bytes(), Kind.SWAP).free == ((64, SECTORS),)


@pytest.mark.parametrize(
    ("data", "kind", "words"),
    [
        (having(), Kind.FILES, "holds no file system that is known"),
        (having(), Kind.SWAP, "holds no file system that is known"),
        (having(size=512), Kind.FILES, "holds no file system that is known"),
        (having(SWAP), Kind.FILES, "is swap space in a partition of another type"),
        (having(EXT), Kind.SWAP, "is ext in a partition of another type"),
        (
            having((4086, b"S1SUSPEND\0")),
            Kind.SWAP,
            "is swap space that holds a suspended system",
        ),
        (having(EXT, (0, b"XFSB")), Kind.FILES, "could be ext or xfs"),
        (having(EXT, (512, b"LABELONE")), Kind.FILES, "could be LVM or ext"),
        (having(EXT, (4096, b"\xfc\x4e\x2b\xa9")), Kind.FILES, "could be RAID or ext"),
        (
            having(EXT, (SIZE - 65536, b"\xfc\x4e\x2b\xa9")),
            Kind.FILES,
            "could be RAID or ext",
        ),
        (having(EXT, (SIZE - 8192, b"\xfc\x4e\x2b\xa9")), Kind.FILES, "could be RAID or ext"),
        (having((0, b"LUKS\xba\xbe")), Kind.FILES, "is LUKS"),
        (having((3, b"EXFAT   ")), Kind.FILES, "is exfat"),
        (having((1024, b"\x10\x20\xf5\xf2")), Kind.FILES, "is f2fs"),
        (
            having((3, b"NTFS    ")),
            Kind.FILES,
            "is ntfs whose root directory makes no sense",
        ),
        (having((82, b"FAT32   ")), Kind.FILES, "is vfat that has no device"),
        (having((0, b"XFSB")), Kind.FILES, "is xfs with its log on another device"),
        (having((0x10040, b"_BHRfS_M")), Kind.FILES, "is btrfs of 0 devices"),
        (having(EXT), Kind.FILES, "is ext2 that was not unmounted cleanly"),
    ],
)
def test_what_is_saved_whole(data: bytearray, kind: Kind, words: str) -> None:
    with pytest.raises(LayoutError) as caught:
        look(data, kind)
    assert caught.value.message == words


@given(st.binary(max_size=512), st.integers(0, 1 << 17), st.sampled_from([Kind.FILES, Kind.SWAP]))
def test_any_partition_is_understood_or_saved_whole(data: bytes, place: int, kind: Kind) -> None:
    with pytest.raises(LayoutError):
        look(having((place, data), size=1 << 18), kind)
