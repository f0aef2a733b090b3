"""The displays as people meet them: the installed command in a terminal, against the testbed."""

import os
import re
import signal
import subprocess
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

import pytest

from tests.commands import Commands, children_of
from tests.terminals import Terminal, terminal

pytestmark = pytest.mark.e2e
SIZES = [(80, 24), (40, 12), (200, 60)]
CTRL_C = "\x03"
# a run whose operation has a bug, by the way that every command goes
BUG = """
import sys
import trio
from imaging.cli.runs import run_operation
from imaging.cli.wishes import CommonOptions
from imaging.feedback.results import Results
from imaging.operations.preflight import plan_wait

def prepare(site):
    return plan_wait(
        site.settings, site.inventory.nodes, telnet=False, user=None, backoff_s=None,
        uptime_below=None,
    )

async def operate(plan, emit):
    await trio.sleep(0.5)
    print("a word on the way")
    raise RuntimeError("a bug")

options = CommonOptions(live=True)
sys.exit(run_operation("a-test", options, prepare, operate, lambda _: 60, Results()))
"""


@contextmanager
def running(
    testbed: Commands, size: tuple[int, int], *words: str, **environment: str
) -> Iterator[Terminal]:
    """A command in a terminal of that size."""
    with terminal(*size) as shown:
        shown.start(
            *words, cwd=testbed.directory, environment={**testbed.environment, **environment}
        )
        yield shown


@pytest.mark.parametrize("size", SIZES)
def test_a_load_on_the_full_screen(testbed: Commands, size: tuple[int, int]) -> None:
    with running(testbed, size, "imaging-load", "-c", "-i", "sample", "1-3") as shown:
        shown.see("imaging-load: load sample")
        assert shown.screen.is_alternate
        shown.see("fit03 transfer")
        assert shown.end() == 0
        shown.assert_restored()
        (line,) = shown.screen.readable()
        assert re.fullmatch(r"imaging-load: 3 of 3 nodes done in \d+\.\d s", line)


def test_a_failure_is_told_on_the_normal_screen(testbed: Commands) -> None:
    words = ["imaging-load", "--live", "-i", "sample", "1-2"]
    with testbed.unreachable("fit02", "cmc"), running(testbed, (80, 24), *words) as shown:
        shown.see("fit02 FAILED")
        assert shown.end() == 1
        shown.assert_restored()
        assert shown.screen.readable()[0].startswith("fit02: FAILED at power (no-cmc)")


def test_keys_a_resize_and_a_question(testbed: Commands) -> None:
    words = ["imaging-load", "-c", "-i", "sample", "1-3"]
    with (
        testbed.unreachable("fit02", "control"),
        testbed.unreachable("fit03", "cmc"),
        running(testbed, (80, 24), *words) as shown,
    ):
        shown.see("fit03 FAILED")
        shown.press("f")
        shown.wait_for(lambda lines: not any("fit02" in line for line in lines))
        shown.press("f")
        shown.see("fit02 boot")
        shown.press("\x1b[B\r")
        shown.see("FAILED at power (no-cmc)")
        shown.resize(40, 12)
        shown.wait_for(lambda lines: lines[1:2] == ["fit03 FAILED    0:00 power: no-cmc: its"])
        shown.press("\x1b")
        shown.see("failed 1")
        shown.resize(200, 60)
        shown.wait_for(lambda lines: len(lines) == 60)
        shown.press(CTRL_C)
        shown.see("Interrupt the run?")
        shown.press("n")
        shown.see("q interrupt")
        shown.press(CTRL_C)
        shown.see("Interrupt the run?")
        shown.press(CTRL_C)
        assert shown.end() == 1
        shown.assert_restored()
        assert any("interrupted by SIGINT" in line for line in shown.screen.readable())
    assert testbed.links() == []


