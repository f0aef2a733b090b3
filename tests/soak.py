"""Loads on many simulated nodes, of which some misbehave, again and again in one process.

``python -m tests.soak -n 200 --runs 20`` takes minutes; the suite has a short one. Each run's
report must be right for every node, and nothing may be left or grow: descriptors, threads and
memory of the loading process and of the testbed, links, locks, processes.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imaging.errors import Reason
from imaging.site.locks import LockDirectory
from imaging.testbed.layout import Layout
from tests.commands import Commands, processes_of, wait_for

NODES_PER_S = 25  # that two cores simulate without being late themselves
SHARE = 0.1  # of the nodes misbehave in a run
GROWTH_LIMIT = 0.1  # of a process's memory, in the whole soak after the first runs
BLOCKS_LIMIT = 0.01  # of the blocks that Python has allocated
IDLE_THREADS = 4  # of trio's, which end when nothing has come for 10 s
SETTLED = 3  # runs, after which a process has all that it keeps

# what must come of each: None is a node that is fine all the same
FAULTS: Mapping[str, frozenset[Reason | None]] = {
    "cmc=refuse": frozenset({Reason.NO_CMC}),
    "cmc=refuse*1": frozenset({None}),
    "cmc=hang": frozenset({Reason.NO_CMC}),
    "cmc=slow-drip": frozenset({Reason.NO_CMC}),
    "cmc=garbage": frozenset({Reason.NO_CMC}),
    "cmc=http-500": frozenset({Reason.POWER_REFUSED}),
    "cmc=wrong-status": frozenset({Reason.POWER_REFUSED}),
    "cmc=ignore-reset*1": frozenset({None}),
    "boot=never": frozenset({Reason.NO_TELNET}),
    "boot=slow:1": frozenset({None}),
    "boot=old-ramdisk": frozenset({Reason.RESET_IGNORED}),
    "boot=old-system": frozenset({Reason.RESET_IGNORED}),
    "telnet=silent": frozenset({Reason.NOT_OUR_RAMDISK}),
    "telnet=login": frozenset({Reason.NOT_OUR_RAMDISK}),
    "telnet=garbage": frozenset({Reason.NOT_OUR_RAMDISK}),
    "telnet=no-negotiation": frozenset({Reason.NOT_OUR_RAMDISK}),
    "telnet=flood": frozenset({Reason.NOT_OUR_RAMDISK}),
    "telnet=drop": frozenset({Reason.CONSOLE_LOST}),
    "power=cut": frozenset({Reason.STALLED}),
    "disk=missing": frozenset({Reason.NO_DISK}),
    "disk=small:1048576": frozenset({Reason.DISK_TOO_SMALL}),
    "client=missing": frozenset({Reason.FRISBEE_FAILED}),
    "client=fail:7": frozenset({Reason.FRISBEE_FAILED}),
    "client=stall": frozenset({Reason.STALLED}),
    "client=killed": frozenset({Reason.FRISBEE_FAILED}),
}

# one process that loads as often as it is told, and tells its exit code and its memory each time
LOADER = """
import gc, sys
from imaging.cli.load import command
for line in sys.stdin:
    code = command.main([*sys.argv[1:], "--report", line.strip()], standalone_mode=False)
    gc.collect()
    print(code, sys.getallocatedblocks(), flush=True)
