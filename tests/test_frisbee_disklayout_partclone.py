"""The maps of partclone: real ones, of real file systems, and anything at all."""

import os
import shutil
import subprocess
import textwrap
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaging.frisbee.disklayout import partclone
from imaging.frisbee.disklayout.label import LayoutError
from imaging.frisbee.disklayout.partclone import KEPT, parse_map, read_free

SIZE = 64 << 20

MAP = """\
# Domain logfile created by unset_name v0.3.23
# Source: x
# Offset: 0x00000000
# current_pos  current_status
0x04000000     ?
#      pos        size  status
0x00000000  0x00200000  +
0x00200000  0x00100000  ?
0x00300000  0x00100000  +
0x00400000  0x03C00000  ?
"""


def parse(text: str, name: str = "xfs", size: int = SIZE) -> tuple[tuple[int, int], ...]:
    return parse_map(text.splitlines(keepends=True), name, size, 1)


def test_a_map() -> None:
    end = (SIZE - KEPT) // 512
    assert parse(MAP) == ((4096, 6144), (8192, end))
    # what the map does not reach is used
    assert parse(MAP, size=SIZE + (100 << 20)) == ((4096, 6144), (8192, SIZE // 512))


def test_the_superblocks_of_btrfs_are_kept() -> None:
    text = MAP.replace("0x03C00000", "0x08000000")
    assert parse(text, "btrfs", 256 << 20) == (
        (4096, 6144),
        (8192, 0x4000000 // 512),
        (0x4010000 // 512, 0x8400000 // 512),
    )


def test_both_ends_are_kept() -> None:
    text = MAP.replace("0x00200000  +", "0x00001000  +", 1).replace(
        "0x00200000  0x00100000  ?", "0x00001000  0x002FF000  ?"
    )
    assert parse(text)[0] == (KEPT // 512, 6144)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("0x04000000     ?", "nothing"),
        ("0x00200000  0x00100000  ?", "0x00200000  0x00100001  ?"),
        ("0x00200000  0x00100000  ?", "0x00100000  0x00200000  ?"),
        ("0x00200000  0x00100000  ?\n", ""),
        ("0x00300000  0x00100000  +", "0x00300000  0x00100000  *"),
        ("0x00300000  0x00100000  +", "0x00300000  0x00000000  +"),
        ("0x00300000  0x00100000  +", "3145728  1048576  +"),
        ("0x03C00000", "0x04C00000"),
        ("0x03C00000", "0xFFFFFFFFFFFFFFFF"),
        ("+", "?"),
        (MAP, ""),
        (MAP, "# nothing but comments\n"),
        (MAP, "x" * 10_000),
    ],
)
def test_nonsense_is_refused(old: str, new: str) -> None:
    with pytest.raises(LayoutError, match="is xfs whose map by partclone makes no sense"):
        parse(MAP.replace(old, new))


@given(
    st.lists(
        st.tuples(st.integers(0, 1 << 65), st.integers(0, 1 << 26), st.sampled_from("?+*x"))
        | st.tuples(st.just(-1), st.integers(1, 1 << 22), st.sampled_from("?+")),
        max_size=30,
    )
)
def test_any_map_is_read_or_refused(lines: list[tuple[int, int, str]]) -> None:
    position, text = 0, "0x0 ?\n"
    for place, length, status in lines:
        begin = position if place < 0 else place
        text += f"0x{begin:08X}  0x{length:08X}  {status}\n"
        position = begin + length
    try:
        found = parse(text)
    except LayoutError:
        return
    assert all(KEPT // 512 <= first < last <= (SIZE - KEPT) // 512 for first, last in found)


@given(st.text(max_size=300))
def test_any_text_is_refused(text: str) -> None:
    with pytest.raises(LayoutError):
        parse(text)


def test_without_partclone_it_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LayoutError, match="is xfs and partclone.xfs is not installed"):
        read_free("xfs", tmp_path, SIZE, 1)


def a_partclone(directory: Path, script: str) -> None:
    """A program in the place of partclone, with its command line."""
    tool = directory / "partclone.xfs"
    tool.write_text("#!/bin/sh\n" + textwrap.dedent(script))
    tool.chmod(0o755)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("exit 1", "is xfs that partclone refuses"),
        ("exit 0", "is xfs without a map: No such file or directory"),
        ("sleep 60", "is xfs not mapped in 0 s"),
        ("kill -9 $$", "is xfs that partclone refuses"),
        ('head -c 100000 /dev/zero > "$5"', "makes no sense"),
        ('printf "\\377\\376\\n" > "$5"', "makes no sense"),
    ],
)
def test_a_partclone_that_fails(
    script: str, words: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    a_partclone(tmp_path, script)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    timeout = 0.4 if "sleep" in script else 20.0
    with pytest.raises(LayoutError) as caught:
        read_free("xfs", tmp_path, SIZE, 1, timeout=timeout)
    assert words in caught.value.message


def test_no_place_for_the_map(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    a_partclone(tmp_path, "exit 0")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "absent"))
    with pytest.raises(LayoutError, match="is xfs without a map: No such file or directory"):
        read_free("xfs", tmp_path, SIZE, 1)


MAKERS = {
    "xfs": (["mkfs.xfs", "-q"], ["xfs_repair", "-n"]),
    "btrfs": (["mkfs.btrfs", "-q"], ["btrfs", "check"]),
    "ntfs": (["mkfs.ntfs", "-F", "-q"], ["ntfsfix", "-n"]),
    "vfat": (["mkfs.vfat"], ["fsck.vfat", "-n"]),
}


@pytest.mark.parametrize("name", MAKERS)
def test_real_file_systems_live_without_what_is_free(name: str, tmp_path: Path) -> None:
    make, check = MAKERS[name]
    missing = [
        tool for tool in (make[0], check[0], f"partclone.{name}") if shutil.which(tool) is None
    ]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    path = tmp_path / "fs"
    size = 400 << 20
    with path.open("wb") as file:
        file.truncate(size)
    subprocess.run([*make, path], check=True, capture_output=True)
    assert name in partclone.FILE_SYSTEMS
    free = read_free(name, path, size, 64)
    assert sum(last - first for first, last in free) * 512 > size // 2
    with path.open("r+b") as file:
        for first, last in free:
            for place in range(first * 512, last * 512, 1 << 20):
                file.seek(place)
                file.write(b"\xa5" * min(1 << 20, last * 512 - place))
    done = subprocess.run([*check, path], capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
