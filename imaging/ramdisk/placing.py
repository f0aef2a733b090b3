"""The files of a ramdisk, put where a TFTP server gives them away: all of them, or none.

A new kernel beside an old archive would boot, and find none of its drivers.
"""

import os
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path

from imaging.errors import ConfigurationError, ImagingError

FOR_ALL = 0o055  # who serves the files is nobody
HINT = "see --output"


def check_place(directory: Path) -> None:
    """See that files can be put there, as far as that shows before. Raises ConfigurationError."""
    there = directory.absolute()
    while not os.path.lexists(there):
        there = there.parent
    if not there.is_dir():
        raise ConfigurationError(f"{directory}: {there} is no directory", hint=HINT)
    if not os.access(there, os.W_OK | os.X_OK):
        raise ConfigurationError(f"{directory}: no permission to write in {there}", hint=HINT)


def place_files(directory: Path, files: Mapping[str, bytes]) -> None:
    """Write the files, readable for everybody, and give them their names when all are there.

    A directory that is missing is made. Raises ImagingError.
    """
    place = directory
    try:
        _make(directory)
        with ExitStack() as stack:
            partial = {}
            for name, data in files.items():
                place = directory / name
                partial[place] = _partial(place, data, stack)
            for place, file in partial.items():
                file.rename(place)
    except OSError as error:
        raise ImagingError(f"{place}: cannot be written: {error.strerror}", hint=HINT) from error


def _make(directory: Path) -> None:
    """Make a directory and those above it, for everybody to enter, whatever the umask."""
    if not directory.is_dir():
        if directory.parent != directory:
            _make(directory.parent)
        directory.mkdir()
        directory.chmod(directory.stat().st_mode | FOR_ALL)


def _partial(place: Path, data: bytes, stack: ExitStack) -> Path:
    """A file with these bytes beside the place; removed at the end, if it is still there."""
    if place.is_dir():
        raise IsADirectoryError(0, "a directory is in its place")
    descriptor, name = tempfile.mkstemp(dir=place.parent, prefix=f".{place.name}-")
    stack.callback(_remove, Path(name))
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
        os.fchmod(stream.fileno(), 0o644)
    return Path(name)


def _remove(file: Path) -> None:
    with suppress(OSError):
        file.unlink()
