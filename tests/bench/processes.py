"""Processes that are measured: started, waited for within a limit, never left behind.

The kernel counts the memory of this process, from which they are forked, into their peaks. So it
stays small: what takes memory runs in a process of its own.
"""

import os
import select
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.bench.statistics import Usage

LIMIT_S = 120.0  # of one run
GRACE_S = 2.0
WORDS_SHOWN = 600  # characters of a failed process's last words


class BenchError(Exception):
    """A benchmark could not be run to its end, or its output is wrong."""


@dataclass(slots=True)
class Measured:
    """A process that is running or has been."""

    role: str
    process: "subprocess.Popen[bytes]"
    words: Path
    usage: Usage | None = None

    def words_said(self) -> str:
        """What it has said on standard error."""
        return self.words.read_text(errors="replace")


class Group:
    """The processes of one run. ``with processes(...)`` ends them."""

    def __init__(self, directory: Path) -> None:
        """``directory`` is where they run, and where their words are kept."""
        self._directory = directory
        self._started: list[Measured] = []

    def start(self, role: str, words: Sequence[str | Path]) -> Measured:
        """Start one; its standard error goes into a file of its own."""
        file = self._directory / f"{role}-{len(self._started)}.stderr"
        with file.open("wb") as stderr:
            process = subprocess.Popen(
                [str(word) for word in words],
                cwd=self._directory,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                start_new_session=True,
            )
        measured = Measured(role, process, file)
        self._started.append(measured)
        return measured

    def wait(self, measured: Measured, limit_s: float = LIMIT_S, status: int = 0) -> Usage:
        """The end of a process that ends by itself, with this exit status.

        Raises BenchError when it has another, or does not end within the limit.
        """
        usage = self._reap(measured, limit_s)
        if usage is None:
            raise BenchError(f"{measured.role} did not end within {limit_s:g} s")
        ended = measured.process.returncode
        if ended != status:
            words = measured.words_said()[-WORDS_SHOWN:]
            raise BenchError(f"{measured.role} ended with status {ended}: {words}")
        return usage

    def stop(self, measured: Measured) -> Usage:
        """End a process that would go on, and tell what it has taken."""
        measured.process.send_signal(signal.SIGTERM)
        usage = self._reap(measured, GRACE_S)
        if usage is None:
            measured.process.kill()
            usage = self._reap(measured, GRACE_S)
        if usage is None:
            raise BenchError(f"{measured.role} cannot be killed")
        return usage

    def wait_for_words(self, measured: Measured, words: str, limit_s: float = 10.0) -> None:
        """Wait until a process has said something. Raises BenchError."""
        deadline = time.monotonic() + limit_s
        while words not in measured.words_said():
            if time.monotonic() > deadline or self._reap(measured, 0) is not None:
                said = measured.words_said()[-WORDS_SHOWN:]
                raise BenchError(f"{measured.role} never said {words!r}: {said}")
            time.sleep(0.002)

    def end_all(self) -> None:
        """End what is still running, and whatever it has started."""
        for measured in self._started:
            if measured.usage is None:
                with suppress(ProcessLookupError):
                    os.killpg(measured.process.pid, signal.SIGKILL)
                self._reap(measured, GRACE_S)

    @staticmethod
    def _reap(measured: Measured, limit_s: float) -> Usage | None:
        """Wait for a process's end and keep what it took; None when it goes on."""
        if measured.usage is not None:
            return measured.usage
        pid = measured.process.pid
        handle = os.pidfd_open(pid)
        try:
            if not select.select([handle], [], [], limit_s)[0]:
                return None
        finally:
            os.close(handle)
        _, status, taken = os.wait4(pid, 0)
        measured.process.returncode = os.waitstatus_to_exitcode(status)
        measured.usage = Usage(taken.ru_utime + taken.ru_stime, taken.ru_maxrss * 1024)
        return measured.usage


@contextmanager
def processes(directory: Path) -> Iterator[Group]:
    """Processes that are ended with the block, however it ends."""
    group = Group(directory)
    try:
        yield group
    finally:
        group.end_all()
