"""What the tests of imaging-save share: the images they make, and an imagezip of theirs."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.commands import Commands

# lines of the settings of the virtual testbed, which tests replace
IMAGEZIP = "imagezip = imagezip -z1"
NETCAT = "netcat = nc\n"
SENDS = 'sh -c \'cat "{image}"{filter}; echo "Image size: {size} bytes" >&2{end}\''


@contextmanager
def images_of(testbed: Commands) -> Iterator[Path]:
    """The images directory, for the block; what was put there meanwhile is gone afterwards."""
    folder = testbed.directory / "images"
    before = set(folder.iterdir())
    yield folder
    for entry in set(folder.iterdir()) - before:
        entry.unlink()


def load_a_disk_worth_saving(testbed: Commands) -> None:
    """Onto node 1."""
    done = testbed.run("imaging-load", "-i", "sample", "1")
    assert done.returncode == 0, done.stderr


def names(images: Path) -> list[str]:
    """Those of all files in a directory."""
    return sorted(entry.name for entry in images.iterdir())


def sending(image: Path, *, through: str = "", size: int | None = None, end: str = "") -> str:
    """An imagezip that sends a file of ours, through a filter, and says what it likes."""
    size = image.stat().st_size if size is None else size
    return "imagezip = " + SENDS.format(image=image, filter=through, size=size, end=end)
