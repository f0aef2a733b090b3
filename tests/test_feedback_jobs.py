"""The displays under a shell with job control, and on terminals that take nothing."""

import io
import os
import pty
import shlex
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio

from imaging.feedback.board import Board
from imaging.feedback.display.displays import choose_display
from imaging.feedback.display.full_screen import FullScreen
from imaging.feedback.display.inline import InlineDisplay
from imaging.feedback.display.jobs import typed
from imaging.feedback.display.plain import PlainDisplay
from imaging.feedback.display.rows import Line
from imaging.feedback.display.terminal import Escapes, Output
from imaging.feedback.results import Detail
from tests.commands import wait_for
from tests.runs import run_of
from tests.terminals import Terminal, terminal

ROOT = Path(__file__).parent.parent
ESCAPES = Escapes(up="\x1b[A", clear_line="\x1b[K", clear_below="\x1b[J")
# a run of as many seconds as it is told, in which nothing happens
RUN = """
import os, sys, time
import trio
from imaging.feedback.display.displays import choose_display
from imaging.feedback.events import NodeFinished, RunStarted
from imaging.feedback.outcomes import NodeOutcome
from imaging.feedback.results import Detail
from imaging.feedback.display.rows import Line
from imaging.feedback.board import Board

board = Board()
display = choose_display(board, Detail.MILESTONES, live="-c" in sys.argv)

def emit(event):
    board.fold(event)
    display.take(event)

async def main():
    async with trio.open_nursery() as nursery:
        nursery.start_soon(display.run)
        await trio.sleep(0.1)
        emit(RunStarted(time.time(), "run", "a-run", ("fit01", "fit02"), "do it", 60))
        print(f"process={os.getpid()}.", file=open("process", "w"))
        while not os.path.exists("over"):
            await trio.sleep(0.02)
        nursery.cancel_scope.cancel()

with display.shown():
    trio.run(main)
print("run over")
"""


