"""Locks of nodes and of ports: who is at work on what, on this host.

A lock is a flock on a file of the lock directory. It is free exactly when nobody holds the file
open any more, so nothing has to be tidied up after a crash. What the file says about its owner is
for people, and is believed by nobody. The directory is shared by all users, as ``/tmp`` is.
"""

import errno
import fcntl
import json
import os
import stat
import time
from pathlib import Path
from typing import Self

import msgspec

from imaging.errors import ConfigurationError
from imaging.site.user import login_name

TEXT_LIMIT = 2000  # bytes
SHARED_DIRECTORY, SHARED_FILE = 0o1777, 0o666


class Owner(msgspec.Struct, frozen=True):
    """Who holds a lock, as he says; ``since`` is in seconds since the epoch."""

    user: str = "somebody"
    process: int = 0
    command: str = ""
    since: float = 0.0

    def __str__(self) -> str:
        told = f"{self.command or 'a command'} of {self.user}"
        if self.process:
            told += f", process {self.process}"
        if self.since:
            told += f", since {time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(self.since))}"
        return told


class LockTakenError(Exception):
    """Somebody else holds the lock."""

    def __init__(self, owner: Owner) -> None:
        """Keep who."""
        super().__init__(str(owner))
        self.owner = owner


class Lock(msgspec.Struct):
    """A lock that is ours until it is closed."""

    descriptor: int

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of it."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


class LockDirectory(msgspec.Struct, frozen=True):
    """The directory of the site's locks."""

    directory: Path

    def check(self) -> None:
        """Make the directory when it is missing. Raises ConfigurationError."""
        try:
            try:
                self.directory.mkdir()
                self.directory.chmod(SHARED_DIRECTORY)
            except FileExistsError:
                pass
            if not self.directory.is_dir() or not os.access(self.directory, os.W_OK | os.X_OK):
                raise ConfigurationError(
                    f"no permission to make locks in {self.directory}", hint="see [locks] directory"
                )
        except OSError as error:
            raise ConfigurationError(
                f"cannot make the lock directory {self.directory}: {error.strerror}",
                hint="see [locks] directory",
            ) from error

    def take(self, name: str, command: str) -> Lock:
        """Take the lock of a node, or of something else. Raises LockTakenError and OSError."""
        descriptor = self._open(name)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _sign(descriptor, command)
        except BlockingIOError:
            owner = _owner(descriptor)
            os.close(descriptor)
            raise LockTakenError(owner) from None
        except BaseException:
            os.close(descriptor)
            raise
        return Lock(descriptor)

    def holder(self, name: str) -> Owner | None:
        """Who holds a lock now; None when it is free. Raises OSError."""
        try:
            with self.take(name, ""):
                return None
        except LockTakenError as taken:
            return taken.owner

    def _open(self, name: str) -> int:
        """The file of a lock, made when it is missing; no link is followed. Raises OSError."""
        path = self.directory / f"{name}.lock"
        flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        while True:
            try:
                # not O_CREAT: in a sticky directory the kernel refuses that for others' files
                descriptor = os.open(path, flags)
                break
            except FileNotFoundError:
                pass
            try:
                descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL, SHARED_FILE)
                os.fchmod(descriptor, SHARED_FILE)  # whatever the umask: others lock it too
                break
            except FileExistsError:
                continue
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise OSError(errno.EEXIST, "is no regular file", str(path))
        return descriptor


def _sign(descriptor: int, command: str) -> None:
    """Say whose the lock is; an empty command only looks."""
    if command:
        told = {
            "user": login_name(),
            "process": os.getpid(),
            "command": command,
            "since": time.time(),
        }
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(told).encode(), 0)


def _owner(descriptor: int) -> Owner:
    """What the file says of its owner, as far as it makes sense."""
    try:
        told = json.loads(os.pread(descriptor, TEXT_LIMIT, 0))
        owner = Owner(
            "".join(filter(str.isprintable, str(told["user"])))[:64],
            int(told["process"]),
            "".join(filter(str.isprintable, str(told["command"])))[:64],
            float(told["since"]),
        )
        str(owner)  # a time that no calendar can hold is none
        return owner
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError, OSError):
        return Owner()
