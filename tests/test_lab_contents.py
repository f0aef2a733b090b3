"""The laboratory's comparison of disks: all that an image holds counts, and nothing else."""

import subprocess
import sys
from pathlib import Path

from imaging.testbed.sample_image import make_image, write_disk
from tests.lab.contents import content_of, held_regions

SIZE = 8 << 20


def test_what_was_written_is_what_the_image_holds(tmp_path: Path) -> None:
    disk, image, written = (tmp_path / name for name in ("disk", "image.ndz", "written"))
    write_disk(disk, SIZE, 1)
    make_image(disk, image)
    tool = Path(sys.executable).with_name("imaging-imageunzip")
    subprocess.run([tool, image, written], check=True, capture_output=True)
    found, size = content_of(written, image)
    assert (found, size) == content_of(disk, image)
    assert 0 < size <= SIZE
    offset, length = list(held_regions(image))[-1]
    with written.open("r+b") as stream:
        stream.seek(offset + length - 1)
        last = stream.read(1)
        stream.seek(-1, 1)
        stream.write(bytes([last[0] ^ 1]))
    assert content_of(written, image)[0] != found