def test_q_and_yes_interrupt_as_ctrl_c_does(testbed: Commands) -> None:
    words = ["imaging-wait", "-c", "2"]
    with testbed.unreachable("fit02", "control"), running(testbed, (80, 24), *words) as shown:
        shown.see("connection refused")
        shown.press("q")
        shown.see("Interrupt the run?")
        shown.press("y")
        assert shown.end() == 1
        shown.assert_restored()
        assert "fit02: ssh KO (interrupted: interrupted by SIGINT" in shown.screen.readable()[0]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_restores_the_terminal(testbed: Commands, number: signal.Signals) -> None:
    words = ["imaging-load", "-c", "-i", "sample", "1-2"]
    with testbed.unreachable("fit02", "control"), running(testbed, (80, 24), *words) as shown:
        shown.see("fit02 boot")
        assert shown.process is not None
        shown.process.send_signal(number)
        assert shown.end() == 1
        shown.assert_restored()
        assert any(f"interrupted by {number.name}" in line for line in shown.screen.readable())
    assert testbed.links() == []


def test_a_signal_that_ends_the_process_restores_the_terminal(testbed: Commands) -> None:
    words = ["imaging-wait", "-c", "2"]
    with testbed.unreachable("fit02", "control"), running(testbed, (80, 24), *words) as shown:
        shown.see("connection refused")
        assert shown.process is not None
        shown.process.send_signal(signal.SIGQUIT)
        assert shown.end() == -signal.SIGQUIT
        shown.assert_restored()


def test_a_killed_command_leaves_the_terminal_as_it_was(testbed: Commands) -> None:
    shell = ["sh", "-c", "imaging-wait -c 2; sleep 0.5; echo status $?; read line"]
    with testbed.unreachable("fit02", "control"), running(testbed, (80, 24), *shell) as shown:
        shown.see("connection refused")
        assert shown.screen.is_alternate
        assert termios.tcgetattr(shown.slave) != shown.attributes
        assert shown.process is not None
        (command,) = children_of(shown.process.pid)
        os.kill(command, signal.SIGKILL)
        shown.see("status")
        shown.assert_restored()


def test_the_attributes_that_a_shell_has_set_meanwhile_are_left_alone(testbed: Commands) -> None:
    shell = ["sh", "-c", "imaging-wait -c 2; stty tostop; sleep 0.5; echo status $?; read line"]
    with testbed.unreachable("fit02", "control"), running(testbed, (80, 24), *shell) as shown:
        shown.see("connection refused")
        assert shown.process is not None
        (command,) = children_of(shown.process.pid)
        guards = children_of(command)
        assert guards
        for guard in guards:
            os.kill(guard, signal.SIGSTOP)  # until the shell has the terminal again
        os.kill(command, signal.SIGKILL)
        shown.wait_for(lambda _: bool(termios.tcgetattr(shown.slave)[3] & termios.TOSTOP))
        theirs = termios.tcgetattr(shown.slave)
        for guard in guards:
            os.kill(guard, signal.SIGCONT)
        shown.wait_for(lambda _: not shown.screen.is_alternate)
        assert termios.tcgetattr(shown.slave) == theirs


def test_a_bug_restores_the_terminal_and_is_told(testbed: Commands) -> None:
    with running(testbed, (80, 24), "python", "-c", BUG) as shown:
        shown.see("timeout in")
        assert shown.end() == 1
        shown.assert_restored()
        lines = shown.screen.readable()
        assert lines[0] == "a word on the way"
        assert lines[1].startswith("a-test: internal error: RuntimeError('a bug'); the traceback")


def test_without_colour_there_is_none(testbed: Commands) -> None:
    words = ["imaging-load", "-c", "-i", "sample", "1-2"]
    with (
        testbed.unreachable("fit02", "cmc"),
        running(testbed, (80, 24), *words, NO_COLOR="1") as shown,
    ):
        shown.see("fit02 FAILED")
        assert shown.end() == 1
    assert b"\x1b[?1049h" in shown.written
    assert not re.search(rb"\x1b\[(3[0-9]|4[0-9]|9[0-7])[;m]", shown.written)


def test_without_a_keyboard_or_a_terminal_the_usual_display_is_there(testbed: Commands) -> None:
    done = testbed.run("imaging-load", "-c", "-i", "sample", "1")
    first, *others = done.stderr.splitlines()
    assert done.returncode == 0
    assert first == ("no full screen: neither standard error nor standard output is a terminal")
    assert any("transfer: 1/1 nodes" in line for line in others)
    with terminal(80, 24) as shown:
        shown.start(
            *("imaging-load", "-c", "-i", "sample", "1"),
            cwd=testbed.directory,
            environment=testbed.environment,
            stdin=subprocess.DEVNULL,
        )
        assert shown.end() == 0
        assert shown.screen.readable()[0] == "no full screen: standard input is not a terminal"
    assert b"\x1b[?1049h" not in shown.written


