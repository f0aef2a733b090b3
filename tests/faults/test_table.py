"""The fault table: what is wrong with a node, a command, and what must come of it.

Each row is a fault and a command, with the reason that its report must give. Rows of one command
share a run: each has a node of its own, beside two healthy ones, so that every run also shows that
one node's fault is nobody else's. After every run nothing may be left: no link, no process, no
lock, no partial image; and it may not have lasted longer than it has to.
"""

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest

from conftest import running_testbed
from imaging.errors import Reason
from imaging.site.locks import LockDirectory
from imaging.site.user import login_name
from imaging.testbed.faults import SITE
from tests.commands import Commands, processes_of
from tests.faults.table import BATCHES, ELSEWHERE, LEASES, LEASES_LIMIT_S, LOAD, SERVERS, Batch

pytestmark = pytest.mark.e2e

NODES = 14
HEALTHY = ("fit13", "fit14")
SLACK_S = 1.5  # two shared cores are not a stopwatch

# what a site would wait for minutes, is waited for seconds here
IMPATIENT = {
    "request_timeout_s = 2": "request_timeout_s = 0.7\nsettle_timeout_s = 1",
    "reset_grace_s = 5": "reset_grace_s = 1\nshell_timeout_s = 1",
    "timeout_s = 30": "timeout_s = 5",
    "[multicast]": "[multicast]\njoin_timeout_s = 2\nstall_timeout_s = 2\nready_timeout_s = 2",
    "connect_timeout_s = 5": "connect_timeout_s = 2",
    "stall_timeout_s = 10": "stall_timeout_s = 2",
    "attempt_timeout_s = 5": "attempt_timeout_s = 1\ntimeout_s = 2",
}


@dataclass
class Run:
    """What came of a batch."""

    code: int
    elapsed: float
    nodes: dict[str, dict[str, Any]]
    left: list[str]
    errors: str = ""


@dataclass
class Bed:
    """The testbed of the table, and the runs that were made on it."""

    commands: Commands
    runs: dict[str, Run] = field(default_factory=dict)

    def node_of(self, number: int) -> str:
        return f"fit{number + 1:02}"

    def run(self, words: tuple[str, ...], nodes: list[str]) -> Run:
        """Run a command, and see what it leaves."""
        started = time.monotonic()
        done = self.commands.run(*words, "--json", *nodes)
        elapsed = time.monotonic() - started
        assert done.stdout, done.stderr
        told = json.loads(done.stdout)
        rows = told["nodes"] if isinstance(told, dict) else told
        found = {row["node"]: row for row in rows}
        return Run(done.returncode, elapsed, found, self.left(), done.stderr)

    def left(self) -> list[str]:
        """All that a command must not leave: half a second later, at most."""
        directory = self.commands.directory
        locks = LockDirectory(directory / "locks")

        def found() -> list[str]:
            taken = [file.stem for file in locks.directory.iterdir() if locks.holder(file.stem)]
            return [
                *self.commands.links(),
                *map(str, processes_of("imaging-frisbeed", directory)),
                *taken,  # of nodes, and of ports
                *(e.name for e in (directory / "images").iterdir() if e.name.startswith(".")),
            ]

        deadline = time.monotonic() + 0.5
        while found() and time.monotonic() < deadline:
            time.sleep(0.02)
        return found()

    def batch(self, name: str) -> Run:
        """The run of a batch, made once."""
        if name not in self.runs:
            batch = BATCHES[name]
            self.prepare(batch)
            try:
                self.runs[name] = self._one_by_one(batch) if batch.each else self._at_once(batch)
            finally:
                self.commands.clear_faults()
                self.recover()
        return self.runs[name]

    def prepare(self, batch: Batch) -> None:
        for number, row in enumerate(batch.rows):
            if batch.command == ("imaging-on",):
                self.commands.order(self.node_of(number), "off")
            faults = dict(part.split("=", 1) for part in row.fault.split())
            self.commands.set_fault(self.node_of(number), **faults)

    def _at_once(self, batch: Batch) -> Run:
        nodes = [self.node_of(number) for number in range(len(batch.rows))]
        return self.run(batch.command, [*nodes, *HEALTHY])

    def _one_by_one(self, batch: Batch) -> Run:
        """A command for one node each; all runs are told as one, the slowest gives the time."""
        whole = Run(batch.exit_code, 0.0, {}, [])
        for number, row in enumerate(batch.rows):
            node = self.node_of(number % NODES)
            self.commands.clear_faults()
            faults = dict(part.split("=", 1) for part in row.fault.split())
            self.commands.set_fault(node, **faults)
            one = self.run((*batch.command, "--force"), [node])
            whole.nodes[str(number)] = {**one.nodes[node], "code": one.code}
            whole.elapsed = max(whole.elapsed, one.elapsed)
            whole.left += one.left
        return whole

    def recover(self) -> None:
        """Every node has power, and a whole disk."""
        names = [f"fit{number:02}" for number in range(1, NODES + 1)]
        for name in names:
            self.commands.order(name, "off")
            self.commands.order(name, "on")
        self.load_again()

    def load_again(self) -> None:
        """Give every node a whole disk, after runs that have left half-written ones."""
        self.commands.clear_faults()
        done = self.commands.run("imaging-load", "-q", "--wait", "-i", "sample", "-a")
        assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def bed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    options = ["-n14", "--disk-size=48", "--ramdisk-boot=0.2", "--os-boot=0.3", "--telnetd=mixed"]
    directory = tmp_path_factory.mktemp("faults")
    home = tmp_path_factory.mktemp("home")
    with (
        running_testbed(directory, home, *options, "--leases") as commands,
        commands.setting("privileged =", f"privileged = {login_name({})}"),
    ):
        booked = commands.run("imaging-leases", "book", "now", "+5h")
        assert booked.returncode == 0, booked.stderr
        loaded = commands.run("imaging-load", "-q", "--wait", "-i", "sample", "-a")
        assert loaded.returncode == 0, loaded.stderr
        with ExitStack() as settings:
            for old, new in IMPATIENT.items():
                settings.enter_context(commands.setting(old, new))
            yield Bed(commands)


