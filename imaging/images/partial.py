"""The hidden file in which an image grows: ``.NAME.ndz.partial``, beside the place of the image.

It is locked for as long as somebody writes it, so that two saves of one name cannot meet, and
what a dead one has left can be told from what is growing. It becomes the image in one step, when
it is complete, together with its sidecar, or is removed. What decides, and what removes, is
synchronous: no cancellation can come between. What may take long is done in a thread.

The directory may be one that others write too: nothing that stands at a place is trusted to be
what we have put there, no link is followed, and no file is taken over from somebody else.
"""

import errno
import fcntl
import os
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from imaging.errors import InfrastructureError, Reason
from imaging.images.sidecar import Sidecar, encode_sidecar, sidecar_path

PARTIAL = ".partial"
PLACES = "see [images] directory and private in the settings"
LOCK_PATIENCE_S = 0.3  # who only looks whether a file is growing holds its lock for a moment

A = TypeVar("A")
T = TypeVar("T")


def partial_path(image: Path) -> Path:
    """Where the image grows."""
    return image.with_name(f".{image.name}{PARTIAL}")


def staged_path(image: Path) -> Path:
    """The sidecar of an image that grows, until it has its name; ours alone, as the partial is."""
    return sidecar_path(partial_path(image))


def kept_path(image: Path) -> Path:
    """The sidecar of the image that is being replaced, for a moment."""
    return staged_path(image).with_suffix(".old")


def is_growing(partial: Path) -> bool:
    """Whether somebody is writing this partial file now. Raises OSError."""
    descriptor = _open_existing(partial)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


class PartialImage:
    """An image on its way; made by :func:`open_partial`."""

    def __init__(self, image: Path, descriptor: int) -> None:
        """``descriptor`` is open for writing, and locked."""
        self.image = image
        self.path = partial_path(image)
        self.staged = staged_path(image)
        self.published = False
        self._descriptor = descriptor
        self._busy = False
        self._closed = False
        self._staging = threading.Lock()  # what close has removed, no abandoned thread makes anew

    async def in_thread(self, work: Callable[[A], T], argument: A) -> T:
        """Do work on this file in a thread, one at a time.

        A file system that hangs cannot outlast the caller's scope: the thread is abandoned then,
        and the descriptor with it, which is closed when the process ends.
        """
        import trio  # imaging-list looks at partial files, and does not wait for it

        self._busy = True
        try:
            result = await trio.to_thread.run_sync(work, argument, abandon_on_cancel=True)
        except trio.Cancelled:
            raise
        except BaseException:
            self._busy = False
            raise
        self._busy = False
        return result

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append data. Raises InfrastructureError ``store-failed``, as when the disk is full."""
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError as error:
            raise store_failed(f"cannot write {self.path}", error) from error

    def prepare(self, sidecar: Sidecar) -> None:
        """Have data and sidecar on the disk: all that may take long, or want room.

        Raises InfrastructureError ``store-failed``.
        """
        text = encode_sidecar(sidecar)
        mode = stat.S_IMODE(os.fstat(self._descriptor).st_mode)
        try:
            os.fsync(self._descriptor)
            with os.fdopen(self._stage(mode), "wb") as stream:
                os.fchmod(stream.fileno(), mode)
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            raise store_failed(f"cannot write {self.staged}", error) from error

    def _stage(self, mode: int) -> int:
        """A descriptor of the new file of the sidecar. Raises OSError."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with self._staging:
            if self._closed:
                raise OSError(errno.ECANCELED, os.strerror(errno.ECANCELED))
            self.staged.unlink(missing_ok=True)  # a dead process has left it
            return os.open(self.staged, flags, mode)

    def publish(self, *, replace: bool, alias: bool = False) -> None:
        """Make it the image, with the sidecar that was prepared: renames, and nothing else.

        An image of that name is replaced only with ``replace``, an alias only with ``alias``. When
        this raises InfrastructureError ``store-failed``, all is as it was before.
        """
        sidecar, old = sidecar_path(self.image), kept_path(self.image)
        try:
            self._check_places(sidecar, image=replace, alias=alias)
            had_sidecar = os.path.lexists(sidecar)
            if had_sidecar:
                # a crash from here on leaves an image without a sidecar, never with a wrong one;
                # it gets its own back from the guard, or else from who makes the next one
                sidecar.replace(old)
            try:
                self._take_name(replace=replace or alias)
                self.published = True
            finally:
                if had_sidecar and not self.published:
                    old.replace(sidecar)
            self.staged.replace(sidecar)
            old.unlink(missing_ok=True)
        except OSError as error:
            raise store_failed(f"cannot make {self.image}", error) from error

    def close(self) -> None:
        """Remove the file, unless it was published, and free its lock."""
        with suppress(OSError), self._staging:
            self._closed = True
            if not self.published and self._is_ours():
                self.staged.unlink(missing_ok=True)
                self.path.unlink()  # the last: a sidecar without it is that of the image
        if not self._busy:
            os.close(self._descriptor)

    def _take_name(self, *, replace: bool) -> None:
        if not replace:
            try:
                # unlike a rename, this never replaces what somebody has made just now
                os.link(self.path, self.image, follow_symlinks=False)
                self.path.unlink()
                return
            except OSError as error:
                if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS):
                    raise  # a file system without hard links can do no better than that check
        self.path.replace(self.image)

    def _check_places(self, sidecar: Path, *, image: bool, alias: bool) -> None:
        """See that the file is still ours, and that nothing in the way is lost. Raises OSError."""
        if not self._is_ours():
            raise OSError(errno.ESTALE, f"{self.path.name} is no longer the file that was written")
        for place, file, link in ((self.image, image, alias), (sidecar, True, False)):
            try:
                mode = place.lstat().st_mode
            except FileNotFoundError:
                continue
            if not (file and stat.S_ISREG(mode)) and not (link and stat.S_ISLNK(mode)):
                raise OSError(errno.EEXIST, f"{place.name} is there already")

    def _is_ours(self) -> bool:
        """Whether our file is still the one of that name. Raises OSError."""
        try:
            return os.path.samestat(os.fstat(self._descriptor), self.path.lstat())
        except FileNotFoundError:
            return False


