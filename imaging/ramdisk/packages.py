"""Debian packages: fetched with apt, without being installed, and read with dpkg-deb.

A directory keeps them, with the list of those that a build has used: the same directory gives
the same ramdisk, also without a network.
"""

import json
import re
import subprocess
import tarfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from imaging.errors import ConfigurationError, ImagingError
from imaging.ramdisk.tree import Entry, File, Link, merged

PATIENCE_S = 600.0  # of one process; a kernel's package has 70 MB
LIST = "selection.json"
REMOVE = "remove it, to have it made anew"
_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]+")
_DEPENDENCY = re.compile(r" [ |](?:Pre)?Depends: ([a-z0-9][a-z0-9+.-]+)(?::any)?")


class PackageError(ImagingError):
    """A package cannot be had, or not be read."""


@dataclass(frozen=True, slots=True)
class PackageDirectory:
    """Where packages are kept."""

    path: Path

    def provide(self, roots: Sequence[str], *, update: bool = False) -> dict[str, Path]:
        """The packages that were asked for, and the libraries that they need, by name.

        What is listed from an earlier build is taken as it is, unless ``update``. Raises
        PackageError.
        """
        key = " ".join(sorted(roots))
        lists = self._lists()
        if not update and key in lists and all((self.path / f).is_file() for f in lists[key]):
            return {_package_of(name): self.path / name for name in lists[key]}
        self.path.mkdir(parents=True, exist_ok=True)
        names = with_libraries(roots, dependencies)
        _fetch(names, self.path)
        found = {name: self._newest(name) for name in names}
        lists[key] = sorted(file.name for file in found.values())
        self._write(lists)
        return found

    def resolve(self, name: str, pattern: str, *, update: bool = False) -> str:
        """The package that stands behind one whose name has no version.

        It is the dependency of ``name`` that matches the pattern, from the list of an earlier
        build unless ``update``. Raises PackageError.
        """
        if re.fullmatch(pattern, name):
            return name
        lists = self._lists()
        if update or name not in lists:
            needs = dependencies([name]).get(name, [])
            lists[name] = [needed for needed in needs if re.fullmatch(pattern, needed)][:1]
            if not lists[name]:
                raise PackageError(
                    f"{name} needs no package like {pattern}", hint="is apt-get update due?"
                )
            self._write(lists)
        return lists[name][0]

    def _write(self, lists: dict[str, list[str]]) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        (self.path / LIST).write_text(json.dumps(lists, indent=2, sort_keys=True) + "\n")

    def _lists(self) -> dict[str, list[str]]:
        try:
            lists = json.loads((self.path / LIST).read_text())
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise PackageError(f"{self.path / LIST}: {error.strerror}", hint=REMOVE) from error
        except ValueError as error:
            raise PackageError(f"{self.path / LIST}: is no JSON: {error}", hint=REMOVE) from error
        if not isinstance(lists, dict):
            raise PackageError(f"{self.path / LIST}: is no list of packages", hint=REMOVE)
        return lists

    def _newest(self, name: str) -> Path:
        files = sorted(self.path.glob(f"{name}_*.deb"), key=lambda file: file.stat().st_mtime_ns)
        if not files:
            raise PackageError(
                f"apt-get has left no package {name} in {self.path}", hint="is apt-get update due?"
            )
        return files[-1]


def is_library(package: str) -> bool:
    """Whether a package is one of libraries, by its name."""
    return package.startswith(("lib", "zlib"))


def with_libraries(
    roots: Sequence[str], depends: Callable[[Sequence[str]], dict[str, list[str]]]
) -> list[str]:
    """The packages, and those of libraries that they need, directly or not; sorted."""
    found = set(roots)
    waiting = sorted(found)
    while waiting:
        needed = {name for names in depends(waiting).values() for name in names}
        waiting = sorted(name for name in needed - found if is_library(name))
        found.update(waiting)
    return sorted(found)


def dependencies(names: Sequence[str]) -> dict[str, list[str]]:
    """What each package needs, as apt's lists have it. Raises PackageError."""
    text = _run(["apt-cache", "depends", "--no-recommends", "--no-suggests", *_checked(names)])
    return parse_dependencies(text)


def parse_dependencies(text: str) -> dict[str, list[str]]:
    """Read the answer of ``apt-cache depends``."""
    found: dict[str, list[str]] = {}
    current: list[str] = []
    for line in text.splitlines():
        if _NAME.fullmatch(line):
            current = found.setdefault(line, [])
        elif needed := _DEPENDENCY.fullmatch(line):
            current.append(needed[1])
    return found


def read_package(file: Path, wanted: Callable[[str], bool]) -> dict[str, Entry]:
    """The files and links of a package, by their paths in a merged /usr.

    Only those whose path ``wanted`` accepts. Raises PackageError.
    """
    found: dict[str, Entry] = {}
    command = ["dpkg-deb", "--fsys-tarfile", str(file)]
    try:
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdout is not None
            try:
                with tarfile.open(fileobj=process.stdout, mode="r|") as members:
                    for member in members:
                        _take(members, member, wanted, found)
            finally:
                process.stdout.close()
                process.kill()
    except FileNotFoundError as error:
        raise ConfigurationError("there is no dpkg-deb", hint="this needs Debian") from error
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise PackageError(
            f"{file} is no package that can be read: {error}",
            hint="remove it, to have it fetched anew",
        ) from error
    return found


def _take(
    members: tarfile.TarFile,
    member: tarfile.TarInfo,
    wanted: Callable[[str], bool],
    found: dict[str, Entry],
) -> None:
    if not (member.isreg() or member.issym() or member.islnk()):
        return
    path = merged(member.name)
    if not wanted(path):
        return
    if member.issym():
        found[path] = Link(member.linkname)
    elif member.islnk():
        found[path] = found[merged(member.linkname)]
    else:
        contents = members.extractfile(member)
        assert contents is not None
        found[path] = File(contents.read(), executable=bool(member.mode & 0o100))


def _fetch(names: Iterable[str], directory: Path) -> None:
    _run(["apt-get", "download", "-q", *_checked(names)], directory)


def _checked(names: Iterable[str]) -> list[str]:
    """Names of packages, none of which could be an option. Raises PackageError."""
    checked = list(names)
    for name in checked:
        if not _NAME.fullmatch(name):
            raise PackageError(f"{name!r} is not the name of a Debian package")
    return checked


def _package_of(file: str) -> str:
    return file.partition("_")[0]


def _run(command: list[str], directory: Path | None = None) -> str:
    """Run one of apt's commands; its output. Raises PackageError and ConfigurationError."""
    try:
        done = subprocess.run(
            command, cwd=directory, capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )
    except FileNotFoundError as error:
        raise ConfigurationError(f"there is no {command[0]}", hint="this needs Debian") from error
    except subprocess.TimeoutExpired as error:
        raise PackageError(
            f"{command[0]} has not ended after {PATIENCE_S:g} s", hint="can the mirror be reached?"
        ) from error
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.startswith("E:")]
        raise PackageError(
            f"{command[0]} {command[1]} has failed: {' '.join(lines)[:400]}",
            hint="is apt-get update due?",
        )
    return done.stdout
