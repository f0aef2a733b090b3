"""imaging-imagezip on whole disks with file systems: what is left out, and what comes back."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import ext_images
from tests.commands import BIN
from tests.disk_images import LINUX_DATA, LINUX_LVM, LINUX_SWAP, gpt, put, table

ZIP, UNZIP = str(BIN / "imaging-imagezip"), str(BIN / "imaging-imageunzip")
MIB = 1 << 20
SECTORS_PER_MIB = MIB // 512
SIZE = 96 * MIB
FS_SIZE = 48 * MIB
GARBAGE = b"\xa5"

needs_e2fsprogs = pytest.mark.skipif(bool(ext_images.MISSING), reason=ext_images.REASON)


def run(*words: str | Path, status: int = 0) -> str:
    """Run one of the commands, and give what it says."""
    done = subprocess.run(
        [str(word) for word in words], capture_output=True, timeout=120, check=False
    )
    said = done.stderr.decode()
    assert done.returncode == status, said
    assert "Traceback" not in said
    return said


def restore(image: Path, size: int = SIZE) -> Path:
    """Write an image onto a disk that is full of something else."""
    disk = image.with_name("restored")
    disk.write_bytes(GARBAGE * size)
    run(UNZIP, "--disk", image, disk)
    return disk


def cut(disk: Path, begin: int, size: int) -> Path:
    """A partition of a disk as a file of its own; bytes."""
    part = disk.with_suffix(".part")
    with disk.open("rb") as file:
        file.seek(begin)
        part.write_bytes(file.read(size))
    return part


def make_disk(path: Path, label: dict[int, bytes], parts: dict[int, bytes]) -> None:
    """A disk with a label, and with what its partitions contain; by MiB."""
    disk = put(bytearray(os.urandom(MIB) + bytes(SIZE - MIB)), label)
    for begin, data in parts.items():
        disk[begin * MIB : begin * MIB + len(data)] = data
    path.write_bytes(disk)


def swap_space(size: int) -> bytes:
    """Swap space, with what was swapped out."""
    data = bytearray(b"\x11" * size)
    data[4086:4096] = b"SWAPSPACE2"
    return bytes(data)


DOS = {
    0: table(
        [
            (0x83, SECTORS_PER_MIB, 48 * SECTORS_PER_MIB),
            (0x82, 49 * SECTORS_PER_MIB, 8 * SECTORS_PER_MIB),
            (0x8E, 57 * SECTORS_PER_MIB, 3 * SECTORS_PER_MIB),
            None,
        ]
    )
}
GPT = gpt(
    SIZE // 512,
    [
        (LINUX_DATA, SECTORS_PER_MIB, 49 * SECTORS_PER_MIB - 1),
        (LINUX_SWAP, 49 * SECTORS_PER_MIB, 57 * SECTORS_PER_MIB - 1),
        (LINUX_LVM, 57 * SECTORS_PER_MIB, 60 * SECTORS_PER_MIB - 1),
    ],
)
LABELS = {"dos": DOS, "gpt": GPT}


@pytest.fixture(scope="module")
def file_system(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, dict[str, str]]:
    """An ext4, and the sha256 of its files."""
    path = tmp_path_factory.mktemp("ext") / "fs"
    ext_images.make_ext(path, FS_SIZE)
    return path.read_bytes(), ext_images.contents(path)


@needs_e2fsprogs
@pytest.mark.parametrize("label", LABELS)
def test_a_disk_comes_back_without_what_nobody_uses(
    label: str, file_system: tuple[bytes, dict[str, str]], tmp_path: Path
) -> None:
    data, files = file_system
    lvm = os.urandom(3 * MIB)
    make_disk(tmp_path / "disk", LABELS[label], {1: data, 49: swap_space(8 * MIB), 57: lvm})
    said = run(ZIP, "-d", tmp_path / "disk", tmp_path / "image")
    assert re.search(r"Slice 3 is an unknown type \S+ \(\?\?\), forcing raw compression", said)
    assert "saving raw" not in said
    assert re.search(r"^  P1 \(ext4\): \d{5} of 98304 sectors free$", said, re.MULTILINE)
    disk = restore(tmp_path / "image")
    before, after = (tmp_path / "disk").read_bytes(), disk.read_bytes()
    assert after[:MIB] == before[:MIB]
    assert after[49 * MIB : 49 * MIB + 32768] == before[49 * MIB : 49 * MIB + 32768]
    assert after[49 * MIB + 32768 : 57 * MIB] == GARBAGE * (8 * MIB - 32768)
    assert after[57 * MIB : 60 * MIB] == lvm
    tail = SIZE - 33 * 512 if label == "gpt" else SIZE
    assert after[tail:] == before[tail:]
    assert after[60 * MIB : tail] == GARBAGE * (tail - 60 * MIB)
    assert after.count(GARBAGE * MIB) > 40
    part = cut(disk, MIB, FS_SIZE)
    ext_images.run("e2fsck", "-fn", part)
    assert ext_images.contents(part) == files


@needs_e2fsprogs
@pytest.mark.parametrize(
    ("place", "words"),
    [
        # needs_recovery of the superblock, and a bit of the first block bitmap's checksum
        (1024 + 0x60, r"Slice 1 is ext4 .*, saving raw\.$"),
        (2048 + 0x18, r"Slice 1 is ext4 with a wrong checksum in its descriptors, saving raw\.$"),
    ],
)
def test_what_is_not_in_order_is_saved_whole(
    place: int, words: str, file_system: tuple[bytes, dict[str, str]], tmp_path: Path
) -> None:
    data = bytearray(file_system[0])
    data[place] ^= 4
    make_disk(tmp_path / "disk", DOS, {1: bytes(data)})
    said = run(ZIP, tmp_path / "disk", tmp_path / "image")
    assert re.search(words, said, re.MULTILINE)
    assert "Slice 2 holds no file system that is known, saving raw." in said
    after = restore(tmp_path / "image").read_bytes()
    assert after[: 60 * MIB] == (tmp_path / "disk").read_bytes()[: 60 * MIB]


def test_an_image_for_smaller_disks_has_no_backup_of_the_gpt(tmp_path: Path) -> None:
    make_disk(tmp_path / "disk", GPT, {})
    said = run(ZIP, "-c", str(61 * SECTORS_PER_MIB), tmp_path / "disk", tmp_path / "image")
    assert "The backup of the GPT is NOT SAVED: it lies after the limit." in said
    after = restore(tmp_path / "image", 61 * MIB).read_bytes()
    before = (tmp_path / "disk").read_bytes()
    assert after[: 60 * MIB] == before[: 60 * MIB]
    said = run(ZIP, tmp_path / "disk", tmp_path / "image")
    with (tmp_path / "small").open("wb") as file:
        file.truncate(61 * MIB)
    said = run(UNZIP, "--disk", tmp_path / "image", tmp_path / "small", status=1)
    assert "No space left on device" in said


def test_a_broken_gpt(tmp_path: Path) -> None:
    make_disk(tmp_path / "disk", GPT | {1: bytes(512)}, {})
    said = run(ZIP, tmp_path / "disk", tmp_path / "image")
    assert "The GPT is broken (sector 1 is no header): its backup tells the partitions." in said
    assert (
        restore(tmp_path / "image").read_bytes()[: 60 * MIB]
        == ((tmp_path / "disk").read_bytes()[: 60 * MIB])
    )
    make_disk(tmp_path / "disk", GPT | {1: bytes(512), SIZE // 512 - 1: bytes(512)}, {})
    said = run(ZIP, tmp_path / "disk", tmp_path / "other", status=1)
    assert said.startswith("imagezip: the GPT is broken (sector 1 is no header), and so is its")
    assert said.endswith("(use -r to save the whole disk)\n* * * Aborting * * *\n")
    assert not (tmp_path / "other").exists()


def test_zeros_are_data_unless_they_are_left_out(tmp_path: Path) -> None:
    make_disk(tmp_path / "disk", {}, {3: os.urandom(70_000), 50: b"x"})
    before = (tmp_path / "disk").read_bytes()
    run(ZIP, "-r", tmp_path / "disk", tmp_path / "image")
    assert restore(tmp_path / "image").read_bytes() == before
    said = run(ZIP, "-r", "-E", tmp_path / "disk", tmp_path / "image")
    match = re.search(r"\((\d+) compressed\)", said)
    assert match is not None
    assert int(match[1]) == MIB + 3 * 32768 + 32768
    after = restore(tmp_path / "image").read_bytes()
    assert after[: MIB + 1] == before[:MIB] + GARBAGE
    assert after[3 * MIB : 3 * MIB + 70_000] == before[3 * MIB : 3 * MIB + 70_000]
    run(UNZIP, "-z", "--disk", tmp_path / "image", tmp_path / "restored")
    assert (tmp_path / "restored").read_bytes() == before
    zeros = tmp_path / "zeros"
    zeros.write_bytes(bytes(MIB))
    assert "nothing to save" in run(ZIP, "-r", "-E", zeros, tmp_path / "none", status=1)


PARTITIONED = ("losetup", "partx", "mkfs.xfs", "xfs_repair", "partclone.xfs")


@pytest.fixture
def loop_disk(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A disk with an XFS whose partitions have devices: its file, and its device."""
    missing = [tool for tool in PARTITIONED if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    if os.geteuid() != 0:
        pytest.skip("loop devices take root")
    path = tmp_path / "disk"
    part = tmp_path / "xfs"
    with part.open("wb") as file:
        file.truncate(400 * MIB)
    subprocess.run(["mkfs.xfs", "-q", part], check=True)
    label = table([(0x83, SECTORS_PER_MIB, 400 * SECTORS_PER_MIB), None, None, None])
    with path.open("wb") as disk:
        disk.write(label)
        disk.seek(MIB)
        disk.write(part.read_bytes())
    done = subprocess.run(
        ["losetup", "--partscan", "--find", "--show", path], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip(f"losetup: {done.stderr.decode()}")
    device = done.stdout.decode().strip()
    try:
        # not every kernel reads labels itself
        subprocess.run(["partx", "--add", device], capture_output=True, check=False)
        if not Path(f"{device}p1").exists():
            pytest.skip(f"there is no {device}p1")
        yield path, device
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)


def test_an_xfs_is_mapped_by_partclone(loop_disk: tuple[Path, str], tmp_path: Path) -> None:
    path, device = loop_disk
    said = run(ZIP, "-d", device, tmp_path / "image")
    assert re.search(r"^  P1 \(xfs\): \d{6} of 819200 sectors free$", said, re.MULTILINE)
    after = restore(tmp_path / "image", 401 * MIB)
    assert after.read_bytes().count(GARBAGE * MIB) > 250
    subprocess.run(["xfs_repair", "-n", cut(after, MIB, 400 * MIB)], check=True)
    holder = os.open(f"{device}p1", os.O_RDONLY | os.O_EXCL)
    try:
        said = run(ZIP, "-i", device)
    finally:
        os.close(holder)
    assert (
        f"  Slice 1 is xfs that is in use: {device}p1: Device or resource busy, saving raw." in said
    )
    # a file has no partitions that partclone could open
    said = run(ZIP, path, tmp_path / "image")
    assert (
        "  Slice 1 is xfs that has no device of its own, for the disk is a file, saving raw."
        in said
    )
