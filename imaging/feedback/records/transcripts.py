"""Transcripts: for each run a directory with all that was said in it.

``NODE.log`` has everything sent to a node and received from it, ``server.log`` the frisbee
server's own log, and ``run.log`` the events. They may hold secrets: nobody else may read them. A
thread of their own writes them, so that a file system that hangs does not hold up the run. What
comes is appended a moment later, so that a crash loses next to nothing, and no file stays open.
"""

import logging
import os
import queue
import re
import shutil
import threading
import time
from pathlib import Path

from imaging.feedback.events import (
    Event,
    NodeFinished,
    NodeRetried,
    Said,
)
from imaging.feedback.log import entry_line, event_text
from imaging.feedback.outcomes import RunReport
from imaging.feedback.records.dialogue import Dialogue
from imaging.feedback.wording import printable, time_text
from imaging.site.schema import TranscriptsSettings

RUN_ID = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9a-f]{6}")
RUN_ID_TIME = "%Y%m%d-%H%M%S"
SERVER, RUN = "server", "run"
SUFFIX = ".log"

MEBIBYTE = 1024 * 1024
DAY_S = 86400
YOUNG_S = 6 * 3600
GATHER_S = 0.25  # what comes within so long of each other is written at once
BACKLOG_LIMIT = 32 * MEBIBYTE  # bytes that wait to be written; more means that nothing moves
PRUNE_LIMIT = 100  # directories removed by one run: none has to pay for all that was left


def transcript_path(directory: str | Path, node: str | None) -> Path:
    """The file of a node, None being the frisbee server, in a run's directory."""
    name = SERVER if node is None else node
    if node in (SERVER, RUN):
        name = f"node-{node}"
    return Path(directory) / f"{name}{SUFFIX}"


def open_transcripts(directory: Path, run_id: str, settings: TranscriptsSettings) -> "Transcripts":
    """Make the directory of a run. It reads and writes the disk: call it in a thread.

    Raises OSError.
    """
    own = directory / run_id
    # the parents may well be everybody's, as /var/log is
    directory.parent.mkdir(parents=True, exist_ok=True)
    directory.mkdir(mode=0o700, exist_ok=True)
    own.mkdir(mode=0o700)
    return Transcripts(own, settings.limit_mib * MEBIBYTE)


class Transcripts:
    """A sink that keeps what is said. To be closed, whatever the end of the run."""

    def __init__(self, directory: Path, limit: int) -> None:
        """Write into a directory that is there; no file gets more than ``limit`` bytes."""
        self.directory = directory
        self._limit = limit
        self._files: dict[str | None, _File] = {}
        self._writer = _Writer()
        self._run = _File(directory / f"{RUN}{SUFFIX}", limit, self._writer)
        self._run_id = directory.name

    @property
    def problem(self) -> str | None:
        """Why the transcripts are incomplete, if they are."""
        return self._writer.problem

    def take(self, event: Event) -> None:
        """Keep an event, if it is worth it; the disk is left to the thread."""
        if isinstance(event, Said):
            file = self._file(event.node)
            file.append(file.dialogue.said(event.at, event.channel, event.way, event.data))
            return
        entry = event_text(event)
        if entry is None:
            return
        number, line = entry_line(*entry)
        level = logging.getLevelName(number)
        self._run.append(f"{time_text(event.at)} {self._run_id} {level} {printable(line)}\n")
        node = _node_of(event)
        if node is not None:
            file = self._file(node)
            file.append(file.dialogue.told(event.at, line.removeprefix(f"{node} ")))

    def finish(self, report: RunReport) -> None:
        """Everything is written by then."""

    def close(self, patience_s: float) -> None:
        """End unfinished lines, and wait for the disk, at most so many seconds."""
        for file in [*self._files.values(), self._run]:
            file.append(file.dialogue.end(time.time()))
        self._writer.close(patience_s)

    def _file(self, node: str | None) -> "_File":
        """The file of a node, or that of what is no node's."""
        file = self._files.get(node)
        if file is None:
            path = transcript_path(self.directory, node)
            file = self._files[node] = _File(path, self._limit, self._writer)
        return file


def _node_of(event: Event) -> str | None:
    """The node that an event is about, if it is about one."""
    match event:
        case NodeFinished() | NodeRetried():
            return event.outcome.node
        case _:
            return getattr(event, "node", None)


