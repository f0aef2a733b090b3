"""All that the images directories hold, told as what it is: images, aliases, and what is neither.

Each image is glanced at, not read: see ``verification`` for the latter. Names and texts are given
as they are; what shows them to a terminal must escape them (``wording.printable``).
"""

import errno
import stat
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from pathlib import Path

import msgspec
from msgspec.structs import replace

from imaging.errors import ConfigurationError
from imaging.frisbee.errors import ImageError
from imaging.frisbee.image import glance_image
from imaging.images.library import ImageLibrary
from imaging.images.partial import PARTIAL, is_growing
from imaging.images.provenance import SidecarState, file_date, provenance, words_of
from imaging.images.sidecar import SUFFIX, Sidecar

LINK_LIMIT = 40  # as the kernel has it


class Kind(StrEnum):
    """What an entry is: a stable word for scripts."""

    IMAGE = "image"
    ALIAS = "alias"
    PARTIAL = "partial"
    BROKEN = "broken"
    UNREADABLE = "unreadable"
    DANGLING = "dangling"


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of an images directory; an alias has the properties of its target.

    Attributes:
        name: without the suffix.
        kind: an image that looks whole, an alias of one, what a save has not finished, or why it
            is none of these. An alias of what is broken is broken.
        path: of the entry itself.
        file: where its data is, behind all aliases.
        private: in the directory of private images.
        target: what an alias says: a name, or a path when it leads out of the directory.
        size: of the file, in bytes.
        covered_bytes: of disk, that the image speaks for.
        minimum_disk_size: in bytes.
        date: when it was saved, else when the file was last written.
        sidecar_state: None when there is nothing that could have a sidecar.
        sidecar: as far as it speaks of this file.
        aliases: names of the aliases that lead here, directly or not.
        growing: somebody is saving it now; a partial one that does not grow is left over.
        problem: what is wrong, of the image or of its sidecar.
    """

    name: str
    kind: Kind
    path: Path
    file: Path
    private: bool = False
    target: str | None = None
    size: int | None = None
    covered_bytes: int | None = None
    minimum_disk_size: int | None = None
    date: datetime | None = None
    sidecar_state: SidecarState | None = None
    sidecar: Sidecar | None = None
    aliases: tuple[str, ...] = ()
    growing: bool = False
    problem: str | None = None

    @property
    def usable(self) -> bool:
        """Whether its name could be loaded, as far as a glance can tell."""
        return self.kind in (Kind.IMAGE, Kind.ALIAS)


def catalogue(library: ImageLibrary) -> list[Entry]:
    """All entries of both directories, by name.

    Raises ConfigurationError when the images directory, or a private one that exists, cannot be
    read.
    """
    entries = []
    for directory in library.directories:
        private = directory == library.private
        for path in _listed(directory, may_be_absent=private):
            entry = _entry_of(path)
            if entry is not None:
                entries.append(replace(entry, private=private))
    return sorted(_with_aliases(entries), key=lambda entry: (entry.name, entry.private))


def link_chain(path: Path) -> list[Path]:
    """The places that a link leads through, one after the other; the last may be missing."""
    chain: list[Path] = []
    try:
        while path.is_symlink() and len(chain) < LINK_LIMIT:
            path = _place(path.parent.resolve() / path.readlink())
            chain.append(path)
    except (OSError, RuntimeError):
        pass  # nothing can be said of what lies behind
    return chain


def aliases_of(library: ImageLibrary, path: Path) -> list[Path]:
    """The aliases in both directories that lead to, or through, this entry of one of them."""
    place = _place(path)
    return [
        entry
        for directory in library.directories
        for entry in _listed(directory, may_be_absent=True)
        if entry.name.endswith(SUFFIX) and _place(entry) != place and place in link_chain(entry)
    ]


def _listed(directory: Path, *, may_be_absent: bool) -> list[Path]:
    try:
        return sorted(directory.iterdir())
    except FileNotFoundError:
        if may_be_absent:
            return []  # nothing has been saved yet
        raise ConfigurationError(
            f"the images directory {directory} does not exist",
            hint="set [images] directory in the settings",
        ) from None
    except OSError as error:
        raise ConfigurationError(
            f"cannot read {directory}: {error.strerror}", hint="see [images] in the settings"
        ) from error


def _entry_of(path: Path) -> Entry | None:
    """What a directory entry is; None when it has nothing to do with images, or has just gone."""
    name = path.name
    try:
        if name.startswith(".") and name.endswith(SUFFIX + PARTIAL):
            return _partial(path, name[1 : -len(SUFFIX + PARTIAL)])
        if name.startswith(".") or not name.endswith(SUFFIX):
            return None
        if path.is_symlink():
            return _alias(path)
        return _image(path)
    except FileNotFoundError:
        return None


def _partial(path: Path, name: str) -> Entry:
    """An image that is being saved, or what is left of one."""
    status = path.lstat()
    entry = Entry(
        name=name,
        kind=Kind.PARTIAL,
        path=path,
        file=path,
        size=status.st_size,
        date=file_date(status.st_mtime),
        problem="left by a save that died",
    )
    if not stat.S_ISREG(status.st_mode):
        return replace(entry, kind=Kind.BROKEN, problem="not a regular file")
    try:
        if is_growing(path):
            return replace(entry, growing=True, problem="being saved now")
    except FileNotFoundError:
        raise
    except OSError as error:
        problem = f"a partial image: {error.strerror}"
        return replace(entry, kind=Kind.UNREADABLE, problem=problem)
    return entry


def _alias(path: Path) -> Entry:
    link = path.readlink()
    within = link.parent == Path() and link.name.endswith(SUFFIX)
    target = link.name.removesuffix(SUFFIX) if within else str(link)
    name = path.name.removesuffix(SUFFIX)
    dangling = Entry(name=name, kind=Kind.DANGLING, path=path, file=path, target=target)
    try:
        file = path.resolve(strict=True)
    except FileNotFoundError:
        return replace(dangling, problem=f"an alias of {target}, which does not exist")
    except (OSError, RuntimeError) as error:
        # a loop of links is a RuntimeError until Python 3.12
        if isinstance(error, RuntimeError) or error.errno == errno.ELOOP:
            return replace(dangling, problem=f"an alias of {target}: a loop of aliases")
        problem = f"an alias of {target}: {error.strerror}"
        return replace(dangling, kind=Kind.UNREADABLE, problem=problem)
    entry = replace(_image(file), name=name, path=path, target=target)
    return replace(entry, kind=Kind.ALIAS) if entry.kind is Kind.IMAGE else entry


def _image(path: Path) -> Entry:
    status = path.stat()
    entry = Entry(
        name=path.name.removesuffix(SUFFIX),
        kind=Kind.BROKEN,
        path=path,
        file=path,
        size=status.st_size,
        date=file_date(status.st_mtime),
    )
    if not stat.S_ISREG(status.st_mode):
        return replace(entry, size=None, problem="not a regular file")
    origin = provenance(path)
    entry = replace(entry, date=origin.date, sidecar_state=origin.state, sidecar=origin.trusted)
    try:
        glance = glance_image(path)
    except ImageError as error:
        kind = Kind.UNREADABLE if isinstance(error.__cause__, OSError) else Kind.BROKEN
        return replace(entry, kind=kind, problem=words_of(error, path))
    entry = replace(
        entry,
        size=glance.size,
        covered_bytes=glance.covered_bytes,
        minimum_disk_size=glance.minimum_disk_size,
        problem=origin.problem,
    )
    if origin.cuts(glance.size):
        return replace(entry, problem=f"cut short: {origin.problem}")
    return replace(entry, kind=Kind.IMAGE)


def _with_aliases(entries: Iterable[Entry]) -> list[Entry]:
    """The entries, those of images with the names of their aliases."""
    entries = list(entries)
    names: defaultdict[Path, list[str]] = defaultdict(list)
    for entry in entries:
        for place in set(link_chain(entry.path)) - {_place(entry.path)}:
            names[place].append(entry.name)
    return [
        replace(entry, aliases=tuple(sorted(names.get(_place(entry.path), ()))))
        for entry in entries
    ]


def _place(path: Path) -> Path:
    """An entry by the one way to its directory; the entry itself may be a link."""
    return path.parent.resolve() / path.name