@pytest.mark.parametrize("kind", ["dumb", "", "no-such-terminal"])
def test_a_terminal_that_can_do_nothing_has_one_bar(testbed: Commands, kind: str) -> None:
    words = ["imaging-load", "-c", "-i", "sample", "1-2"]
    with running(testbed, (80, 24), *words, TERM=kind) as shown:
        assert shown.end() == 0
    assert b"\x1b" not in shown.written
    first, second, bar, last = shown.screen.readable()
    assert first == f"no full screen: the terminal {kind or '(no $TERM)'} cannot do it"
    assert second.startswith("load sample (")
    assert bar.startswith("[########################] 100%")
    assert last.startswith("imaging-load: 2 of 2 nodes done")


@pytest.mark.parametrize("size", [*SIZES, (0, 0)])
def test_on_a_terminal_there_is_a_region(testbed: Commands, size: tuple[int, int]) -> None:
    columns = size[0] or 80
    words = ["imaging-load", "-i", "sample", "1-3"]
    with testbed.unreachable("fit02", "cmc"), terminal(columns, size[1] or 24) as shown:
        shown.resize(columns, size[1] or 24)
        shown.start(*words, cwd=testbed.directory, environment=testbed.environment)
        shown.see("fit03 transfer")
        assert shown.end() == 1
        shown.assert_restored()
    text = "".join(line.ljust(columns) for line in shown.screen.readable())
    text = re.sub(" +", " ", text)
    assert "\x1b[?1049h" not in text
    order = ["load sample (", "fit02: FAILED at power", "] 100%", "elapsed", "2 of 3 nodes done"]
    if columns == 40:
        order = order[2:]  # the others have been scrolled away
    places = [text.index(words) for words in order]
    assert all(before < after for before, after in pairwise(places)), text
    assert text.count("elapsed") == 1


def test_a_region_that_is_resized_leaves_nothing_behind(testbed: Commands) -> None:
    words = ["imaging-load", "-i", "sample", "1-3"]
    with testbed.unreachable("fit02", "control"), running(testbed, (80, 24), *words) as shown:
        shown.see("fit02 boot")
        shown.resize(50, 20)
        shown.see("fit02 boot")
        shown.resize(120, 30)
        shown.see("fit02 boot")
        shown.press(CTRL_C)  # it does not ask
        assert shown.end() == 1
        lines = shown.screen.readable()
        assert sum("elapsed" in line for line in lines) == 1
        assert lines[-1].startswith("imaging-load: ")
        shown.assert_restored()


@pytest.mark.parametrize("command", ["imaging-load", "imaging-save", "imaging-wait"])
def test_quiet_and_full_screen_exclude_each_other(testbed: Commands, command: str) -> None:
    quiet = "-s" if command == "imaging-wait" else "-q"
    output = ["-o", "x"] if command == "imaging-save" else []
    done = testbed.run(command, *output, "-c", quiet, "1")
    assert done.returncode == 2
    assert f"{quiet} and -c exclude each other" in done.stderr


@pytest.mark.parametrize("verb", ["status", "info"])
def test_the_power_verbs_have_it_too(testbed: Commands, verb: str) -> None:
    with running(testbed, (80, 24), f"imaging-{verb}", "-c", "1-2") as shown:
        assert shown.end() == 0
        shown.assert_restored()
        assert any(line.startswith("fit02:") for line in shown.screen.readable())


def test_events_are_written_while_the_full_screen_is_shown(testbed: Commands) -> None:
    events = testbed.directory / "events.jsonl"
    words = ("imaging-load", "-c", "--events", str(events), "-i", "sample", "1")
    with running(testbed, (80, 24), *words) as shown:
        shown.see("1 of 1 nodes done")
    lines = events.read_text().splitlines()
    events.unlink()
    assert '"event":"run-finished"' in lines[-1]
