"""A trial on this host: programs of the ramdisk, run with its own loader and its own libraries.

What fails here would fail on each node, where nobody is told why.
"""

import errno
import os
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from imaging.errors import ConfigurationError, ImagingError
from imaging.ramdisk.elf import LIBRARIES, LOADER, is_elf, needed_libraries
from imaging.ramdisk.tree import Directory, File, Link, Tree

PATIENCE_S = 120.0  # of one program: Python compiles its library in a second or two
OTHER_DIRECTORY = "$TMPDIR names another directory"
# what the loader would otherwise find out when a function is called
ALL_SYMBOLS = {"LD_WARN": "yes", "LD_BIND_NOW": "yes", "LC_ALL": "C"}


@contextmanager
def laid_out(tree: Tree) -> Iterator[Path]:
    """The files of a tree in a directory, as long as the block lasts. Raises ImagingError."""
    with ExitStack() as stack:
        try:
            name = stack.enter_context(tempfile.TemporaryDirectory(prefix="imaging-ramdisk-"))
            _write(tree, Path(name))
        except OSError as error:
            where = os.environ.get("TMPDIR", "/tmp")  # noqa: S108 - it is only told
            raise ImagingError(
                f"the ramdisk cannot be laid out in {where} for a trial: {error.strerror}",
                hint=OTHER_DIRECTORY,
            ) from error
        yield Path(name)


def _write(tree: Tree, place: Path) -> None:
    for path, entry in tree:
        target = place / path
        match entry:
            case Directory():
                target.mkdir()
            case Link(to):
                target.symlink_to(to)
            case File(data, executable, _):
                target.write_bytes(data)
                target.chmod(0o755 if executable else 0o644)


def run_there(
    place: Path,
    words: Sequence[str],
    environment: Mapping[str, str],
    *,
    patience_s: float = PATIENCE_S,
) -> "subprocess.CompletedProcess[str]":
    """Run a program by the loader of the system laid out at ``place``, to its end.

    ``words`` may begin with options of the loader. Raises ConfigurationError.
    """
    libraries = place / LIBRARIES
    command = [str(libraries / LOADER), "--library-path", str(libraries), *words]
    try:
        return subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=patience_s,
            check=False,
        )
    except OSError as error:
        noexec = f"is {place.parent} mounted with noexec? {OTHER_DIRECTORY}"
        raise ConfigurationError(
            f"programs of the ramdisk do not run here: {error.strerror}",
            hint=noexec if error.errno == errno.EACCES else "it is built on an amd64 machine",
        ) from error
    except subprocess.TimeoutExpired as error:
        raise ConfigurationError(
            f"a program of the ramdisk has not ended after {patience_s:g} s",
            hint="is this host very slow, or its disk?",
        ) from error


def prove_libraries(tree: Tree, programs: Iterable[str]) -> None:
    """See that the libraries in the tree are those that these programs of it were made for.

    Raises ConfigurationError.
    """
    small = Tree()
    dynamic = []
    for path, file in tree.files():
        if path.startswith(f"{LIBRARIES}/"):
            small.add(path, file)
        elif path in programs and is_elf(file.data) and needed_libraries(path, file.data):
            small.add(path, file)
            dynamic.append(path)
    if not dynamic:
        return
    with laid_out(small) as place:
        for path in dynamic:
            listed = run_there(place, ["--list", str(place / path)], ALL_SYMBOLS)
            # it lists on the one, and complains on the other
            complaints = listed.stderr.strip().splitlines()
            if listed.returncode != 0 or complaints:
                last = (complaints or [f"exit status {listed.returncode}"])[-1]
                raise ConfigurationError(
                    f"{Path(path).name} does not go with the ramdisk's libraries: "
                    f"{last.replace(f'{place}/', '')}",
                    hint="was it made for this release of Debian?",
                )
