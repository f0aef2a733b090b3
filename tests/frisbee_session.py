"""Real frisbee servers and clients, as processes, over multicast on loopback."""

import os
import random
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.commands import BIN

LIMIT_S = 30.0
Process = subprocess.Popen[str]


def address(number: int) -> str:
    """A loopback address for participant ``number``; 254 is the server's."""
    return f"127.77.{os.getpid() % 250}.{number}"


@dataclass(slots=True)
class FrisbeeSession:
    """A group and a port of its own, and the processes that were started on it."""

    directory: Path
    port: int = field(default_factory=lambda: random.randint(30000, 49999))
    group: str = field(
        default_factory=lambda: f"239.77.{os.getpid() % 250}.{random.randint(1, 254)}"
    )
    server_tool: str = str(BIN / "imaging-frisbeed")
    client_tool: str = str(BIN / "imaging-frisbee")
    processes: list[Process] = field(default_factory=list)

    def where(self, number: int) -> list[str]:
        """The options that say where the session takes place."""
        return ["-i", address(number), "-m", self.group, "-p", str(self.port)]

    def start(self, *words: str | Path) -> Process:
        """Start a process with its standard error in a file of its own, see ``words_of``."""
        with self._words_file(len(self.processes)).open("w") as stderr:
            process = subprocess.Popen(
                [str(word) for word in words],
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                text=True,
            )
        self.processes.append(process)
        return process

    def server(self, image: Path, *options: str) -> Process:
        """Start a server, and wait until it serves."""
        process = self.start(
            self.server_tool, "-d", "-W", "1000000000", *self.where(254), *options, image
        )
        self.wait_for_words(process, "Using Multicast")
        return process

    def client(self, number: int, output: str | Path, *options: str) -> Process:
        """Start a client."""
        return self.start(self.client_tool, *self.where(number), *options, output)

    def _words_file(self, index: int) -> Path:
        return self.directory / f"process-{index}.stderr"

    def words_of(self, process: Process) -> str:
        """What a process has said so far."""
        return self._words_file(self.processes.index(process)).read_text()

    def wait_for_words(self, process: Process, words: str) -> None:
        """Wait until a process has said something."""
        deadline = time.monotonic() + LIMIT_S
        while words not in self.words_of(process):
            assert process.poll() is None, self.words_of(process)
            assert time.monotonic() < deadline, self.words_of(process)
            time.sleep(0.005)

    def end_of(self, process: Process) -> tuple[int, str]:
        """The exit status of a process that ends by itself, and what it said."""
        status = process.wait(LIMIT_S)
        return status, self.words_of(process)


@contextmanager
def frisbee_session(directory: Path) -> Iterator[FrisbeeSession]:
    """A session whose processes are ended with the block."""
    session = FrisbeeSession(directory)
    try:
        yield session
    finally:
        for process in session.processes:
            process.kill()
            process.wait()
