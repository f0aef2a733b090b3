"""Ext file systems made by mke2fs and debugfs, and what is in them."""

import hashlib
import random
import re
import shutil
import subprocess
from pathlib import Path

TOOLS = ("mke2fs", "debugfs", "dumpe2fs", "e2fsck")
MISSING = [tool for tool in TOOLS if shutil.which(tool) is None]
REASON = f"e2fsprogs is not installed: {', '.join(MISSING)}"


def run(*words: str | Path, status: tuple[int, ...] = (0,)) -> str:
    """Run a tool, and give what it says."""
    done = subprocess.run(
        [str(word) for word in words], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode in status, (words, done.stdout, done.stderr)
    return done.stdout


def make_files(directory: Path, seed: int) -> None:
    """Files of all sizes, some sparse, in directories."""
    generator = random.Random(seed)
    for number in range(60):
        place = directory / f"d{number % 7}" / f"f{number}"
        place.parent.mkdir(parents=True, exist_ok=True)
        size = generator.randrange(1 << generator.randrange(1, 19))
        place.write_bytes(generator.randbytes(size // 2) + bytes(size - size // 2))
    (directory / "link").symlink_to("d0/f0")
    with (directory / "sparse").open("wb") as file:
        file.seek(3_000_000)
        file.write(b"end")


def make_ext(path: Path, size: int, *options: str, seed: int = 1) -> None:
    """A file system that has had files added and removed."""
    tree = path.with_suffix(".tree")
    make_files(tree, seed)
    with path.open("wb") as file:
        file.truncate(size)
    kind = [] if any(option.startswith("-t") for option in options) else ["-text4"]
    run("mke2fs", "-q", "-F", *kind, *options, "-d", tree, path)
    more = path.with_suffix(".more")
    more.write_bytes(random.Random(seed).randbytes(700_000))
    commands = path.with_suffix(".commands")
    removed = "".join(f"rm d{number % 7}/f{number}\n" for number in range(0, 60, 3))
    commands.write_text(f"{removed}write {more} again\nmkdir new\nwrite {more} new/more\n")
    run("debugfs", "-w", "-f", commands, path)
    # debugfs leaves quotas as they were
    run("e2fsck", "-fy", path, status=(0, 1))
    shutil.rmtree(tree)


def contents(path: Path) -> dict[str, str]:
    """The sha256 of every file of a file system."""
    out = path.with_suffix(".out")
    out.mkdir()
    run("debugfs", "-R", f"rdump / {out}", path)
    found = {
        str(file.relative_to(out)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(out.rglob("*"))
        if file.is_file()
    }
    shutil.rmtree(out)
    return found


def free_blocks(path: Path) -> tuple[int, set[int]]:
    """The size of a block, and the free ones, as dumpe2fs says.

    With clusters it names only the first block of each.
    """
    said = run("dumpe2fs", path)

    def number(word: str, default: int = 0) -> int:
        match = re.search(rf"^{word}: +(\d+)$", said, re.MULTILINE)
        return int(match[1]) if match else default

    size, blocks = number("Block size"), number("Block count")
    ratio = number("Cluster size", size) // size
    free: set[int] = set()
    for line in re.findall(r"^  Free blocks: (.*)$", said, re.MULTILINE):
        for stretch in filter(None, line.split(", ")):
            first, _, last = stretch.partition("-")
            free |= set(range(int(first), int(last or first) + ratio))
    return size, {block for block in free if block < blocks}
