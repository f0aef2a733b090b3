"""What disks hold of an image when their machines are reset."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from tests.lab.contents import content_of
from tests.lab.machine import Machine


@contextmanager
def watched_disks(image: Path, machines: Sequence[Machine]) -> Iterator[list[list[str]]]:
    """The hash of what each disk has of an image, each time that the machine is reset.

    A moment later its system writes to it.
    """
    found: list[list[str]] = []
    for machine in machines:
        digests: list[str] = []
        found.append(digests)
        machine.before_reset = partial(_note_content, digests, image)
    try:
        yield found
    finally:
        for machine in machines:
            machine.before_reset = None


def _note_content(digests: list[str], image: Path, disk: Path) -> None:
    digests.append(content_of(disk, image)[0])
