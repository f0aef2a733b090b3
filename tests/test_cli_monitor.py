"""imaging-monitor as its users meet it: the installed command against a running virtual testbed."""

import json
import os
import pty
import re
import signal
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from imaging.monitor.schema import FILE, monitor_schema
from imaging.monitor.testbed import Condition
from imaging.site.user import login_name
from tests.commands import Commands, wait_for
from tests.report_samples import DOCS
from tests.terminals import terminal

pytestmark = pytest.mark.e2e

UNTIL_LIMIT_S = 30.0
SCHEMA = json.loads((DOCS / "monitor.schema.json").read_text())


@pytest.fixture(scope="module", autouse=True)
def loaded(shared_testbed: Commands) -> Iterator[None]:
    """Nodes 1 to 3 have a system to boot, node 4 has none, and of earlier loads nobody knows."""
    with shared_testbed.setting("file = history.sqlite", "file = of-the-monitor.sqlite"):
        done = shared_testbed.run("imaging-load", "-i", "sample", "1-3")
        assert done.returncode == 0, done.stderr
        shared_testbed.make_blank("fit04")
        yield


@pytest.fixture
def fast(testbed: Commands) -> Iterator[Commands]:
    """Their systems are up, and nodes are looked at often."""
    assert testbed.run("imaging-wait", "-s", "-t", "20", "1-3").returncode == 0
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


def once(commands: Commands, *words: str) -> tuple[int, dict[str, dict[str, Any]]]:
    done = commands.run("imaging-monitor", "--once", "--json", *words)
    assert done.stderr == ""
    document = json.loads(done.stdout)
    assert sum(document["counts"].values()) == len(document["nodes"])
    return done.returncode, {node["name"]: node for node in document["nodes"]}


def test_once_tells_each_node(fast: Commands) -> None:
    fast.order("fit02", "off")
    (fast.directory / "nodes/fit03/stamp").write_text("2026 - image handmade - node fit03\n")
    try:
        code, nodes = once(fast, "1-4")
    finally:
        fast.order("fit02", "on")
        (fast.directory / "nodes/fit03/stamp").unlink()
    assert code == 0
    assert [node["condition"] for node in nodes.values()] == ["up", "off", "up", "no-ssh"]
    up = nodes["fit01"]
    assert (up["power"], up["ssh"], up["problem"]) == ("on", "up", None)
    assert (up["release"], up["kernel"]) == ("Virtual Linux 1 (loopback)", "6.1.0-virtual")
    assert up["booted"] is not None
    assert (up["image"]["name"], up["image"]["source"]) == ("sample", "history")
    assert nodes["fit03"]["image"]["name"] == "sample"  # the history is believed first
    assert nodes["fit04"]["problem"] == "ssh: connection refused"
    assert nodes["fit04"]["image"] is None


def test_once_is_a_table(fast: Commands) -> None:
    done = fast.run("imaging-monitor", "--once", "1-2")
    assert done.returncode == 0
    header, *rows = done.stdout.splitlines()
    assert header.split()[:4] == ["NODE", "STATE", "POWER", "IMAGE"]
    assert [row.split()[:4] for row in rows] == [
        ["fit01", "up", "on", "sample"],
        ["fit02", "up", "on", "sample"],
    ]
    assert done.stderr == "2 nodes: 2 up\n"


@pytest.mark.parametrize(
    ("kind", "what", "expected"),
    [
        ("cmc", "hang", {"condition": "up", "power": "no-cmc", "ssh": "up"}),
        ("cmc", "refuse", {"condition": "up", "power": "no-cmc"}),
        ("cmc", "garbage", {"condition": "up", "power": "no-cmc"}),
        ("cmc", "http-500", {"condition": "up", "power": "power-refused"}),
        ("cmc", "wrong-status", {"condition": "up", "power": "power-refused"}),
        ("cmc", "slow-drip", {"condition": "up", "power": "no-cmc"}),
        ("ssh", "refuse", {"condition": "no-ssh", "power": "on", "ssh": "silent"}),
        ("ssh", "hang", {"condition": "no-ssh", "ssh": "silent"}),
        ("ssh", "garbage", {"condition": "no-login", "ssh": "not-ssh"}),
        ("ssh", "wrong-key", {"condition": "no-login", "ssh": "no-login"}),
        ("ssh", "closes", {"condition": "no-login", "ssh": "no-login"}),
    ],
)
def test_whatever_a_node_does_is_seen_and_slows_nobody(
    fast: Commands, kind: str, what: str, expected: dict[str, str]
) -> None:
    fast.set_fault("fit02", **{kind: what})
    started = time.monotonic()
    code, nodes = once(fast, "1-3")
    assert time.monotonic() - started < 3
    assert code == (1 if kind == "cmc" else 0)
    assert {key: nodes["fit02"][key] for key in expected} == expected
    assert nodes["fit02"]["problem"]
    assert nodes["fit01"]["condition"] == nodes["fit03"]["condition"] == "up"


