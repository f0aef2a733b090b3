"""What this host has recorded about the nodes: the images of the history, and its counts of runs.

The history is read in a thread, and only when its file has changed; nothing waits for it.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import trio

from imaging.feedback.records.history import HistoryError, open_history
from imaging.feedback.records.history_rows import NodeImage
from imaging.monitor.observations import ImageSeen, LoadedImage, See

log = logging.getLogger(__name__)

RunCounts = Mapping[tuple[str, bool], int]
"""How many runs there were, by command and whether all went fine."""


class HistoryProbe:
    """Looks at the history for what is on the nodes."""

    def __init__(self, file: Path, nodes: Sequence[str], see: See) -> None:
        """Nothing is read yet."""
        self.run_counts: RunCounts = {}
        self._file = file
        self._nodes = nodes
        self._see = see
        self._mark: object = None
        self._problem = ""

    async def look(self) -> None:
        """Read it when it has changed since the last look, and tell."""
        found = await trio.to_thread.run_sync(self._read, abandon_on_cancel=True)
        if found is None:
            return
        images, self.run_counts = found
        for node, image in images.items():
            self._see(ImageSeen(time.time(), node, image))

    def _read(self) -> tuple[dict[str, LoadedImage | None], RunCounts] | None:
        """None when there is nothing new; runs in the thread."""
        mark = _mark_of(self._file)
        if mark == self._mark:
            return None
        try:
            with open_history(self._file, writing=False) as history:
                found = self._images(history.image_of), history.run_counts()
        except HistoryError as error:
            if str(error) != self._problem:
                self._problem = str(error)
                log.warning("- %s", error)
            return None
        self._mark = mark
        return found

    def _images(self, image_of: Callable[[str], NodeImage | None]) -> dict[str, LoadedImage | None]:
        return {node: _loaded(image_of(node)) for node in self._nodes}


def _loaded(found: NodeImage | None) -> LoadedImage | None:
    if found is None:
        return None
    return LoadedImage(found.image.name, found.since, found.user, found.half_written)


def _mark_of(file: Path) -> object:
    """What is another one after each write: of the file, and of the log beside it."""
    marks: list[tuple[int, int, int] | None] = []
    for place in (file, file.with_name(f"{file.name}-wal")):
        try:
            status = place.stat()
        except OSError:
            marks.append(None)
        else:
            marks.append((status.st_ino, status.st_size, status.st_mtime_ns))
    return tuple(marks)