TABLE = [
    pytest.param(name, number, id=f"{name}: {row.fault}")
    for name, batch in BATCHES.items()
    for number, row in enumerate(batch.rows)
]


def is_fine(node: dict[str, Any]) -> bool:
    return node.get("outcome") == "ok" or node.get("ok") is True


@pytest.mark.parametrize(("name", "number"), TABLE)
def test_a_fault_comes_to_what_the_table_says(bed: Bed, name: str, number: int) -> None:
    batch, run = BATCHES[name], bed.batch(name)
    row = batch.rows[number]
    node = run.nodes[str(number) if batch.each else bed.node_of(number)]
    assert node["reason"] == row.reason, node
    assert is_fine(node) == (row.reason is None)
    assert row.words in (node["message"] or "")
    if batch.each:
        assert node["code"] == (0 if row.reason is None else 1)


@pytest.mark.parametrize("name", BATCHES)
def test_a_run_with_faults_leaves_nothing_and_ends_in_time(bed: Bed, name: str) -> None:
    batch, run = BATCHES[name], bed.batch(name)
    assert run.code == batch.exit_code, run.errors
    assert run.left == []
    assert run.elapsed < batch.limit_s + SLACK_S


# a run of which the time is up may have healthy nodes that needed more
TOGETHER = [n for n, batch in BATCHES.items() if not batch.each and n != "load-timeout"]


@pytest.mark.parametrize("name", TOGETHER)
def test_healthy_nodes_are_done(bed: Bed, name: str) -> None:
    """That they are not delayed either is shown in test_delay."""
    run = bed.batch(name)
    for node in HEALTHY:
        assert is_fine(run.nodes[node])


@pytest.mark.parametrize(("server", "reason"), SERVERS.items())
def test_a_server_that_fails_fails_the_run(bed: Bed, server: str, reason: Reason) -> None:
    with bed.commands.setting("server = imaging-frisbeed", f"server = {server}"):
        run = bed.run(LOAD, ["1-3"])
    bed.load_again()
    assert run.code == 1
    assert {node["reason"] for node in run.nodes.values()} == {reason}
    assert run.left == []
    assert run.elapsed < 11 + SLACK_S


@pytest.mark.parametrize(("fault", "reason"), LEASES.items())
def test_leases_that_are_not_known_are_not_the_same_as_none(
    bed: Bed, fault: str, reason: Reason | None
) -> None:
    kind, _, what = fault.partition("=")
    bed.commands.set_fault(SITE, **{kind: what})
    before = bed.commands.card_requests()
    try:
        with bed.commands.setting(f"privileged = {login_name({})}", "privileged ="):
            run = bed.run(("imaging-reset",), list(HEALTHY))
    finally:
        bed.commands.clear_faults()
    assert run.code == (0 if reason is None else 1), run.errors
    assert {node["reason"] for node in run.nodes.values()} == {reason}
    assert (bed.commands.card_requests() > before) == (reason is None)
    assert bed.commands.setting_value("url") in run.errors or reason is None
    assert run.left == []
    assert run.elapsed < LEASES_LIMIT_S + SLACK_S


def test_the_table_is_long_enough_and_has_every_reason() -> None:
    rows = [row for batch in BATCHES.values() for row in batch.rows]
    assert len(rows) + len(SERVERS) >= 60
    assert {row.reason for row in rows} | set(SERVERS.values()) | set(
        LEASES.values()
    ) | ELSEWHERE >= set(Reason)