"""


@dataclass(frozen=True)
class Condition:
    """How a process is doing: counts, and kB of memory that are its own."""

    descriptors: int
    threads: int
    memory_kb: int


def condition_of(process: int) -> Condition:
    """As /proc tells."""
    status = dict(
        line.split(":", 1) for line in Path(f"/proc/{process}/status").read_text().splitlines()
    )
    return Condition(
        len(os.listdir(f"/proc/{process}/fd")),
        int(status["Threads"]),
        int(status["RssAnon"].split()[0]),
    )


@contextmanager
def simulated_testbed(
    directory: Path, nodes: int, *, patience_s: float = 15.0, boot_s: float = 1.0
) -> Iterator[Commands]:
    """A testbed of simulated nodes, whose ramdisks are waited for ``patience_s`` seconds."""
    directory.mkdir(exist_ok=True)
    commands = Commands(directory, directory)
    boot = (f"--ramdisk-boot={boot_s}", f"--os-boot={1.5 * boot_s}")
    words = ("--simulate", "--background", "--disk-size=32", *boot)
    done = commands.run("imaging-testbed", "up", directory, "-n", str(nodes), *words)
    assert done.returncode == 0, done.stderr
    config = directory / "imaging.conf"
    text = config.read_text()
    grace_s, shell_s = patience_s / 3, patience_s / 5
    changes = {
        "reset_grace_s = 5": f"reset_grace_s = {grace_s}\nshell_timeout_s = {shell_s}",
        "timeout_s = 30": f"timeout_s = {patience_s}",
        "[multicast]": "[multicast]\nstall_timeout_s = 5",
    }
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new, 1)
    config.write_text(text)
    try:
        yield commands
    finally:
        commands.run("imaging-testbed", "down", directory)


class Soak:
    """Runs on one testbed, of one loading process."""

    def __init__(self, testbed: Commands, seed: int) -> None:
        """The faults are those of the seed."""
        self.testbed = testbed
        self.random = random.Random(seed)
        layout = Layout(testbed.directory)
        self.nodes = [node.name for node in layout.inventory()]
        self.testbed_process = int(layout.lock_file.read_text())
        self.locks = LockDirectory(testbed.directory / "locks")
        self.conditions: list[Condition] = []  # of the loading process, after each run
        self.blocks: list[int] = []  # of Python's memory that it holds then
        self.rested: list[Condition] = []  # of the testbed, all nodes switched off
        self.loader = subprocess.Popen(
            [sys.executable, "-c", LOADER, "-q", "-i", "sample", "-t", "100000", "-a"],
            cwd=testbed.directory,
            # what the C library keeps for each thread is no leak, and hides one
            env={**testbed.environment, "MALLOC_ARENA_MAX": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def close(self) -> None:
        """End the loading process."""
        self.loader.communicate()

    def run(self, share: float = SHARE) -> str:
        """One run, checked, in which so many of the nodes misbehave; gives a line about it."""
        faulty = self.random.sample(self.nodes, round(len(self.nodes) * share))
        faults = {node: self.random.choice([*FAULTS]) for node in faulty}
        self.testbed.clear_faults()
        for node, fault in faults.items():
            kind, _, what = fault.partition("=")
            self.testbed.set_fault(node, **{kind: what})
        report_file = self.testbed.directory / "soak-report.json"
        report_file.unlink(missing_ok=True)
        assert self.loader.stdin is not None
        assert self.loader.stdout is not None
        self.loader.stdin.write(f"{report_file}\n")
        self.loader.stdin.flush()
        code, blocks = map(int, self.loader.stdout.readline().split())
        self.blocks.append(blocks)
        report = json.loads(report_file.read_text())
        failed = self._check_nodes(report, faults)
        assert code == (1 if failed else 0)
        self._check_traces()
        now = condition_of(self.loader.pid)
        self.conditions.append(now)
        if len(self.conditions) == SETTLED:
            self._rest()
        return (
            f"{report['elapsed']:.1f} s, {len(self.nodes) - failed} nodes fine, {failed} failed "
            f"of {len(faults)} faulty; {now.descriptors} descriptors, {now.threads} threads, "
            f"{now.memory_kb} kB, {blocks} blocks"
        )

    def _rest(self) -> None:
        """Have all nodes off, so that the testbed holds nothing that depends on them."""
        self.testbed.clear_faults()
        done = self.testbed.run("imaging-off", "-a")
        assert done.returncode == 0, done.stderr
        self.rested.append(condition_of(self.testbed_process))

    def _check_nodes(self, report: dict[str, Any], faults: dict[str, str]) -> int:
        """See that the report is right for each node; gives how many have failed."""
        rows = {row["node"]: row for row in report["nodes"]}
        assert list(rows) == self.nodes
        failed = 0
        for name, row in rows.items():
            reason = None if row["reason"] is None else Reason(row["reason"])
            assert (reason is None) == (row["outcome"] == "ok")
            allowed = FAULTS[faults[name]] if name in faults else frozenset({None})
            assert reason in allowed, f"{name} ({faults.get(name)}): {row}"
            failed += reason is not None
        return failed

    def _check_traces(self) -> None:
        directory = self.testbed.directory
        assert self.testbed.links() == []
        wait_for(lambda: processes_of("imaging-frisbee", directory) == [], limit_s=3)
        wait_for(lambda: not any(self.locks.holder(name) for name in self.nodes), limit_s=1)
        assert not [*directory.glob(".shared-*")]

    def check_growth(self) -> bool:
        """See that neither process has grown since it has settled; False: too few runs to tell."""
        if len(self.conditions) <= SETTLED:
            return False
        self._rest()
        for series in (self.conditions[SETTLED - 1 :], self.rested):
            first, last = series[0], series[-1]
            assert last.descriptors <= first.descriptors, series
            assert last.threads <= first.threads + IDLE_THREADS, series
            grown = last.memory_kb - first.memory_kb
            assert grown <= GROWTH_LIMIT * first.memory_kb, series
        settled = self.blocks[SETTLED - 1 :]
        assert settled[-1] <= settled[0] * (1 + BLOCKS_LIMIT), settled
        return True


def main() -> None:
    """Soak as long as told."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("-n", "--nodes", type=int, default=200)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="imaging-soak-") as name,
        simulated_testbed(
            Path(name), options.nodes, patience_s=max(15.0, options.nodes / NODES_PER_S)
        ) as testbed,
        closing(Soak(testbed, options.seed)) as soak,
    ):
        # a reset that is ignored can be told by the system that goes on: first, all have one
        print(f"without faults: {soak.run(0)}", flush=True)
        for number in range(options.runs):
            print(f"run {number + 1}: {soak.run()}", flush=True)
        compared = soak.check_growth()
    print("nothing is left", "and nothing has grown" if compared else "(too few runs for growth)")


if __name__ == "__main__":
    main()