@pytest.mark.parametrize("what", ["silent", "login", "flood"])
def test_telnet_without_a_shell_is_no_ramdisk(fast: Commands, what: str) -> None:
    fast.set_fault("fit02", telnet=what)
    fast.boot_ramdisk("fit02")
    with fast.setting("[boot]", "[boot]\nshell_timeout_s = 0.5"):
        _, nodes = once(fast, "1-2")
        assert (nodes["fit02"]["condition"], nodes["fit02"]["ramdisk"]) == ("no-login", "no-shell")
        fast.clear_faults()
        _, nodes = once(fast, "1-2")
    assert (nodes["fit02"]["condition"], nodes["fit02"]["ramdisk"]) == ("ramdisk", "up")
    assert nodes["fit01"]["condition"] == "up"
    assert fast.run("imaging-reset", "2").returncode == 0


def test_a_dead_card_is_exit_code_1(fast: Commands) -> None:
    with fast.unreachable("fit03", "cmc"):
        done = fast.run("imaging-monitor", "--once", "1-3")
    assert done.returncode == 1
    assert "fit03  up" in done.stdout
    assert "no-cmc" in done.stdout


def test_the_life_of_a_node_is_told_in_events(fast: Commands) -> None:
    watching = Watching(fast, "1-3")
    watching.until("fit01", condition="up", power="on")
    fast.order("fit01", "off")
    off = watching.until("fit01", condition="off")
    assert (off["release"], off["booted"], off["problem"]) == (None, None, None)
    fast.order("fit01", "on")
    watching.until("fit01", power="on")
    up = watching.until("fit01", condition="up")
    assert 0.1 < up["boot_s"] < 5
    assert up["kernel"] == "6.1.0-virtual"
    code, took = watching.end()
    assert code == 0
    assert took < 1
    assert watching.lines[0]["event"] == "testbed"
    assert [node["name"] for node in watching.lines[0]["nodes"]] == ["fit01", "fit02", "fit03"]
    assert watching.lines[-1]["event"] == "ended"
    for line in watching.lines[1:-1]:
        assert line["changed"]
        assert set(line["changed"]) <= set(line["node"])


def test_a_load_is_seen(fast: Commands) -> None:
    watching = Watching(fast, "4")
    watching.until("fit04", condition="no-ssh")
    load = fast.start("imaging-load", "-i", "sample", "--wait", "4")
    watching.until("fit04", condition="ramdisk")
    watching.until("fit04", condition="up")
    assert load.wait(20) == 0
    image = watching.until("fit04", condition="up")["image"]
    assert (image["name"], image["source"]) == ("sample", "history")
    assert watching.end(signal.SIGINT)[0] == 0
    fast.make_blank("fit04")  # as it was


def test_who_holds_a_node_is_told(fast: Commands) -> None:
    with (
        fast.setting("backend = none", "backend = local"),
        fast.setting("[monitor]", "[monitor]\nlease_interval_s = 0.1"),
    ):
        watching = Watching(fast, "1-3")
        assert watching.until("fit01", condition="up")["lease"] is None
        booked = fast.run("imaging-leases", "book", "now", "+1h", "1-2")
        assert booked.returncode == 0, booked.stderr
        lease = None
        while lease is None:
            lease = watching.until("fit02")["lease"]
        assert lease["holder"] == login_name()
        _, nodes = once(fast, "2-3")
        assert (nodes["fit02"]["lease"], nodes["fit03"]["lease"]) == (lease, None)
        listed = json.loads(fast.run("imaging-leases", "--json").stdout)
        assert fast.run("imaging-leases", "cancel", str(listed[0]["id"])).returncode == 0
        watching.until("fit02", lease=None)
        assert watching.end()[0] == 0


def test_leases_that_are_not_known_are_told(fast: Commands) -> None:
    with fast.setting("backend = none", "backend = r2labapi"):  # which nobody serves here
        done = fast.run("imaging-monitor", "--once", "1")
    assert done.returncode == 0
    assert "fit01  up" in done.stdout
    assert "imaging-monitor: who holds the nodes is not known: " in done.stderr
    assert fast.setting_value("url") in done.stderr


