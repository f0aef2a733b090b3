"""The hidden file in which an image grows: ``.NAME.ndz.partial``, beside the place of the image.

It is locked for as long as somebody writes it, so that two saves of one name cannot meet, and
what a dead one has left can be told from what is growing. It becomes the image in one step, when
it is complete, and is removed otherwise: both synchronously, so that no cancellation can come
between. What may take long is done in a thread.
"""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from imaging.errors import InfrastructureError, Reason

PARTIAL = ".partial"

A = TypeVar("A")
T = TypeVar("T")


def partial_path(image: Path) -> Path:
    """Where the image grows."""
    return image.with_name(f".{image.name}{PARTIAL}")


def is_growing(partial: Path) -> bool:
    """Whether somebody is writing this partial file now. Raises OSError."""
    with partial.open("rb") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


class PartialImage:
    """An image on its way; made by :func:`open_partial`."""

    def __init__(self, image: Path, descriptor: int) -> None:
        """``descriptor`` is open for writing, and locked."""
        self.image = image
        self.path = partial_path(image)
        self.published = False
        self._descriptor = descriptor
        self._busy = False

    async def in_thread(self, work: Callable[[A], T], argument: A) -> T:
        """Do work on this file in a thread, one at a time.

        A file system that hangs cannot outlast the caller's scope: the thread is abandoned then,
        and the descriptor with it, which is closed when the process ends.
        """
        import trio  # imaging-list looks at partial files, and does not wait for it

        self._busy = True
        result = await trio.to_thread.run_sync(work, argument, abandon_on_cancel=True)
        self._busy = False
        return result

    async def sync(self) -> None:
        """Have the data on the disk. Raises InfrastructureError ``store-failed``."""
        try:
            await self.in_thread(os.fsync, self._descriptor)
        except OSError as error:
            raise store_failed(f"cannot write {self.path}", error) from error

    def close(self) -> None:
        """Remove the file, unless it was published, and free its lock."""
        if not self.published:
            self.path.unlink(missing_ok=True)
        if not self._busy:
            os.close(self._descriptor)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append data. Raises InfrastructureError ``store-failed``, as when the disk is full."""
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError as error:
            raise store_failed(f"cannot write {self.path}", error) from error

    def publish(self, *, replace: bool) -> None:
        """Make it the image, in one step; ``sync`` comes before.

        An image of that name is replaced only when ``replace`` is set. Raises
        InfrastructureError ``store-failed``.
        """
        try:
            if replace:
                self.path.replace(self.image)
            else:
                os.link(self.path, self.image, follow_symlinks=False)
                self.path.unlink()
            self.published = True
            sync_directory(self.image.parent)
        except OSError as error:
            raise store_failed(f"cannot make {self.image}", error) from error


@contextmanager
def open_partial(image: Path) -> Iterator[PartialImage]:
    """Have the partial file of an image, locked; it is gone afterwards, or is the image.

    Raises InfrastructureError: ``busy`` when somebody is saving an image of that name now,
    ``store-failed`` when the directory cannot be written.
    """
    partial = PartialImage(image, _locked(partial_path(image)))
    try:
        yield partial
    finally:
        partial.close()


def _locked(path: Path) -> int:
    """A descriptor of the partial file, empty and locked."""
    while True:
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(path, flags, 0o666)
        except OSError as error:
            raise store_failed(f"cannot write {path}", error) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(descriptor), path.lstat()):
                os.ftruncate(descriptor, 0)
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            raise InfrastructureError(
                f"somebody is saving {path.name.removeprefix('.').removesuffix(PARTIAL)} now",
                reason=Reason.BUSY,
                hint=f"{path} is locked",
            ) from None
        except FileNotFoundError:
            pass  # its owner has removed it between our two steps
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def sync_directory(directory: Path) -> None:
    """Have what happened to a directory's names on the disk. Raises OSError."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def store_failed(what: str, error: OSError) -> InfrastructureError:
    """An error of the file system, as a run tells it."""
    return InfrastructureError(f"{what}: {error.strerror}", reason=Reason.STORE_FAILED)
