"""What of a disk is an image's: the regions that it holds, and a hash over them."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from imaging.frisbee.ndz import CHUNK_SIZE, SECTOR_SIZE, parse_header


def held_regions(image: Path) -> Iterator[tuple[int, int]]:
    """Offset and size, in bytes, of each region of the disk that an image holds."""
    with image.open("rb") as stream:
        while chunk := stream.read(CHUNK_SIZE):
            for region in parse_header(chunk).regions:
                yield region.start * SECTOR_SIZE, region.count * SECTOR_SIZE


def content_of(disk: Path, image: Path) -> tuple[str, int]:
    """The sha256 of what a disk has where the image holds something, and how many bytes it is."""
    digest, total = hashlib.sha256(), 0
    with disk.open("rb") as stream:
        for offset, size in held_regions(image):
            stream.seek(offset)
            data = stream.read(size)
            assert len(data) == size, f"{disk} is shorter than {offset + size} bytes"
            digest.update(data)
            total += size
    return digest.hexdigest(), total