def test_nodes_that_hang_do_not_slow_the_others(fast: Commands) -> None:
    """With the fewest places that there may be, and most nodes hanging in all ways."""
    for name in ("fit02", "fit03", "fit04", "fit05"):
        fast.set_fault(name, cmc="hang", ssh="hang")
    with fast.setting("[monitor]", "[monitor]\nprobes_at_once = 4"):
        watching = Watching(fast, "1-5")
        watching.until_all(["fit04", "fit05"], power="no-cmc")
        took = []
        for _ in range(3):
            started = time.monotonic()
            fast.order("fit01", "off")
            watching.until("fit01", condition="off")
            took.append(time.monotonic() - started)
            fast.order("fit01", "on")
            watching.until("fit01", condition="up")
        watching.end()
    assert min(took) < 0.5, took  # behind the others it would be late each time


def test_lines_for_people(fast: Commands) -> None:
    fast.set_fault("fit02", ssh="wrong-key")
    done = fast.run("imaging-monitor", "-t", "1.5", "1-2")
    assert (done.returncode, done.stderr) == (0, "")
    *lines, last = (line.partition(" ")[2] for line in done.stdout.splitlines())
    denied = "permission denied for user root on host"
    address = fast.interface("fit02", "control")["ip"]
    assert sorted(lines) == [
        "fit01: up, image sample",
        f"fit02: no-login, image sample, ssh login: {denied} {address}",
    ]
    assert last == "2 nodes: 1 no-login, 1 up"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_within_a_second_whatever_hangs(
    fast: Commands, number: signal.Signals
) -> None:
    fast.set_fault("fit02", cmc="hang", ssh="hang")
    fast.set_fault("fit03", ssh="wrong-key")
    watching = Watching(fast, "1-3")
    watching.until("fit01", condition="up")
    code, took = watching.end(number)
    assert code == 0
    assert took < 1


@contextmanager
def stopped_output(kind: str) -> Iterator[int]:
    """Something to write to that takes nothing more."""
    ends = os.pipe() if kind == "pipe" else pty.openpty()
    reading, writing = ends
    os.set_blocking(writing, False)
    try:
        while True:
            os.write(writing, b"x" * 1024)
    except BlockingIOError:
        os.set_blocking(writing, True)
    try:
        yield writing
    finally:
        os.close(reading)
        os.close(writing)


@pytest.mark.parametrize("kind", ["pipe", "terminal"])
def test_an_output_that_takes_nothing_stops_no_probe(fast: Commands, kind: str) -> None:
    with stopped_output(kind) as output:
        process = subprocess.Popen(
            ["imaging-monitor", "--events", "-", "1-3"],
            cwd=fast.directory,
            env=fast.environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.PIPE,
            text=True,
        )
        with process:
            wait_for(lambda: fast.card_requests() > 0)
            time.sleep(1)
            before = fast.card_requests()
            wait_for(lambda: fast.card_requests() > before + 20)
            started = time.monotonic()
            process.terminate()
            _, errors = process.communicate(timeout=5)
            assert time.monotonic() - started < 1
    assert process.returncode == 0
    assert errors == ("imaging-monitor: cannot write events to -: its reader does not read on\n")


def test_the_full_screen(fast: Commands) -> None:
    with terminal(100, 20) as screen:
        words = ["imaging-monitor", "-c", "1-4"]
        screen.start(*words, cwd=fast.directory, environment=fast.environment)
        screen.see("3 up")
        fast.order("fit02", "off")
        screen.see("off (1)")
        assert screen.screen.display[0].startswith("imaging-monitor  4 nodes: 1 no-ssh, 2 up, 1 o")
        screen.press("s")
        screen.see("sorted by name")
        screen.press("f")
        screen.wait_for(lambda lines: not any("fit01" in line for line in lines))
        screen.resize(40, 8)
        screen.wait_for(lambda lines: len(lines) == 8 and "fit04" in lines[2])
        screen.press("q")
        assert screen.end() == 0
        screen.assert_restored()
    fast.order("fit02", "on")


def test_a_screen_that_is_closed_or_takes_nothing_stops_no_probe(fast: Commands) -> None:
    with terminal(100, 20) as screen:
        words = ["imaging-monitor", "-c", "--events", "changes", "1-3"]
        screen.start(*words, cwd=fast.directory, environment=fast.environment)
        screen.see("3 up")
        # nobody reads the terminal any more
        before = fast.card_requests()
        wait_for(lambda: fast.card_requests() > before + 50)
        assert screen.process is not None
        started = time.monotonic()
        screen.process.terminate()
        assert screen.process.wait(5) == 0
        assert time.monotonic() - started < 1
    assert '"event":"ended"' in (fast.directory / "changes").read_text()


