"""The guard: a process that cleans up after a command which could not do so itself.

A command tells its guard, before it happens, what would have to be undone: nextboot links, partial
images, the frisbee server's process group, a terminal that was taken over; and it gives the guard a
copy of each node's lock. When the connection to the command ends without a farewell, as after
``kill -9``, the guard undoes what is left, and only then do the locks become free. It has a session
of its own, so that neither a closed terminal nor a signal to the command's group reaches it, and
ignores signals besides.

This file is run by itself, without the package: the guard is there within some 20 milliseconds.
"""

import fcntl
import json
import os
import select
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

TYPE_CHECKING = False  # the checkers know it; importing typing takes as long as all the rest
if TYPE_CHECKING:
    from typing import Any

MESSAGE_LIMIT = 65536  # bytes
HELD_LIMIT = 64  # locks that are told together; Linux takes 253 descriptors in a message
FAREWELL_LIMIT_S = 1.0
LOCK_PATIENCE_S = 0.3
CHARACTERS = 6  # of the list that termios.tcgetattr gives
IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGPIPE)


class Guard:
    """The command's end of the connection. Everything here is synchronous."""

    def __init__(self, connection: socket.socket | None) -> None:
        """Made by open_guard; without a connection, nobody is told anything."""
        self._connection = connection
        self._held: list[int] = []  # the locks that it has not been told of

    @property
    def is_there(self) -> bool:
        """Whether there is a guard, as far as is known."""
        return self._connection is not None

    @contextmanager
    def link(self, place: str, target: str) -> Iterator[None]:
        """Remove the symbolic link to ``target`` at ``place``, should the block not end."""
        with self._watched("link", place, target):
            yield

    @contextmanager
    def partial(self, path: str, staged: str, kept: str, sidecar: str) -> Iterator[None]:
        """Remove a partial image, which its writers lock, if nobody does, should the block not end.

        It need not be there yet, and may come late when a thread was left behind: it is watched
        until the end of the command when the block is left by an exception. Its sidecar is
        ``staged``, and that of the image which it replaces ``kept``, until it is the image: then
        ``sidecar`` is that of the image, whichever that is.
        """
        what = ("partial", path, staged, kept, sidecar)
        self._tell("watch", *what)
        yield
        self._tell("forget", *what)

    @contextmanager
    def terminal(
        self, descriptor: int, changed: "list[Any]", before: "list[Any]", goodbye: bytes
    ) -> Iterator[None]:
        """Give a terminal back as it was, should the block not end.

        ``changed`` are the attributes (those of termios) that it has in the block; ``before`` is
        what it gets, unless somebody has given it others. ``goodbye`` is written to it.
        """
        attributes = _as_numbers(changed), _as_numbers(before)
        with self._watched("terminal", *attributes, goodbye.hex(), descriptor=descriptor):
            yield

    @contextmanager
    def group(self, process: int) -> Iterator[None]:
        """Kill the process group which that child leads, should the block not end."""
        with self._watched("group", process, start_time(process)):
            yield

    @contextmanager
    def lock(self, descriptor: int) -> Iterator[None]:
        """Keep a locked file locked until all is cleaned up, should the block not end.

        It is told with what is to be cleaned up: before that, it may as well become free.
        """
        self._held.append(descriptor)
        try:
            if len(self._held) >= HELD_LIMIT:
                self._tell("hold")
            yield
        finally:
            self._tell("forget", "lock", descriptor)

    @contextmanager
    def _watched(self, *what: object, descriptor: int | None = None) -> Iterator[None]:
        self._tell("watch", *what, descriptor=descriptor)
        try:
            yield
        finally:
            self._tell("forget", *what)

    def farewell(self) -> None:
        """All is clean: the guard may go."""
        self._tell("farewell")

    def _tell(self, *words: object, descriptor: int | None = None) -> None:
        held, self._held = self._held, []
        if self._connection is None:
            return
        descriptors = held if descriptor is None else [*held, descriptor]
        try:
            message = json.dumps([held, *words]).encode()
            socket.send_fds(self._connection, [message], descriptors)
        except OSError:
            self._connection = None  # somebody has killed it; the command cleans up all the same


NO_GUARD = Guard(None)
"""For commands that leave nothing behind."""


