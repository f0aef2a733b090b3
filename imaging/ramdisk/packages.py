"""Debian packages: fetched with apt, without being installed, and read with dpkg-deb.

A directory keeps them, with the list of those that a build has used: the same directory gives
the same ramdisk, also without a network.
"""

import hashlib
import json
import os
import re
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec

from imaging.errors import ConfigurationError, ImagingError
from imaging.ramdisk.tree import Entry, File, Link, merged

PATIENCE_S = 600.0  # of one process; a kernel's package has 70 MB
LIST = "selection.json"
REMOVE = "remove it, to have it made anew"
OTHER_DIRECTORY = "see --packages"
READ_SIZE = 1024 * 1024  # bytes
DOWNLOAD = ("apt-get", "download", "-q")
# names of packages and of their files: in none of them is a slash
Word = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][A-Za-z0-9.+_%~-]*$")]
Lists = dict[str, Annotated[list[Word], msgspec.Meta(min_length=1)]]
_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]+")
# 'URI' FILE SIZE ALGORITHM:CHECKSUM
_ARCHIVE = re.compile(r"'\S+' ([a-z0-9][A-Za-z0-9.+_%~-]*) [0-9]+ (SHA256|SHA512):([0-9A-Fa-f]+)")
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
        names = with_libraries(roots, dependencies)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            found = fetch_packages(names, self.path)
        except OSError as error:
            raise PackageError(
                f"{error.filename or self.path}: {error.strerror}", hint=OTHER_DIRECTORY
            ) from error
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
        text = json.dumps(lists, indent=2, sort_keys=True) + "\n"
        partial = self.path / f".{LIST}"
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            partial.write_text(text)
            partial.rename(self.path / LIST)
        except OSError as error:
            raise PackageError(
                f"{self.path / LIST}: cannot be written: {error.strerror}", hint=OTHER_DIRECTORY
            ) from error

    def _lists(self) -> dict[str, list[str]]:
        try:
            return msgspec.json.decode((self.path / LIST).read_bytes(), type=Lists)
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise PackageError(f"{self.path / LIST}: {error.strerror}", hint=REMOVE) from error
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise PackageError(
                f"{self.path / LIST}: is no list of packages: {error}", hint=REMOVE
            ) from error


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
    try:
        found, borrowed = _read(file, wanted)
        if borrowed:  # another name of a file that is not wanted by its own
            lenders, _ = _read(file, set(borrowed.values()).__contains__)
            for path, lender in borrowed.items():
                if lender not in lenders:
                    raise ValueError(f"{path} is a link to {lender}, which is not there")
                found[path] = lenders[lender]
    except FileNotFoundError as error:
        raise ConfigurationError("there is no dpkg-deb", hint="this needs Debian") from error
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise PackageError(
            f"{file} is no package that can be read: {error}",
            hint="remove it, to have it fetched anew",
        ) from error
    return found


def _read(file: Path, wanted: Callable[[str], bool]) -> tuple[dict[str, Entry], dict[str, str]]:
    """The wanted entries; and those that are hard links to what is not among them, with that.

    Raises what tarfile raises, and ValueError when dpkg-deb finds the package broken.
    """
    found: dict[str, Entry] = {}
    borrowed: dict[str, str] = {}
    command = ["dpkg-deb", "--fsys-tarfile", str(file)]
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            with tarfile.open(fileobj=process.stdout, mode="r|") as members:
                for member in members:
                    _take(members, member, wanted, found, borrowed)
            # it tells a wrong checksum last, when all that is wrong has been read
            while process.stdout.read(READ_SIZE):
                continue
            complaint = process.stderr.read().decode("utf-8", "replace").strip()
            if process.wait() != 0:
                raise ValueError((complaint.splitlines() or ["dpkg-deb does not say why"])[-1])
        finally:
            process.stdout.close()
            process.kill()
    return found, borrowed


def _take(
    members: tarfile.TarFile,
    member: tarfile.TarInfo,
    wanted: Callable[[str], bool],
    found: dict[str, Entry],
    borrowed: dict[str, str],
) -> None:
    if not (member.isreg() or member.issym() or member.islnk()):
        return
    path = merged(member.name)
    if not wanted(path):
        return
    if member.issym():
        found[path] = Link(member.linkname)
    elif member.islnk():
        lender = merged(member.linkname)
        if lender in found:
            found[path] = found[lender]
        else:
            borrowed[path] = lender
    else:
        contents = members.extractfile(member)
        assert contents is not None
        found[path] = File(contents.read(), executable=bool(member.mode & 0o100))


def fetch_packages(names: Sequence[str], directory: Path) -> dict[str, Path]:
    """Have the packages of apt's lists in a directory, by name; what is there is not fetched.

    apt-get sees to signatures and checksums of what it fetches, and what is there must have the
    checksum of its list. Nothing is put there that is not whole. Raises PackageError and OSError.
    """
    with tempfile.TemporaryDirectory(dir=directory, prefix=".fetching-") as place:
        fetched = Path(place)
        # in an empty directory: it does not list what it finds there
        archives = parse_archives(_run([*DOWNLOAD, "--print-uris", *_checked(names)], fetched))
        there = {
            name: directory / archive.file
            for name, archive in archives.items()
            if archive.is_in(directory)
        }
        missing = [name for name in names if name not in there]
        if missing:
            _run([*DOWNLOAD, *missing], fetched)
        for name in missing:
            files = list(fetched.glob(f"{name}_*.deb"))
            if len(files) != 1:
                raise PackageError(
                    f"apt-get has left no package {name} in {directory}",
                    hint="is apt-get update due?",
                )
            there[name] = files[0].rename(directory / files[0].name)
    return {name: there[name] for name in names}


@dataclass(frozen=True, slots=True)
class Archive:
    """A package's file as apt's list has it: its name and its checksum, in hexadecimal digits."""

    file: str
    algorithm: str
    checksum: str

    def is_in(self, directory: Path) -> bool:
        """Whether it is there, and no byte of it is another. Raises OSError."""
        file = directory / self.file
        if not file.is_file():
            return False
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, self.algorithm).hexdigest() == self.checksum


def parse_archives(text: str) -> dict[str, Archive]:
    """Read the answer of ``apt-get download --print-uris``: archives by the packages' names."""
    lines = map(_ARCHIVE.fullmatch, text.splitlines())
    found = (Archive(line[1], line[2].lower(), line[3].lower()) for line in lines if line)
    return {_package_of(archive.file): archive for archive in found}


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
            command,
            cwd=directory,
            env={**os.environ, "LC_ALL": "C"},  # what it says is read
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PATIENCE_S,
            check=False,
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