class _File:
    """One file: its dialogue, and how much more may be written."""

    def __init__(self, path: Path, limit: int, writer: "_Writer") -> None:
        self.dialogue = Dialogue()
        self._path = path
        self._limit = self._room = limit
        self._writer = writer

    def append(self, text: str) -> None:
        """Have text written at the end, as long as there is room."""
        if not text or not self._room:
            return
        data = text.encode()
        if len(data) > self._room:
            cut = data[: self._room].decode(errors="ignore")
            told = f"\n[cut here: {self._limit // MEBIBYTE} MiB, limit_mib of [transcripts]]\n"
            data, self._room = (cut + told).encode(), 0
        else:
            self._room -= len(data)
        self._writer.append(self._path, data)


class _Writer:
    """A thread that appends to files. What it cannot do, it keeps as its problem, and ends."""

    def __init__(self) -> None:
        self.problem: str | None = None
        self._queue: queue.SimpleQueue[tuple[Path, bytes] | None] = queue.SimpleQueue()
        # one is counted by each side, so that neither has to lock
        self._taken = self._written = 0
        self._closing = threading.Event()
        # a daemon: should the disk hang, the command ends all the same
        self._thread = threading.Thread(target=self._run, name="transcripts", daemon=True)
        self._thread.start()

    def append(self, path: Path, data: bytes) -> None:
        """Have data appended soon."""
        if self.problem is not None:
            return
        if self._taken - self._written > BACKLOG_LIMIT:
            self.problem = f"{path.parent} does not take them fast enough"
            return
        self._taken += len(data)
        self._queue.put((path, data))

    def close(self, budget_s: float) -> None:
        """Wait until all is written, at most ``budget_s`` seconds."""
        self._closing.set()
        self._queue.put(None)
        self._thread.join(budget_s)
        if self._thread.is_alive() and self.problem is None:
            self.problem = f"the disk did not take them within {budget_s:g} s"

    def _run(self) -> None:
        more = True
        while more and self.problem is None:
            pieces, more = self._gather()
            for path, data in pieces.items():
                try:
                    _append(path, b"".join(data))
                except OSError as error:
                    self.problem = f"cannot write {path}: {error.strerror}"
                    return
                self._written += sum(map(len, data))

    def _gather(self) -> tuple[dict[Path, list[bytes]], bool]:
        """What waits, by file, once there is anything; and whether there can be more."""
        pieces: dict[Path, list[bytes]] = {}
        item = self._queue.get()
        self._closing.wait(GATHER_S)  # meanwhile, nobody who appends has to wake this thread
        while item is not None:
            pieces.setdefault(item[0], []).append(item[1])
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                return pieces, True
        return pieces, False


def _append(path: Path, data: bytes) -> None:
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o600)
    try:
        while data:
            data = data[os.write(descriptor, data) :]
    finally:
        os.close(descriptor)


def prune(directory: Path, settings: TranscriptsSettings, now: float) -> int:
    """Remove the transcripts of old runs; gives how many. Call it in a thread; it never raises.

    Only directories whose name is a run's id are looked at, and only so many are removed.
    """
    try:
        with os.scandir(directory) as entries:
            found = [
                entry.name
                for entry in entries
                if RUN_ID.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False)
            ]
    except OSError:
        return 0  # told already, when this run's own was to be made there
    removed = 0
    for name in superseded(found, settings, now)[:PRUNE_LIMIT]:
        shutil.rmtree(directory / name, ignore_errors=True)
        removed += not (directory / name).exists()
    return removed


def superseded(names: list[str], settings: TranscriptsSettings, now: float) -> list[str]:
    """Which of these runs are too old, or too many, the oldest first."""
    # an id begins with the local time at which its run did
    oldest = time.strftime(RUN_ID_TIME, time.localtime(now - settings.keep_days * DAY_S))
    newest_first = sorted(names, reverse=True)
    kept = {name for name in newest_first[: settings.keep_runs] if name >= oldest}
    # however many there are: these may still be at work
    young = time.strftime(RUN_ID_TIME, time.localtime(now - YOUNG_S))
    kept.update(name for name in names if name >= young)
    return [name for name in reversed(newest_first) if name not in kept]