@contextmanager
def open_guard() -> Iterator[Guard]:
    """Have a guard for as long as the block lasts; one that cannot be started is none."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours:
        with theirs:
            process = _start(theirs)
        if process is None:
            yield NO_GUARD
            return
        guard = Guard(ours)
        try:
            yield guard
            guard.farewell()
        finally:
            ours.close()  # after an exception, the guard looks whether anything is left
            with suppress(subprocess.TimeoutExpired):
                process.wait(FAREWELL_LIMIT_S)


def _start(connection: socket.socket) -> "subprocess.Popen[bytes] | None":
    """Start the guard at the other end of a connection; None when that is not possible."""
    # it begins with these blocked, until it ignores them: it has no weak moment
    before = signal.pthread_sigmask(signal.SIG_BLOCK, IGNORED)
    try:
        return subprocess.Popen(
            [sys.executable, "-I", "-S", __file__],
            stdin=connection.fileno(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )
    except OSError:
        return None
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end_group(leader: int, started: int) -> None:
    """Kill a process group at once, whether or not its leader has ended before its children.

    ``started`` is the leader's ``start_time``: should that number be another process's by now, it
    is left alone.
    """
    if started == -1 or start_time(leader) in (-1, started):
        with suppress(ProcessLookupError, PermissionError):  # nothing is left of it
            os.killpg(leader, signal.SIGKILL)


def start_time(process: int) -> int:
    """When a process was started, in clock ticks since boot: tells it from a later namesake."""
    try:
        with open(f"/proc/{process}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[19])
    except (OSError, IndexError, ValueError):
        return -1


def _as_numbers(attributes: "list[Any]") -> "list[Any]":
    """What termios.tcgetattr gives, without bytes."""
    characters = [c[0] if isinstance(c, bytes) else c for c in attributes[CHARACTERS]]
    return [*attributes[:CHARACTERS], characters]


def stand_guard(connection: socket.socket) -> None:
    """The guard's life: learn what to watch, until the farewell or the end of the command."""
    watched: dict[str, list[object]] = {}
    given: dict[str, int] = {}
    while True:
        message, descriptors, _, _ = socket.recv_fds(connection, MESSAGE_LIMIT, HELD_LIMIT + 1)
        if not message:
            break
        held, verb, *what = json.loads(message)
        if verb == "farewell":
            return
        given.update(zip((json.dumps(["lock", lock]) for lock in held), descriptors, strict=False))
        key = json.dumps(what)
        if verb == "watch":
            watched[key] = what
            if len(descriptors) > len(held):
                given[key] = descriptors[-1]
        elif verb == "forget":
            watched.pop(key, None)
            if key in given:
                os.close(given.pop(key))
    for key, what in reversed(watched.items()):
        with suppress(OSError):
            undo(given.get(key, -1), *what)
    # only now, with the end of this process, are the locks free


def undo(descriptor: int, kind: object, *what: object) -> None:
    """Clean up one thing, if it is still the one that was meant. Raises OSError."""
    match kind, *what:
        case "link", str(place), str(target):
            directory = os.path.dirname(place)
            told, found = (os.path.join(directory, end) for end in (target, os.readlink(place)))
            if os.path.normpath(found) == os.path.normpath(told):
                os.unlink(place)
        case "partial", str(path), str(staged), str(kept), str(sidecar):
            _remove_unlocked(path, staged, kept, sidecar)
        case "group", int(leader), int(started):
            end_group(leader, started)
        case "terminal", list(changed), list(before), str(goodbye):
            _give_back(descriptor, changed, before, bytes.fromhex(goodbye))


def _remove_unlocked(path: str, staged: str, kept: str, sidecar: str) -> None:
    """Remove a partial image that nobody writes: no link is followed, no pipe waited for."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:  # it has become the image, or there was none
        _give_sidecar(sidecar, theirs=staged, other=kept)
        return
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        return
    deadline = time.monotonic() + LOCK_PATIENCE_S  # the dying command's lock may outlive the rest
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if time.monotonic() > deadline:
                return  # it is somebody else's by now
        time.sleep(0.005)
    if os.path.samestat(status, os.lstat(path)):
        is_image = status.st_nlink > 1
        theirs, other = (staged, kept) if is_image else (kept, staged)
        _give_sidecar(sidecar, theirs=theirs, other=other)
        os.unlink(path)


def _give_sidecar(place: str, *, theirs: str, other: str) -> None:
    """Let an image have its own sidecar, where there is none; the other one is nobody's."""
    with suppress(FileNotFoundError):
        if os.path.lexists(place):
            os.unlink(theirs)
        else:
            os.rename(theirs, place)
    with suppress(FileNotFoundError):
        os.unlink(other)


def _give_back(terminal: int, changed: "list[Any]", before: "list[Any]", goodbye: bytes) -> None:
    """Give a terminal back; a shell that has it again already knows best what it should be."""
    import termios  # few commands take a terminal over

    with suppress(termios.error):
        if _as_numbers(termios.tcgetattr(terminal)) == changed:
            termios.tcsetattr(terminal, termios.TCSANOW, before)
    # a byte at a time, and only when it takes one: it holds up nobody
    takes = select.poll()
    takes.register(terminal, select.POLLOUT)
    for place in range(len(goodbye)):
        if not takes.poll(0):
            return
        os.write(terminal, goodbye[place : place + 1])


def main() -> None:
    """Be the guard at the other end of standard input."""
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, IGNORED)
    with socket.socket(fileno=os.dup(0)) as connection:
        stand_guard(connection)


if __name__ == "__main__":
    main()
