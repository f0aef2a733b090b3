"""Disks that look like disks: a boot sector, a partition, and content that compresses by halves."""

import random
import struct
import subprocess
import sys
from pathlib import Path

from imaging.errors import ImagingError

SECTOR = 512
FIRST_SECTOR = 2048  # where the partition begins, as every tool puts it
LINUX = 0x83
BLOCK = 256 * 1024  # bytes; the content alternates in pieces of this size


def boot_sector(sectors: int) -> bytes:
    """A DOS label with one Linux partition up to the end of a disk of so many sectors."""
    entry = struct.pack(
        "<B3sB3sII", 0x80, b"\0\x02\0", LINUX, b"\xff\xff\xff", FIRST_SECTOR, sectors - FIRST_SECTOR
    )
    return b"\xfa\xeb\xfe".ljust(446, b"\0") + entry + bytes(48) + b"\x55\xaa"


def write_disk(path: Path, size: int, seed: int) -> None:
    """Write a disk of ``size`` bytes: the same content for the same seed.

    A quarter of it cannot be compressed, the rest is like text, and no block is like another.
    """
    source = random.Random(seed)  # noqa: S311 - content, not secrets
    text = b"".join(b"%08d the quick brown fox %x\n" % (n, n * n) for n in range(BLOCK // 32))
    with path.open("wb") as stream:
        stream.write(boot_sector(size // SECTOR))
        stream.seek(FIRST_SECTOR * SECTOR)
        number = 0
        while stream.tell() < size:
            if number % 4 == 0:
                block = source.randbytes(BLOCK)
            else:
                start = source.randrange(len(text) // 2)
                block = (b"block %d\n" % number + text[start:] + text[:start])[:BLOCK]
            stream.write(block[: size - stream.tell()])
            number += 1


def make_image(disk: Path, image: Path) -> None:
    """Make an image of a disk with imaging-imagezip; it appears only when it is whole.

    Raises ImagingError with what imaging-imagezip says.
    """
    partial = image.with_name(f".{image.name}.partial")
    done = subprocess.run(
        [sys.executable, "-m", "imaging.frisbee.commands.imagezip", "-z1", str(disk), str(partial)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        partial.unlink(missing_ok=True)
        words = done.stderr.strip().splitlines()
        why = words[-1] if words else "imaging-imagezip said nothing"
        raise ImagingError(f"cannot make the image {image}: {why}", hint="is there room for it?")
    partial.replace(image)
