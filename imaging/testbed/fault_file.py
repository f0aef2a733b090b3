"""The file of faults of a running testbed: read when it matters, counted down when it acts.

Whoever changes it holds a lock and replaces it, so that no reader meets half of it, and a fault
that acts twice does not act three times.
"""

import fcntl
import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from imaging.errors import ConfigurationError
from imaging.testbed.faults import Fault, Faults, count_down, find, format_faults, parse_faults

log = logging.getLogger(__name__)

_Version = tuple[int, int, int] | None


class FaultFile:
    """The faults of one testbed."""

    def __init__(self, path: Path) -> None:
        """``path`` need not exist: then there are no faults."""
        self._path = path
        self._known: tuple[_Version, Faults] | None = None

    def read(self) -> Faults:
        """All faults that are set. Raises ConfigurationError."""
        return parse_faults(self._content())

    def change(self, change: Callable[[Faults], Faults]) -> None:
        """Replace the faults by what ``change`` makes of them. Raises ConfigurationError."""
        with self._locked():
            self._write(change(self.read()))

    def clear(self) -> None:
        """Have no faults, also when the file cannot be read."""
        with self._locked():
            self._write({})

    def take(self, node: str, kind: str, *words: str) -> Fault | None:
        """The fault with which a node acts now, when it has one of these words; it is counted.

        A file that cannot be read has no faults, and is logged, once.
        """
        faults = self._lenient()
        fault = find(faults, node, kind, words)
        if fault is not None and fault.times is not None:
            with self._locked():
                faults = self._lenient()
                fault = find(faults, node, kind, words)
                if fault is not None and fault.times is not None:
                    self._write(count_down(faults, node, kind, fault))
        if fault is not None:
            log.info("%s fault: %s %s", node, kind, fault)
        return fault

    def _content(self) -> bytes:
        try:
            return self._path.read_bytes()
        except FileNotFoundError:
            return b"{}"
        except OSError as error:
            raise ConfigurationError(
                f"cannot read {self._path}: {error.strerror}", hint="remove it"
            ) from error

    def _lenient(self) -> Faults:
        """The faults as they are now; they are parsed when the file is another one."""
        version = self._version()
        if self._known is None or self._known[0] != version:
            try:
                faults = parse_faults(self._content())
            except ConfigurationError as error:
                log.warning("ignored: %s", error)
                faults = {}
            self._known = version, faults
        return self._known[1]

    def _version(self) -> _Version:
        """What changes with the file: who changes it replaces it."""
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns, status.st_size

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with self._path.with_name(f".{self._path.name}.lock").open("a") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            yield

    def _write(self, faults: Faults) -> None:
        descriptor, name = tempfile.mkstemp(prefix=".faults-", dir=self._path.parent)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(format_faults(faults))
        Path(name).replace(self._path)