@contextmanager
def open_partial(image: Path, *, mode: int | None = None) -> Iterator[PartialImage]:
    """Have the partial file of an image, locked; it is gone afterwards, or is the image.

    ``mode`` are the permissions of the image, by default those that the umask leaves. Raises
    InfrastructureError: ``busy`` when somebody is saving an image of that name now,
    ``store-failed`` when the directory cannot be written.
    """
    partial = make_partial(image, mode=mode)
    try:
        yield partial
    finally:
        partial.close()


def make_partial(image: Path, *, mode: int | None = None) -> PartialImage:
    """As :func:`open_partial`, for who closes it himself. Raises InfrastructureError."""
    path = partial_path(image)
    try:
        while True:
            try:
                flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
                descriptor = os.open(path, flags, 0o666 if mode is None else mode)
            except FileExistsError:
                remove_left(path)
                continue
            made = PartialImage(image, descriptor)
            try:
                _lock(descriptor)
                if mode is not None:
                    os.fchmod(descriptor, mode)
                if made._is_ours():
                    _complete(image)  # a partial file that is gone has become the image
                    return made
            except BaseException:
                made.close()
                raise
            os.close(descriptor)  # somebody took it for left behind before it was locked
    except BlockingIOError:
        raise InfrastructureError(
            f"somebody is saving {image.name} now: {path} is locked",
            reason=Reason.BUSY,
            hint="wait for the end of that, or choose another name",
        ) from None
    except OSError as error:
        raise store_failed(f"cannot write {path}", error) from error


class PartialInMaking:
    """A partial file that a thread makes, which may be given up while the disk hangs."""

    def __init__(self, image: Path) -> None:
        """Nothing happens yet."""
        self._image = image
        self._is_abandoned = False
        self._deciding = threading.Lock()

    def make(self) -> PartialImage:
        """As :func:`make_partial`; what is made for nobody any more is removed."""
        made = make_partial(self._image)
        with self._deciding:
            if self._is_abandoned:
                made.close()
        return made

    def abandon(self) -> None:
        """Nobody waits for the file any more."""
        with self._deciding:
            self._is_abandoned = True


def remove_left(path: Path) -> None:
    """Remove a partial file that a dead process has left, and what it staged.

    An image that was about to be replaced gets its sidecar back. Raises BlockingIOError when the
    file is growing after all, and other OSErrors.
    """
    image = path.with_name(path.name[1:].removesuffix(PARTIAL))
    try:
        descriptor = _open_existing(path)
    except FileNotFoundError:
        return
    try:
        _lock(descriptor)
        with suppress(FileNotFoundError):
            status = os.fstat(descriptor)
            if os.path.samestat(status, path.lstat()):
                if status.st_nlink > 1:  # it has the image's name as well
                    _complete(image)
                else:
                    staged_path(image).unlink(missing_ok=True)
                    _move_home(kept_path(image), sidecar_path(image))
                path.unlink()
    finally:
        os.close(descriptor)


def _complete(image: Path) -> None:
    """Do what is left to do for an image whose maker died when it had its name."""
    _move_home(staged_path(image), sidecar_path(image))
    kept_path(image).unlink(missing_ok=True)


def _move_home(sidecar: Path, home: Path) -> None:
    """Have a sidecar where it belongs, unless there is another one. Raises OSError."""
    if os.path.lexists(home):
        sidecar.unlink(missing_ok=True)
    else:
        with suppress(FileNotFoundError):
            sidecar.rename(home)


def _open_existing(path: Path) -> int:
    """A descriptor of a regular file, by no link; a named pipe is not waited for."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EEXIST, f"{path.name} is in the way, and is no regular file")
    return descriptor


def _lock(descriptor: int) -> None:
    """Lock a file for ourselves. Raises BlockingIOError when somebody else keeps it."""
    deadline = time.monotonic() + LOCK_PATIENCE_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.01)


def settle(directory: Path) -> None:
    """Have what happened to a directory's names on the disk.

    Raises InfrastructureError ``store-failed``.
    """
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise store_failed(f"cannot write {directory}", error) from error


def store_failed(what: str, error: OSError) -> InfrastructureError:
    """An error of the file system, as a run tells it."""
    hint = "make room there" if error.errno in (errno.ENOSPC, errno.EDQUOT) else PLACES
    return InfrastructureError(f"{what}: {error.strerror}", reason=Reason.STORE_FAILED, hint=hint)
