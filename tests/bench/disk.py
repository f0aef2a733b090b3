"""The disk that is imaged: a file system with real files, made by the same steps everywhere.

Run as `python -m tests.bench.disk DISK MIB`, which says what is on it.
"""

import os
import shutil
import struct
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from tests.bench.processes import BenchError

MIB = 1 << 20
START = MIB  # byte where the only partition begins, as installers have it
FILLED = 0.55  # share of the disk that files take
LINUX = 0x83
SUFFIXES = {".py", ".pyc", ".so", ".a", ".txt", ".h"}


def make_disk(disk: Path, size_mib: int) -> str:
    """Have a disk written by a process of its own; says what is on it. Raises BenchError."""
    done = subprocess.run(
        [sys.executable, "-m", __name__, str(disk), str(size_mib)],
        cwd=Path(__file__).parent.parent.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise BenchError(f"the disk could not be made: {done.stderr.strip()}")
    return done.stdout.strip()


def write_disk(disk: Path, size_mib: int) -> str:
    """Write a disk of so many MiB; says what is on it.

    With e2fsprogs it has a DOS label and an ext4 file system, without the 64bit feature that C
    imagezip of 2011 does not know. Without, the same files lie one behind the other.
    """
    mke2fs = shutil.which("mke2fs", path=os.environ["PATH"] + ":/usr/sbin:/sbin")
    budget = int(size_mib * MIB * FILLED)
    if mke2fs is None:
        _write_plain(disk, size_mib * MIB, budget)
        return f"{size_mib} MiB with files of the Python installation, no file system (no mke2fs)"
    tree = disk.with_suffix(".tree")
    try:
        _fill(tree, budget)
        _write_file_system(disk, size_mib * MIB, tree, mke2fs)
    finally:
        shutil.rmtree(tree, ignore_errors=True)
    return f"{size_mib} MiB, DOS label, ext4 filled to {FILLED:.0%} with files of Python's library"


def _files(budget: int) -> Iterator[tuple[int, Path, Path]]:
    """Files of the Python installation, again and again until there are so many bytes."""
    library = Path(sysconfig.get_paths()["stdlib"])
    files = sorted(
        file for file in library.rglob("*") if file.suffix in SUFFIXES and file.is_file()
    )
    if not files:
        raise BenchError(f"{library} has no files to fill a disk with")
    copy = 0
    while True:
        for file in files:
            budget -= file.stat().st_size + 4096
            if budget < 0:
                return
            yield copy, file.relative_to(library), file
        copy += 1


def _fill(tree: Path, budget: int) -> None:
    for copy, name, file in _files(budget):
        place = tree / f"copy-{copy}" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(file, place)


def _write_file_system(disk: Path, size: int, tree: Path, mke2fs: str) -> None:
    with disk.open("wb") as stream:
        stream.truncate(size)
        stream.write(_label((size - START) // 512))
    done = subprocess.run(
        [
            *(mke2fs, "-q", "-F", "-t", "ext4", "-O", "^64bit", "-b", "4096", "-d", str(tree)),
            *("-U", "11111111-2222-3333-4444-555555555555"),
            *("-E", f"offset={START},hash_seed=11111111-2222-3333-4444-555555555555"),
            *(str(disk), f"{(size - START) // 1024}k"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise BenchError(f"mke2fs failed: {done.stderr.strip()}")


def _label(sectors: int) -> bytes:
    """The first sector: one Linux partition up to the end of the disk."""
    sector = bytearray(512)
    struct.pack_into("<BxxxBxxxII", sector, 446, 0, LINUX, START // 512, sectors)
    sector[510:] = b"\x55\xaa"
    return bytes(sector)


def _write_plain(disk: Path, size: int, budget: int) -> None:
    with disk.open("wb") as stream:
        stream.write(_label((size - START) // 512))
        stream.seek(START)
        for _, _, file in _files(budget):
            data = file.read_bytes()
            stream.write(data.ljust(-(-len(data) // 4096) * 4096, b"\0"))
        stream.truncate(size)


if __name__ == "__main__":
    print(write_disk(Path(sys.argv[1]), int(sys.argv[2])))
