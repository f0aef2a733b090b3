"""What the tests of the monitor share: nodes to watch, and a monitor that watches them."""

import json
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jsonschema

from imaging.monitor.schema import FILE
from tests.commands import Commands
from tests.report_samples import DOCS

UNTIL_LIMIT_S = 30.0
SCHEMA = json.loads((DOCS / FILE).read_text())


@contextmanager
def nodes_to_watch(testbed: Commands, history: str) -> Iterator[None]:
    """Nodes 1 to 3 have a system to boot, node 4 has none; earlier loads are in other histories."""
    with testbed.setting("file = history.sqlite", f"file = {history}.sqlite"):
        done = testbed.run("imaging-load", "-i", "sample", "1-3")
        assert done.returncode == 0, done.stderr
        testbed.make_blank("fit04")
        yield


def wait_for_systems(testbed: Commands) -> None:
    """Until those that have one have booted it."""
    assert testbed.run("imaging-wait", "-s", "-t", "20", "1-3").returncode == 0


@contextmanager
def looking_often(testbed: Commands) -> Iterator[Commands]:
    """The systems are up, and monitors look at nodes often."""
    wait_for_systems(testbed)
    with (
        testbed.setting("cycle_s = 0.5", "cycle_s = 0.05"),
        testbed.setting("probe_timeout_s = 1", "probe_timeout_s = 0.5"),
    ):
        yield testbed


class Watching:
    """A monitor that runs, and the lines of its --events."""

    def __init__(self, commands: Commands, *words: str) -> None:
        """Start it."""
        self.process = commands.start("imaging-monitor", "--events", "-", *words)
        self.lines: list[dict[str, Any]] = []

    def until(self, node: str, **wanted: object) -> dict[str, Any]:
        """Read on until a node is said to be so."""
        assert self.process.stdout is not None
        late = threading.Timer(UNTIL_LIMIT_S, self.process.kill)  # which ends the lines
        late.start()
        try:
            for text in self.process.stdout:
                line = json.loads(text)
                jsonschema.validate(line, SCHEMA)
                self.lines.append(line)
                found: dict[str, Any] = line.get("node", {})
                if found.get("name") == node and all(found[key] == wanted[key] for key in wanted):
                    return found
        finally:
            late.cancel()
        raise AssertionError(f"never seen: {node} {wanted}; {self.lines[-3:]}")

    def until_all(self, nodes: list[str], power: str) -> None:
        """Read on until each of these nodes has been said to be so, in any order."""
        for node in nodes:
            told = [line["node"] for line in self.lines if line.get("node", {}).get("name") == node]
            if not any(found["power"] == power for found in told):
                self.until(node, power=power)

    def end(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, float]:
        """End it; its exit code, and the seconds that it has taken."""
        started = time.monotonic()
        self.process.send_signal(number)
        rest, errors = self.process.communicate(timeout=10)
        assert errors == ""
        self.lines.extend(map(json.loads, rest.splitlines()))
        return self.process.returncode, time.monotonic() - started