class Shell:
    """An interactive shell in a terminal, and the run that it is told to start."""

    def __init__(self, shown: Terminal, directory: Path) -> None:
        self.shown = shown
        self._directory = directory
        (directory / "run.py").write_text(RUN)
        python = shlex.quote(sys.executable)
        self.command = f"PYTHONPATH={shlex.quote(str(ROOT))} {python} run.py"
        shown.start(
            *("bash", "--norc", "--noprofile", "--noediting", "-i"),
            cwd=directory,
            environment={"PS1": "$ ", "PATH": os.environ["PATH"]},
        )
        shown.see("$")

    def start(self, words: str) -> int:
        """Start the run; gives its process once it has begun."""
        self.shown.press(f"{self.command} {words}\n")
        file = self._directory / "process"
        self.wait_for(lambda: file.exists() and file.read_text().endswith(".\n"))
        return int(file.read_text().strip().strip(".").removeprefix("process="))

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Show what is written until it is so."""

        def shown_so() -> bool:
            self.shown.read()
            return condition()

        wait_for(shown_so)

    def watch(self, seconds: float) -> bytes:
        """What is written in the next seconds."""
        before, until = len(self.shown.written), time.monotonic() + seconds
        while time.monotonic() < until:
            self.shown.read(0.05)
        return self.shown.written[before:]

    def end_run(self) -> None:
        """Let the run end by itself."""
        (self._directory / "over").touch()


def state_of(process: int) -> str:
    """The state of a process: T is stopped, S is at work."""
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    if shutil.which("bash") is None:
        pytest.skip("bash is not installed")
    with terminal(80, 24) as shown:
        started = Shell(shown, tmp_path)
        try:
            yield started
        finally:
            (tmp_path / "over").touch()
            shown.press("\nkill -CONT %1; kill -KILL %1\n")
            started.watch(0.2)


def test_a_run_in_the_background_draws_nothing(shell: Shell) -> None:
    shell.start("&")
    shell.shown.see("do it")
    assert shell.watch(0.5) == b""
    shell.end_run()
    shell.shown.see("run over")
    assert "[---" not in "".join(shell.shown.screen.readable())


def test_a_stopped_region_leaves_nothing_behind_and_comes_back(shell: Shell) -> None:
    process = shell.start("")
    shell.shown.see("elapsed")
    shell.shown.press("\x1a")
    shell.shown.see("Stopped")
    assert state_of(process) == "T"
    assert not any(line.startswith("[---") for line in shell.shown.screen.readable())
    shell.shown.press("bg\n")
    wait_for(lambda: state_of(process) != "T")
    shell.watch(0.2)
    assert b"elapsed" not in shell.watch(1.2)
    shell.shown.press("fg\n")
    shell.shown.see("elapsed")
    shell.shown.press("\x1a")
    shell.shown.wait_for(lambda lines: sum("Stopped" in line for line in lines) == 2)
    shell.shown.press("fg\n")
    shell.shown.see("elapsed")
    shell.end_run()
    shell.shown.see("run over")
    assert sum("elapsed" in line for line in shell.shown.screen.readable()) == 1


def test_a_stopped_full_screen_gives_the_terminal_back(shell: Shell) -> None:
    process = shell.start("-c")
    shell.shown.see("timeout in")
    assert shell.shown.screen.is_alternate
    os.kill(process, signal.SIGTSTP)
    shell.shown.see("Stopped")
    assert not shell.shown.screen.is_alternate
    shell.shown.press("bg\n")
    wait_for(lambda: state_of(process) != "T")
    shell.shown.press("echo still a she''ll\n")  # its keys are not the run's
    shell.shown.see("still a shell")
    assert b"elapsed" not in shell.watch(1.2)
    assert state_of(process) != "T"
    shell.shown.press("fg\n")
    shell.shown.see("timeout in")
    assert shell.shown.screen.is_alternate
    shell.shown.press("q")
    shell.shown.see("Interrupt the run?")
    shell.end_run()
    shell.shown.see("run over")
    shell.shown.press("exit\n")
    assert shell.shown.end() == 0
    shell.shown.assert_restored()


@pytest.mark.parametrize("back", [signal.SIGSTOP, signal.SIGTSTP])
def test_a_full_screen_ends_in_the_background(shell: Shell, back: signal.Signals) -> None:
    process = shell.start("-c")
    shell.shown.see("timeout in")
    os.kill(process, back)
    wait_for(lambda: state_of(process) == "T")
    shell.watch(0.3)
    shell.shown.press("bg\n")
    wait_for(lambda: state_of(process) != "T")
    shell.shown.wait_for(lambda _: not shell.shown.screen.is_alternate)
    shell.end_run()
    shell.shown.see("run over")


@contextmanager
def held() -> Iterator[tuple[int, int]]:
    """Both ends of a terminal that nobody reads, full but for what is asked to be there."""
    master, slave = pty.openpty()
    writer = os.open(f"/proc/self/fd/{slave}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        while True:
            os.write(writer, b"x" * 64)
    except BlockingIOError:
        pass
    try:
        yield master, slave
    finally:
        for descriptor in (writer, slave, master):
            os.close(descriptor)


def test_a_held_terminal_is_written_to_for_a_moment_only() -> None:
    with held() as (master, slave):
        output = Output(slave, "utf-8")
        started = time.monotonic()
        output.write("held " * 10_000)
        assert time.monotonic() - started < 0.1
        assert not output.is_ready()
        output.settle()
        assert time.monotonic() - started < 0.5
        assert os.get_blocking(slave), "the shell's descriptor has the same flags"
        os.read(master, 65536)


@pytest.mark.parametrize("forbidden", [False, True])
def test_what_a_terminal_does_not_take_at_once_follows(
    monkeypatch: pytest.MonkeyPatch, forbidden: bool
) -> None:
    if forbidden:  # as the terminal of another user
        monkeypatch.setattr(Output, "_open_writer", lambda self: (self.descriptor, 1))
    text = "".join(f"line {number}\n" for number in range(5000))
    master, slave = pty.openpty()
    output = Output(slave, "utf-8")
    started = time.monotonic()
    output.write(text)
    assert time.monotonic() - started < 2
    read = b""
    while not output.is_ready():
        read += os.read(master, 65536)
    output.settle()
    while len(read) < len(text) + 5000:
        read += os.read(master, 65536)
    assert read.decode() == text.replace("\n", "\r\n")
    os.close(master)
    os.close(slave)


@pytest.mark.parametrize("kind", ["inline", "plain"])
async def test_a_held_terminal_does_not_hold_a_run(kind: str) -> None:
    with held() as (_, slave):
        output = Output(slave, "utf-8")
        display: InlineDisplay | PlainDisplay = (
            InlineDisplay(run_of(3), output, ESCAPES, Detail.MILESTONES)
            if kind == "inline"
            else PlainDisplay(run_of(3), output)
        )
        started = time.monotonic()
        with trio.move_on_after(0.2):
            await display.run()
        assert time.monotonic() - started < 0.7


def test_a_held_terminal_does_not_hold_the_full_screen() -> None:
    master, slave = pty.openpty()
    screen = FullScreen(slave, slave, "utf-8")
    started = time.monotonic()
    with screen.kept():
        for number in range(200):
            screen.paint([Line(f"line {number}")] * 24, 80)
    assert time.monotonic() - started < 2
    os.close(master)
    os.close(slave)


class Stream(io.StringIO):
    """A standard stream that is a terminal."""

    encoding = "utf-8"

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor


@pytest.mark.parametrize("live", [False, True])
def test_events_on_the_terminal_leave_nothing_to_draw_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], live: bool
) -> None:
    master, slave = pty.openpty()
    stream = Stream(slave)
    monkeypatch.setenv("TERM", "xterm")
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(sys, name, stream)
    assert not isinstance(
        choose_display(Board(), Detail.MILESTONES, live=live, events_on_output=False), PlainDisplay
    )
    display = choose_display(Board(), Detail.MILESTONES, live=live, events_on_output=True)
    assert isinstance(display, PlainDisplay)
    told = "no full screen: the events are written on the terminal\n"
    assert stream.getvalue() == (told if live else "")
    # elsewhere they disturb nobody
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    display = choose_display(Board(), Detail.MILESTONES, live=live, events_on_output=True)
    assert not isinstance(display, PlainDisplay)
    os.close(master)
    os.close(slave)


def test_nobody_waits_for_a_key_that_the_shell_has_read() -> None:
    master, slave = pty.openpty()
    try:
        assert typed(slave, 10) is None
        os.write(master, b"x\n")
        wait_for(lambda: typed(slave, 10) == b"x\n", limit_s=5)
        assert typed(slave, 10) is None
    finally:
        os.close(master)
        os.close(slave)
