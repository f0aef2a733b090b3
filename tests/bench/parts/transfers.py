"""What the parts with whole sessions share: the image, and rows of their tables."""

from collections.abc import Sequence
from pathlib import Path

from tests.bench.disk import make_disk
from tests.bench.processes import processes
from tests.bench.sessions import SessionSample, sha256
from tests.bench.statistics import cpu_per_gigabyte, median_of, walls
from tests.bench.tables import Table, number
from tests.bench.tools import OURS
from tests.bench.turns import Turns

COUNTS = (1, 2, 4, 8)
UNLIMITED = ("-G", "0")  # our server finds the rate by itself
C_PACE = ("-W", "600000000")  # the C server does not, and without a limit it overruns clients
WHAT_IS_TIMED = (
    "Every process starts anew and is timed with its start; outputs are in memory, and every byte "
    "is checked. MB and GB are those of the image. Peaks below some 20 MB are not told apart."
)
COLUMNS = (
    "case",
    "wall s",
    "MB/s each",
    "server CPU s/GB",
    "client CPU s/GB each",
    "server peak MB",
    "client peak MB",
    "sent per block",
    "requests",
)


class Freight:
    """A disk and its image."""

    def __init__(self, directory: Path, size_mib: int) -> None:
        """Make both. Raises BenchError."""
        self.disk = directory / "disk"
        self.image = directory / "disk.ndz"
        content = make_disk(self.disk, size_mib)
        with processes(directory) as group:
            words = [OURS.imagezip, "-r", str(self.disk), str(self.image)]
            group.wait(group.start("imagezip", words))
        self.digest = sha256(self.disk)
        self.image_digest = sha256(self.image)
        self.size = self.image.stat().st_size
        self.content = (
            f"Image of {self.size / 1e6:.0f} MB, made by `imaging-imagezip -r` of {content}."
        )


def transfer_table(
    title: str,
    turns: Turns[SessionSample],
    clients: dict[str, int],
    size: int,
    notes: Sequence[str],
) -> Table:
    """A row for each case; MB and GB are those of the image."""
    rows = [
        [
            name,
            number(median_of(walls(samples))),
            number(size / 1e6 / median_of(walls(samples))),
            *(
                _cpu(samples, role, size, each)
                for role, each in (("server", 1), ("client", clients[name]))
            ),
            *(_peak(samples, role) for role in ("server", "client")),
            _told([sample.sent for sample in samples], 3),
            _told([sample.requests for sample in samples], 0),
        ]
        for name, samples in turns.samples.items()
    ]
    rows += [
        [name, f"failed: {why}", *[""] * (len(COLUMNS) - 2)] for name, why in turns.failures.items()
    ]
    return Table(title, COLUMNS, rows, notes)


def _cpu(samples: Sequence[SessionSample], role: str, size: int, count: int) -> str:
    if role not in samples[0].usage:
        return ""
    return number(median_of(cpu_per_gigabyte(samples, role, size)) / count)


def _peak(samples: Sequence[SessionSample], role: str) -> str:
    if role not in samples[0].usage:
        return ""
    return number(median_of([sample.usage[role].peak_bytes / 1e6 for sample in samples]))


def _told(values: Sequence[float | None], digits: int) -> str:
    """The median of what a server has told; nothing if it has not."""
    told = [value for value in values if value is not None]
    return f"{median_of(told):.{digits}f}" if told else ""
