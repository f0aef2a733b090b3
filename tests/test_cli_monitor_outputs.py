"""Where imaging-monitor shows what it sees, and what if nobody looks at it there."""

import subprocess
import time
import urllib.request
from collections.abc import Iterator

import pytest

from tests.commands import Commands, wait_for
from tests.monitored import looking_often, nodes_to_watch
from tests.terminals import terminal
from tests.unread import unread

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module", autouse=True)
def loaded(shared_testbed: Commands) -> Iterator[None]:
    with nodes_to_watch(shared_testbed, "of-the-outputs"):
        yield


@pytest.fixture
def fast(testbed: Commands) -> Iterator[Commands]:
    with looking_often(testbed):
        yield testbed


@pytest.mark.parametrize("kind", ["pipe", "terminal"])
def test_an_output_that_takes_nothing_stops_no_probe(fast: Commands, kind: str) -> None:
    with unread(kind) as output:
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
