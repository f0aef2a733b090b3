"""imaging-monitor as its users meet it: the installed command against a running virtual testbed."""

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from imaging.site.user import login_name
from tests.commands import Commands
from tests.monitored import Watching, looking_often, nodes_to_watch

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module", autouse=True)
def loaded(shared_testbed: Commands) -> Iterator[None]:
    with nodes_to_watch(shared_testbed, "of-the-monitor"):
        yield


@pytest.fixture
def fast(testbed: Commands) -> Iterator[Commands]:
    with looking_often(testbed):
        yield testbed


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
    image = watching.until("fit04", condition="up")["image"]
    assert load.wait(20) == 0
    if image is None:  # the history may be read before ssh answers, or after
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


def test_a_sidecar_that_is_not_there_is_told_at_the_end(fast: Commands) -> None:
    url = "ws://127.0.0.1:1/"
    done = fast.run("imaging-monitor", "-t", "1", "--sidecar", url, "1")
    assert done.returncode == 0
    assert "fit01: up" in done.stdout
    assert done.stderr == (f"imaging-monitor: the sidecar {url} was not told: connection refused\n")


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
