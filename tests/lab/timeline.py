"""What took how long in a laboratory, and what is kept of one that has failed."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(slots=True)
class Timeline:
    """What took how long; printed as it ends."""

    started: float

    @contextmanager
    def step(self, what: str) -> Iterator[list[str]]:
        """One line: when it ended, how long it took, and the details that were added."""
        began = time.monotonic()
        details: list[str] = []
        yield details
        now = time.monotonic()
        rest = f" ({', '.join(details)})" if details else ""
        print(f"{now - self.started:7.1f} s  {now - began:6.1f} s  {what}{rest}", flush=True)


def keep(place: Path, target: Path) -> None:
    """Copy what tells about a failure."""
    target.mkdir(parents=True, exist_ok=True)
    for pattern in ("*.log", "*.conf", "machines/*.screen", "machines/*.qemu"):
        for file in place.glob(pattern):
            shutil.copy(file, target)
    if (place / "transcripts").exists():
        shutil.copytree(place / "transcripts", target / "transcripts", dirs_exist_ok=True)
