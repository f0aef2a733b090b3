"""The whole story in half a minute: a testbed, an image, a load, and a look at every disk."""

import hashlib
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from imaging.errors import ImagingError
from imaging.testbed.layout import Layout
from imaging.testbed.sample_image import make_image, write_disk

IMAGE = "demo"
CONTENT_SIZE = 224 * 1024 * 1024  # bytes of the disk that is imaged
SEED = 1
PIECE = 1024 * 1024  # bytes
MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Story:
    """What happened."""

    nodes: int
    image_size: int
    identical: int
    seconds: float
    status: int

    @property
    def ok(self) -> bool:
        """Whether the load says that all went fine, and it is true."""
        return self.status == 0 and self.identical == self.nodes

    def lines(self) -> list[str]:
        """The story in five lines."""
        content = CONTENT_SIZE / MEBIBYTE
        return [
            f"{self.nodes} virtual nodes were reset, booted the ramdisk and received the image",
            f"the image has {self.image_size / MEBIBYTE:.0f} MiB for a disk of {content:.0f} MiB",
            f"imaging-load took {self.seconds:.1f} s and ended with exit code {self.status}",
            f"all disks together got {self.nodes * content / self.seconds:.0f} MiB/s",
            f"{self.identical} of {self.nodes} disks are identical to the image's content (sha256)",
        ]


def tool(name: str) -> str:
    """An installed command of ours: beside this Python."""
    return str(Path(sys.executable).parent / name)


def tell_story(layout: Layout, names: list[str]) -> Story:
    """Load the demo image on the nodes of a running testbed. Raises ImagingError."""
    disk = layout.directory / "demo-disk"
    write_disk(disk, CONTENT_SIZE, SEED)
    image = layout.images / f"{IMAGE}.ndz"
    make_image(disk, image)
    started = time.monotonic()
    status = _run([tool("imaging-load"), "-i", IMAGE, "-a"], layout.directory)
    seconds = time.monotonic() - started
    expected = content_hash(disk, CONTENT_SIZE)
    identical = sum(content_hash(layout.disk(name), CONTENT_SIZE) == expected for name in names)
    return Story(len(names), image.stat().st_size, identical, seconds, status)


def _run(argv: list[str], directory: Path) -> int:
    """Run a command; whatever ends the story before ends it in order, so that it cleans up."""
    with subprocess.Popen(argv, cwd=directory) as process:
        try:
            return process.wait()
        except BaseException:
            process.terminate()
            raise


def content_hash(disk: Path, size: int) -> str:
    """The sha256 of the first ``size`` bytes of a disk. Raises ImagingError when it is shorter."""
    digest, left = hashlib.sha256(), size
    with disk.open("rb") as stream:
        while left:
            piece = stream.read(min(PIECE, left))
            if not piece:
                raise ImagingError(
                    f"{disk} is shorter than {size} bytes", hint="it is not the disk of a node"
                )
            digest.update(piece)
            left -= len(piece)
    return digest.hexdigest()