def test_without_a_terminal_there_are_lines(fast: Commands) -> None:
    done = fast.run("imaging-monitor", "-c", "-t", "1", "1")
    assert done.returncode == 0
    assert done.stderr.startswith("imaging-monitor: no full screen: neither standard error nor")
    assert "fit01: up" in done.stdout


def test_page_and_metrics_of_one_monitor(fast: Commands) -> None:
    process = fast.start("imaging-monitor", "-q", "--web", ":0", "--prometheus", ":0", "1-2")
    assert process.stderr is not None
    said = [process.stderr.readline() for _ in range(2)]
    (metrics,) = (line.split()[-1] for line in said if "metrics at" in line)
    (page,) = (line.split()[-1] for line in said if "page at" in line)

    def is_up() -> bool:
        with urllib.request.urlopen(metrics, timeout=5) as answer:
            return b'imaging_node_up{node="fit02"} 1.0' in answer.read()

    wait_for(is_up)
    with urllib.request.urlopen(page, timeout=5) as answer:
        assert b'data-node="fit02"' in answer.read()
    started = time.monotonic()
    process.terminate()
    assert process.wait(5) == 0
    assert time.monotonic() - started < 1


def test_a_sidecar_that_is_not_there_is_told_at_the_end(fast: Commands) -> None:
    url = "ws://127.0.0.1:1/"
    done = fast.run("imaging-monitor", "-t", "1", "--sidecar", url, "1")
    assert done.returncode == 0
    assert "fit01: up" in done.stdout
    assert done.stderr == (f"imaging-monitor: the sidecar {url} was not told: connection refused\n")


def test_when_nobody_reads_any_more_it_ends(fast: Commands) -> None:
    process = fast.start("imaging-monitor", "1-3")
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    wait_for(lambda: fast.state("fit01") == "system")
    fast.order("fit01", "off")
    assert process.wait(10) == 0
    assert process.stderr is not None
    assert process.stderr.read() == ""
    fast.order("fit01", "on")


def test_when_nobody_reads_any_more_the_page_goes_on(fast: Commands) -> None:
    process = fast.start("imaging-monitor", "--web", ":0", "1-3")
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    fast.order("fit01", "off")
    before = fast.card_requests()
    wait_for(lambda: fast.card_requests() > before + 60)
    fast.order("fit01", "on")
    assert process.poll() is None
    process.terminate()
    assert process.wait(5) == 0


def test_the_events_go_to_a_file_and_lines_to_people(fast: Commands, tmp_path: Path) -> None:
    file = tmp_path / "events"
    done = fast.run("imaging-monitor", "-t", "1", "--events", str(file), "1")
    assert done.returncode == 0
    assert "fit01: up" in done.stdout
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [lines[0]["event"], lines[-1]["event"]] == ["testbed", "ended"]
    quiet = fast.run("imaging-monitor", "-q", "-t", "0.7", "1")
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--json", "1"], "--json goes with --once"),
        (["--once", "--events", "-", "1"], "--once looks once"),
        (["-c", "--once", "1"], "-c goes neither"),
        (["fedora-21"], "is not a node"),
        (["--events", "/nowhere/at/all", "1"], "cannot write events to /nowhere/at/all"),
        ([], "no node selected"),
        (["--web", "nonsense", "1"], "--web 'nonsense' is not ADDR:PORT"),
        (["--prometheus", "192.0.2.1:80", "1"], "--prometheus: cannot listen at 192.0.2.1"),
        (["--once", "--web", "0", "1"], "--once looks once"),
        (["--sidecar", "http://host/", "1"], "is no URL of a websocket"),
    ],
)
def test_bad_input_is_refused_before_any_node_is_asked(
    testbed: Commands, words: list[str], said: str
) -> None:
    before = testbed.requests()
    done = testbed.run("imaging-monitor", *words)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert testbed.requests() == before


def test_the_schema_is_that_of_the_types() -> None:
    assert (DOCS / FILE).read_bytes() == monitor_schema(), "make schemas writes it anew"


def test_the_example_keeps_to_the_schema() -> None:
    (lines,) = re.findall(r"```jsonl\n(.*?)```", (DOCS / "monitor.md").read_text(), re.DOTALL)
    for line in lines.splitlines():
        jsonschema.validate(json.loads(line), SCHEMA)


def test_all_conditions_are_documented() -> None:
    page = (DOCS / "monitor.md").read_text()
    for condition in Condition:
        assert f"| `{condition}` |" in page
