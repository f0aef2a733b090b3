"""Keeping the library in order: share a private image, make or move an alias, remove an image.

Each plan has made all checks that can be made beforehand, says what it would do, and does it.
Whatever goes wrong while it does, no name ever leads to half an image.
"""

import os
import stat
from pathlib import Path
from typing import Protocol

import msgspec

from imaging.errors import ConfigurationError, InfrastructureError, Reason
from imaging.feedback.wording import printable
from imaging.images.catalogue import aliases_of, link_chain
from imaging.images.library import ImageLibrary, check_name
from imaging.images.partial import (
    is_growing,
    partial_path,
    remove_left,
    settle,
    store_failed,
)
from imaging.images.sidecar import SUFFIX, sidecar_path


class Plan(Protocol):
    """Something that would be done to the library, all checks done."""

    def describe(self) -> list[str]:
        """The steps, each as an order: ``remove FILE``; none when there is nothing to do."""

    def carry_out(self) -> None:
        """Do it. Raises InfrastructureError."""


class AliasPlan(msgspec.Struct, frozen=True):
    """Make an alias, or move it from ``before``."""

    link: Path
    target: str
    before: str | None

    def describe(self) -> list[str]:
        """The one step."""
        if self.before == self.target:
            return []
        if self.before is None:
            return [printable(f"make {self.link} an alias of {self.target}")]
        return [printable(f"move the alias {self.link} from {self.before} to {self.target}")]

    def carry_out(self) -> None:
        """Make the link in one step; nothing else of that name is ever replaced.

        Raises InfrastructureError ``store-failed``.
        """
        if self.before == self.target:
            return
        try:
            if self.before is None:
                self.link.symlink_to(self.target)
            else:
                self._move()
            settle(self.link.parent)
        except OSError as error:
            raise store_failed(f"cannot make the alias {self.link}", error) from error

    def _move(self) -> None:
        fresh = self.link.with_name(f".{self.link.name}.alias-{os.getpid()}")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(self.target)
        try:
            if self.link.readlink() != Path(self.before or ""):
                raise InfrastructureError(
                    f"somebody else has moved {self.link} meanwhile",
                    reason=Reason.BUSY,
                    hint="see where it leads now",
                )
            fresh.replace(self.link)
        finally:
            fresh.unlink(missing_ok=True)


def plan_alias(library: ImageLibrary, alias: str, target: str, *, force: bool) -> AliasPlan:
    """Plan an alias in the images directory; with ``force`` one that exists may be moved.

    Raises ConfigurationError: the target is no whole image of that directory, the alias is an
    image, or would lead to itself.
    """
    link = library.directory / f"{check_name(alias)}{SUFFIX}"
    entry = _entry_in_images(library, target)
    place = library.directory.resolve() / link.name
    if place == entry or place in link_chain(entry):
        raise ConfigurationError(
            f"{link.name} would be an alias of itself", hint="choose another name"
        )
    what = state_of(link)
    if what is None:
        before = None
    elif not stat.S_ISLNK(what.st_mode):
        raise ConfigurationError(
            f"{link} is an image and no alias, and is kept", hint="choose another name"
        )
    else:
        before = str(link.readlink())
        if before != entry.name and not force:
            raise ConfigurationError(
                f"{link.name} is an alias of {printable(before)} already", hint="--force moves it"
            )
    check_writable(library.directory)
    return AliasPlan(link, entry.name, before)


def _entry_in_images(library: ImageLibrary, name: str) -> Path:
    """The entry of the images directory that a name or a path stands for, itself maybe an alias."""
    found = library.resolve(name)
    directory = library.directory.resolve()
    if "/" in name:
        entry = Path(name).parent.resolve() / Path(name).name
    else:
        entry = directory / f"{check_name(name)}{SUFFIX}"
        if state_of(entry) is None:
            entry = found.image.path  # by its radical, or a private one
    if entry.parent != directory:
        raise ConfigurationError(
            printable(f"{entry} is not in {library.directory}, where aliases are"),
            hint="share it first: imaging-image share",
        )
    return entry


class RemovalPlan(msgspec.Struct, frozen=True):
    """Remove files, the image first."""

    what: str
    files: tuple[Path, ...]

    def describe(self) -> list[str]:
        """A step for each file."""
        steps = [f"remove {self.what} {self.files[0]}"]
        steps += [f"remove its sidecar {file}" for file in self.files[1:]]
        return [printable(step) for step in steps]

    def carry_out(self) -> None:
        """Remove them; what has gone meanwhile is no error.

        Raises InfrastructureError ``store-failed``.
        """
        try:
            for file in self.files:
                file.unlink(missing_ok=True)
            settle(self.files[0].parent)
        except OSError as error:
            raise store_failed(f"cannot remove {printable(str(file))}", error) from error


