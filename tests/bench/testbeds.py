"""Virtual testbeds of simulated nodes, and the product's commands in them."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from imaging.testbed.layout import Layout
from imaging.testbed.lock import running_process
from tests.bench.processes import LIMIT_S, BenchError, Group, Measured, processes
from tests.bench.statistics import Sample
from tests.bench.tools import BIN
from tests.commands import user_environment

RAMDISK_BOOT_S, SYSTEM_BOOT_S = 4.0, 5.0
DISK_MIB = 32
START_LIMIT_S = 120.0
_CLIENT = re.compile(r"shared client .*: status 0 after ([0-9.]+) s")


class Testbed:
    """A testbed that runs. ``with running_testbed(...)`` ends it."""

    __test__ = False  # not a test class, whatever pytest thinks of its name

    def __init__(self, directory: Path, nodes: int, prefix: Sequence[str] = ()) -> None:
        """``directory`` is the testbed's own; ``prefix`` comes before commands, to be there."""
        self.directory = directory
        self.nodes = nodes
        self._prefix = prefix
        self._log = directory / "testbed.log"

    def client_seconds(self) -> float:
        """How long the last frisbee client took. Raises BenchError."""
        found = self._clients()
        if not found:
            raise BenchError("no frisbee client has run in the testbed")
        return float(found[-1])

    def cpu_s(self) -> float:
        """The CPU seconds that the testbed's own process has taken so far."""
        process = running_process(Layout(self.directory))
        if process is None:
            raise BenchError("the testbed has ended")
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def clients(self) -> int:
        """How many frisbee clients have run well."""
        return len(self._clients())

    def _clients(self) -> list[str]:
        return _CLIENT.findall(self._log.read_text())

    def run(self, *words: str, limit_s: float = LIMIT_S) -> Sample:
        """A command of the product, to its good end."""
        with processes(self.directory) as group:
            began = time.monotonic()
            usage = group.wait(self._start(group, words), limit_s)
            return Sample(time.monotonic() - began, {"command": usage})

    def run_late(self, seconds: float, *words: str) -> Sample:
        """A command that ends by its timeout: what it takes beyond that."""
        with processes(self.directory) as group:
            began = time.monotonic()
            started = self._start(group, [*words, "-t", str(seconds)])
            usage = group.wait(started, seconds + LIMIT_S, status=1)
            return Sample(time.monotonic() - began - seconds, {"command": usage})

    def run_and_stop(self, seconds: float, *words: str) -> Sample:
        """A command that is told to stop after so long: from the signal to its end."""
        with processes(self.directory) as group:
            started = self._start(group, words)
            time.sleep(seconds)
            began = time.monotonic()
            started.process.send_signal(signal.SIGTERM)
            usage = group.wait(started, status=1)
            return Sample(time.monotonic() - began, {"command": usage})

    def _start(self, group: Group, words: Sequence[str]) -> Measured:
        # a command of ours, or one with its whole path
        return group.start("command", [*self._prefix, BIN / words[0], *words[1:]])


@contextmanager
def running_testbed(
    directory: Path,
    nodes: int,
    *,
    ramdisk_boot_s: float = RAMDISK_BOOT_S,
    prefix: Sequence[str] = (),
    real_ports: bool = False,
) -> Iterator[Testbed]:
    """A testbed of simulated nodes for as long as the block lasts.

    With a ``prefix``, it is where that takes its commands. Raises BenchError.
    """
    directory.mkdir()
    words = (
        "up",
        str(directory),
        f"--nodes={nodes}",
        "--simulate",
        "--background",
        f"--disk-size={DISK_MIB}",
        f"--ramdisk-boot={ramdisk_boot_s}",
        f"--os-boot={SYSTEM_BOOT_S}",
        *(["--real-ports"] if real_ports else []),
    )
    _testbed_command(directory, prefix, *words)
    try:
        yield Testbed(directory, nodes, prefix)
    finally:
        _testbed_command(directory, (), "down", str(directory))


def _testbed_command(directory: Path, prefix: Sequence[str], *words: str) -> None:
    done = subprocess.run(
        [*prefix, sys.executable, "-m", "imaging", "testbed", *words],
        env=user_environment(directory),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=START_LIMIT_S,
        check=False,
    )
    if done.returncode != 0:
        raise BenchError(f"imaging-testbed {words[0]}: {done.stderr.strip()}")
