"""The guard: a real process that undoes what a killed command could not."""

import fcntl
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import termios
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

import imaging.guard
from imaging.guard import HELD_LIMIT, NO_GUARD, end_group, open_guard, start_time
from tests.commands import children_of, is_running, wait_for

# a command that has a guard watch a link, a file, a lock and a process group, and then hangs
COMMAND = """
import fcntl, os, subprocess, sys, time
from imaging.guard import open_guard
link, file, lock = sys.argv[1:]
with open_guard() as guard, open(file, "w") as partial, open(lock, "w") as locked:
    child = subprocess.Popen(["sleep", "60"], start_new_session=True)
    fcntl.flock(locked, fcntl.LOCK_EX)
    fcntl.flock(partial, fcntl.LOCK_EX)
    with (
        guard.lock(locked.fileno()),
        guard.link(link, "pxefrisbee"),
        guard.partial(file, file + ".json", file + ".old", file + ".home"),
        guard.group(child.pid),
    ):
        os.symlink("pxefrisbee", link)
        print(child.pid, flush=True)
        time.sleep(60)
"""


class Watched:
    """A command that hangs, and what it would leave behind."""

    def __init__(self, directory: Path) -> None:
        self.link, self.file, self.lock = (directory / name for name in ("link", "file", "lock"))
        self.process = subprocess.Popen(
            [sys.executable, "-c", COMMAND, str(self.link), str(self.file), str(self.lock)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.child = int(self.process.stdout.readline())
        self.companion = directory / "file.json"
        self.companion.touch()

    def end(self, number: signal.Signals) -> None:
        with self.process:
            self.process.send_signal(number)

    def lock_is_free(self) -> bool:
        with self.lock.open("r+") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_what_a_killed_command_leaves_is_gone_at_once(
    watched: Watched, number: signal.Signals
) -> None:
    assert watched.link.is_symlink()
    assert not watched.lock_is_free()
    watched.end(number)
    wait_for(watched.lock_is_free, limit_s=1)  # the last thing to happen
    assert not os.path.lexists(watched.link)
    assert not watched.file.exists()
    assert not watched.companion.exists()
    wait_for(lambda: not is_running(watched.child), limit_s=1)


def test_what_is_somebody_elses_meanwhile_is_left_alone(watched: Watched) -> None:
    watched.link.unlink()
    watched.link.symlink_to("something-else")
    watched.file.unlink()
    with watched.file.open("w") as theirs:
        fcntl.flock(theirs, fcntl.LOCK_EX)
        theirs.write("somebody's")
        theirs.flush()
        watched.end(signal.SIGKILL)
        wait_for(watched.lock_is_free, limit_s=1)
    assert os.readlink(watched.link) == "something-else"
    assert watched.file.read_text() == "somebody's"
    assert watched.companion.exists()


@pytest.mark.parametrize("kind", ["link", "pipe", "directory"])
def test_what_is_no_file_is_not_taken_for_one(watched: Watched, tmp_path: Path, kind: str) -> None:
    precious = tmp_path / "precious"
    precious.write_text("kept")
    watched.file.unlink()
    match kind:
        case "link":
            watched.file.symlink_to(precious)
        case "pipe":
            os.mkfifo(watched.file)
        case _:
            watched.file.mkdir()
    watched.end(signal.SIGKILL)
    wait_for(watched.lock_is_free, limit_s=1)
    assert os.path.lexists(watched.file)
    assert watched.companion.exists()
    assert precious.read_text() == "kept"


def test_a_file_is_watched_before_it_is_there(tmp_path: Path) -> None:
    file = tmp_path / "file"
    code = """
import os, signal, sys
from imaging.guard import open_guard
with open_guard() as guard, guard.partial(sys.argv[1], "", "", ""):
    open(sys.argv[1], "w")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", code, str(file)], check=False)
    assert done.returncode == -signal.SIGKILL
    wait_for(lambda: not file.exists(), limit_s=1)


def test_our_link_is_known_however_it_is_spelled(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to("./pxefrisbee")
    code = """
import os, signal, sys
from imaging.guard import open_guard
with open_guard() as guard, guard.link(sys.argv[1], "pxefrisbee"):
    os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", code, str(link)], check=False)
    wait_for(lambda: not link.is_symlink(), limit_s=1)


def test_a_file_that_a_thread_makes_late_is_removed(tmp_path: Path) -> None:
    """The block was left by an exception: the thread in it may not have been through."""
    file = tmp_path / "file"
    code = """
import sys, threading, time
from imaging.guard import open_guard
with open_guard() as guard, guard.partial(sys.argv[1], "", "", ""):
    threading.Thread(target=lambda: (time.sleep(0.05), open(sys.argv[1], "w"))).start()
    time.sleep(0.1)
    raise KeyboardInterrupt
"""
    subprocess.run([sys.executable, "-c", code, str(file)], capture_output=True, check=False)
    wait_for(lambda: not file.exists(), limit_s=1)


SYSTEM_PYTHON = Path("/usr/bin/python3")  # other users cannot run one below root's home


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
@pytest.mark.skipif(not SYSTEM_PYTHON.exists(), reason="no Python that every user may run")
@pytest.mark.parametrize("user", [0, 65534])
def test_a_terminal_is_given_back_also_when_it_is_another_users(user: int) -> None:
    """As after su: it cannot be opened anew by its name."""
    master, slave = pty.openpty()
    before = termios.tcgetattr(slave)
    code = """
import os, signal, termios
from guard import open_guard
before, changed = termios.tcgetattr(0), termios.tcgetattr(0)
changed[3] &= ~(termios.ECHO | termios.ICANON)
with open_guard() as guard, guard.terminal(0, changed, before, b"goodbye"):
    assert guard.is_there
    termios.tcsetattr(0, termios.TCSANOW, changed)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    with tempfile.TemporaryDirectory(prefix="imaging-guard-") as folder:
        Path(folder).chmod(0o755)
        shutil.copy(imaging.guard.__file__, folder)
        try:
            done = subprocess.run(
                [SYSTEM_PYTHON, "-c", code],
                stdin=slave,
                user=user,
                env={"PYTHONPATH": folder},
                check=False,
                timeout=20,
            )
            assert done.returncode == -signal.SIGKILL
            wait_for(lambda: termios.tcgetattr(slave) == before, limit_s=2)
            written = b""
            while select.select([master], [], [], 0.2)[0]:
                written += os.read(master, 100)
            assert written == b"goodbye"
        finally:
            os.close(master)
            os.close(slave)


def test_a_group_is_killed_also_when_its_leader_has_ended(tmp_path: Path) -> None:
    file = tmp_path / "child"
    script = f"sleep 60 & echo $! > {file}; read line"
    leader = subprocess.Popen(["sh", "-c", script], stdin=subprocess.PIPE, start_new_session=True)
    started = start_time(leader.pid)
    wait_for(lambda: file.exists() and file.read_text() != "")
    child = int(file.read_text())
    end_group(leader.pid, started + 1)  # the number of another process
    assert leader.poll() is None
    leader.communicate(b"\n")
    assert is_running(child)
    end_group(leader.pid, started)
    wait_for(lambda: not is_running(child), limit_s=1)
    end_group(2**22 + 1, 1)  # nothing is left: there can be no such process


def test_a_signal_does_not_end_the_guard(watched: Watched) -> None:
    (guard,) = set(children_of(watched.process.pid)) - {watched.child}
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        os.kill(guard, number)
    assert os.getsid(guard) == guard
    watched.end(signal.SIGKILL)
    wait_for(watched.lock_is_free, limit_s=1)
    assert not os.path.lexists(watched.link)


def test_after_a_farewell_nothing_is_touched(tmp_path: Path) -> None:
    link = tmp_path / "link"
    with open_guard() as guard:
        with guard.link(str(link), "pxefrisbee"):
            pass
        link.symlink_to("pxefrisbee")  # not watched any more
        assert guard.is_there
    assert link.is_symlink()


def test_an_exception_leaves_no_more_than_it_should(tmp_path: Path) -> None:
    link = tmp_path / "link"

    def fail() -> None:
        with open_guard() as guard, guard.link(str(link), "pxefrisbee"):
            link.symlink_to("pxefrisbee")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert link.is_symlink()  # the block has ended: its own cleanup is its own business


def test_a_guard_that_was_killed_does_not_end_the_command(tmp_path: Path) -> None:
    with open_guard() as guard:
        (process,) = children_of(os.getpid())
        os.kill(process, signal.SIGKILL)
        wait_for(lambda: not is_running(process))
        with guard.link(str(tmp_path / "link"), "pxefrisbee"):
            pass
        assert not guard.is_there


def test_many_things_are_watched_without_waiting(tmp_path: Path) -> None:
    started = time.monotonic()
    with open_guard() as guard:
        for number in range(3000):
            with guard.link(str(tmp_path / f"{number}" / ("x" * 100)), "pxefrisbee"):
                pass
    assert time.monotonic() - started < 5


def test_it_has_a_copy_of_every_lock_once_there_is_something_to_clean_up(tmp_path: Path) -> None:
    locks = [tmp_path / f"{number}.lock" for number in range(2 * HELD_LIMIT + 3)]
    with open_guard() as guard:
        (process,) = children_of(os.getpid())

        def copies() -> set[Path]:
            found = set()
            for descriptor in Path(f"/proc/{process}/fd").iterdir():
                with suppress(FileNotFoundError):  # it has just been closed
                    found.add(descriptor.readlink())
            return found & {*locks}

        with ExitStack() as held:
            for lock in locks:
                held.enter_context(guard.lock(held.enter_context(lock.open("w")).fileno()))
            with guard.link(str(tmp_path / "link"), "pxefrisbee"):
                wait_for(lambda: copies() == {*locks}, limit_s=1)
        wait_for(lambda: not copies(), limit_s=1)


def test_a_lock_that_nothing_depended_on_is_let_go(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with open_guard() as guard:
        with lock.open("w") as stream, guard.lock(stream.fileno()):
            fcntl.flock(stream, fcntl.LOCK_EX)

        def is_free() -> bool:
            with lock.open("r+") as again:
                try:
                    fcntl.flock(again, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    return False
            return True

        wait_for(is_free, limit_s=1)


def test_without_a_guard_nobody_is_told() -> None:
    with NO_GUARD.link("/nowhere", "x"), NO_GUARD.group(os.getpid()):
        assert not NO_GUARD.is_there


def test_a_process_is_known_by_its_start() -> None:
    assert start_time(os.getpid()) == start_time(os.getpid()) > 0
    assert start_time(2**22 + 1) == -1