class LeftoverPlan(msgspec.Struct, frozen=True):
    """Remove what a save that died has left."""

    partial: Path

    def describe(self) -> list[str]:
        """The one step."""
        return [printable(f"remove what a dead save has left in {self.partial}")]

    def carry_out(self) -> None:
        """Remove it, unless somebody has begun to save an image of that name.

        Raises InfrastructureError ``store-failed``.
        """
        try:
            remove_left(self.partial)
        except OSError as error:
            raise store_failed(f"cannot remove {printable(str(self.partial))}", error) from error


def plan_removal(library: ImageLibrary, name: str) -> RemovalPlan | LeftoverPlan:
    """Plan to remove an image with its sidecar, an alias alone, or what a dead save has left.

    Raises ConfigurationError: there is no such thing in the library, the name could mean two, an
    alias leads there, or it is being saved.
    """
    entry = _entry_to_remove(library, name)
    what = state_of(entry)
    if what is None:
        return _plan_leftover(entry, name)
    if stat.S_ISDIR(what.st_mode):
        raise ConfigurationError(
            f"{printable(str(entry))} is a directory", hint="only images and aliases are removed"
        )
    refuse_if_aliased(library, entry)
    check_writable(entry.parent)
    if stat.S_ISLNK(what.st_mode):
        return RemovalPlan("the alias", (entry,))
    sidecar = sidecar_path(entry)
    return RemovalPlan("the image", (entry, sidecar) if state_of(sidecar) else (entry,))


def _entry_to_remove(library: ImageLibrary, name: str) -> Path:
    if "/" in name:
        path = Path(name)
        homes = [directory.resolve() for directory in library.directories]
        if path.parent.resolve() not in homes or not path.name.endswith(SUFFIX):
            raise ConfigurationError(
                f"{printable(name)} is not an image of the library",
                hint="imaging-list shows what is there",
            )
        return path
    stem = check_name(name)
    entries = [directory / f"{stem}{SUFFIX}" for directory in library.directories]
    there = [entry for entry in entries if state_of(entry)]
    there = there or [entry for entry in entries if state_of(partial_path(entry))]
    if not there:
        raise ConfigurationError(
            f"no image {name!r} in {' or '.join(map(str, library.directories))}",
            hint="imaging-list shows what is there",
        )
    if len(there) > 1:
        raise ConfigurationError(
            f"{name!r} could be {' or '.join(map(str, there))}", hint="give the path"
        )
    return there[0]


def _plan_leftover(entry: Path, name: str) -> LeftoverPlan:
    partial = partial_path(entry)
    what = state_of(partial)
    if what is None:
        raise ConfigurationError(
            f"no image {printable(name)}: it does not exist",
            hint="imaging-list shows what is there",
        )
    try:
        growing = stat.S_ISREG(what.st_mode) and is_growing(partial)
    except OSError as error:
        raise ConfigurationError(f"{printable(str(partial))}: {error.strerror}") from error
    if growing:
        raise ConfigurationError(
            f"{printable(name)} is being saved now", hint="wait for the end of that"
        )
    check_writable(partial.parent)
    return LeftoverPlan(partial)


def refuse_if_aliased(library: ImageLibrary, entry: Path) -> None:
    """Raise ConfigurationError when an alias leads to an entry, and would dangle without it."""
    place = entry.parent.resolve() / entry.name
    # the aliases of a loop lead nowhere anyway
    aliases = [alias for alias in aliases_of(library, entry) if place not in link_chain(place)]
    if aliases:
        names = ", ".join(printable(alias.name.removesuffix(SUFFIX)) for alias in aliases)
        raise ConfigurationError(
            f"{printable(entry.name)} is what {names} leads to",
            hint="move or remove that alias first",
        )


def check_writable(directory: Path) -> None:
    """Raise ConfigurationError when names cannot be made or removed there."""
    if not directory.is_dir():
        raise ConfigurationError(
            f"the directory {directory} does not exist", hint="see [images] in the settings"
        )
    if not os.access(directory, os.W_OK | os.X_OK):
        raise ConfigurationError(
            f"no permission to write in {directory}", hint="see [images] in the settings"
        )


def state_of(path: Path) -> os.stat_result | None:
    """What is at a place, a link being itself; None when there is nothing.

    Raises ConfigurationError when the place may not be looked at.
    """
    try:
        return path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ConfigurationError(
            f"{printable(str(path))}: {error.strerror}", hint="imaging-list shows what is there"
        ) from error
