"""Finding an image by its name, and checking it before any node is touched.

How a name resolves, for every command:

1. a path (it has a slash) is that file;
2. else NAME.ndz in the images directory, be it a file or an alias;
3. else NAME.ndz in the private directory, when there is one;
4. else the newest complete image, in either directory, whose radical is NAME.

The radical is what follows the last ``__``, as ``fedora`` in the names that older tools gave:
``saving__fit01__2026-03-01__fedora``. An image that is broken is never taken: found by its
radical it is passed over, called by its name it is an error.
"""

import errno
import re
import stat
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import msgspec

from imaging.errors import ConfigurationError
from imaging.feedback.wording import printable
from imaging.frisbee.errors import ImageError
from imaging.frisbee.image import ImageSummary
from imaging.images.provenance import inspect_whole, provenance, words_of
from imaging.images.sidecar import SUFFIX
from imaging.site.schema import ImagesSettings

NAME_LIMIT = 200  # characters; file systems allow 255, and hidden names are longer
MARK = "__"  # the radical comes after the last one
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]*")


class Image(msgspec.Struct, frozen=True):
    """An image that is whole: the name it was asked by, its file, and what its chunks say."""

    name: str
    path: Path
    summary: ImageSummary


class Loser(msgspec.Struct, frozen=True):
    """A file that a name could have stood for, and why it does not."""

    path: Path
    why: str


class Resolution(msgspec.Struct, frozen=True):
    """The one image that a name stands for, and why that one."""

    image: Image
    why: str
    losers: tuple[Loser, ...] = ()


class _Candidate(msgspec.Struct, frozen=True):
    """An image with the right radical; ``date`` is None when the entry leads to no file."""

    entry: Path
    real: Path
    date: datetime | None


def check_name(name: str) -> str:
    """The name of an image, without its suffix. Raises ConfigurationError when it is none."""
    stem = name.removesuffix(SUFFIX)
    if len(stem) > NAME_LIMIT:
        raise ConfigurationError(f"an image's name has {NAME_LIMIT} characters at most: {stem}")
    if not _NAME.fullmatch(stem):
        raise ConfigurationError(
            f"{name!r} cannot be the name of an image",
            hint="names have letters, digits and . _ + - only; a path has a slash",
        )
    return stem


def radical_of(stem: str) -> str | None:
    """What follows the last ``__`` of a name; None when there is nothing of the kind."""
    return stem.rpartition(MARK)[2] or None if MARK in stem else None


class ImageLibrary(msgspec.Struct, frozen=True):
    """The images directory of the site and, when there is one, the directory of private images."""

    directory: Path
    private: Path | None = None

    @classmethod
    def of(cls, settings: ImagesSettings) -> "ImageLibrary":
        """The library that the settings describe."""
        same = settings.private == settings.directory
        return cls(settings.directory, None if same else settings.private)

    @property
    def directories(self) -> tuple[Path, ...]:
        """Where images are, in the order in which names are looked up."""
        return (self.directory,) if self.private is None else (self.directory, self.private)

    def names(self) -> tuple[str, ...]:
        """The names by which images can be asked for, sorted; empty when there is no directory."""
        stems = [entry.name.removesuffix(SUFFIX) for entry in self._entries()]
        radicals = [radical for stem in stems if (radical := radical_of(stem))]
        return tuple(sorted({name for name in stems + radicals if _NAME.fullmatch(name)}))

    def locate(self, name: str) -> Path:
        """The file that a name stands for. Raises ConfigurationError as :meth:`resolve`."""
        return self.resolve(name).image.path

    def open(self, name: str) -> Image:
        """Find an image and read all its chunk headers.

        Raises ConfigurationError when it is not there, not readable or not well-formed. Reads the
        disk: call it in a thread.
        """
        return self.resolve(name).image

    def resolve(self, name: str) -> Resolution:
        """The image that a name stands for, why that one, and what else it could have been.

        Raises ConfigurationError when there is none, or it is not whole.
        """
        if "/" in name:
            return Resolution(self._exact(name, Path(name)), "it is a path, as it has a slash")
        stem = check_name(name)
        places = [directory / f"{stem}{SUFFIX}" for directory in self.directories]
        there = [place for place in places if _is_there(place)]
        if not there:
            return self._by_radical(name, stem)
        first, *others = there
        image = self._exact(name, first)
        losers = [Loser(place, "the images directory comes first") for place in others]
        losers += [
            Loser(candidate.entry, "an image of the very name comes before radicals")
            for candidate in self._candidates(stem)
            if candidate.real != image.path
        ]
        kind = "an alias" if first.is_symlink() else "an image"
        room = "images directory" if first.parent == self.directory else "private directory"
        why = f"{first.name} is {kind} in the {room}"
        return Resolution(image, why, tuple(losers))

    def _exact(self, name: str, path: Path) -> Image:
        """The image that is this file, which must be whole."""
        try:
            mode = _mode(path)
        except OSError as error:
            raise _unusable(f"no image {name!r}: {path}: {error.strerror}") from error
        if mode is None or not stat.S_ISREG(mode):
            raise _unusable(f"no image {name!r}: {path} {_absence(path)}", hint=self._known())
        real = path.resolve()
        try:
            return Image(name, real, inspect_whole(real))
        except ImageError as error:
            raise _unusable(str(error)) from error

    def _by_radical(self, name: str, stem: str) -> Resolution:
        """The newest whole image with that radical."""
        chosen: Image | None = None
        losers: list[Loser] = []
        for candidate in self._candidates(stem):
            entry, real, date = candidate.entry, candidate.real, candidate.date
            if date is None:
                losers.append(Loser(entry, _absence(entry)))
            elif not entry.name.isprintable():
                # it could be printed neither for a terminal nor for a script
                losers.append(Loser(entry, "its name holds control characters"))
            elif chosen is not None and chosen.path == real:
                continue  # an alias of it
            elif chosen is not None:
                losers.append(Loser(entry, f"is older: {date:%Y-%m-%d %H:%M:%S} UTC"))
            else:
                try:
                    chosen = Image(name, real, inspect_whole(real))
                    why = f"{entry.name} is the newest whole image with the radical {stem}"
                except ImageError as error:
                    losers.append(Loser(entry, words_of(error, real)))
        if chosen is not None:
            return Resolution(chosen, why, tuple(losers))
        if losers:
            raise _unusable(
                f"no image {name!r}: none with that radical is usable",
                hint="; ".join(f"{loser.path.name}: {loser.why}" for loser in losers[:3]),
            )
        place = self.directory / f"{stem}{SUFFIX}"
        raise _unusable(f"no image {name!r}: {place} {_absence(place)}", hint=self._known())

    def _candidates(self, radical: str) -> list[_Candidate]:
        """The images with that radical, the newest first."""
        found = [
            _candidate(entry)
            for entry in self._entries()
            if radical_of(entry.name.removesuffix(SUFFIX)) == radical
        ]
        dated = [(candidate.date, candidate) for candidate in found if candidate.date is not None]
        dated.sort(key=lambda pair: (pair[0], pair[1].entry.name), reverse=True)
        return [pair[1] for pair in dated] + [one for one in found if one.date is None]

    def _entries(self) -> Iterator[Path]:
        """All that is called like an image; a directory that cannot be read is an empty one."""
        for directory in self.directories:
            try:
                entries = sorted(directory.iterdir())
            except OSError:
                continue
            for entry in entries:
                if entry.name.endswith(SUFFIX) and not entry.name.startswith("."):
                    yield entry

    def _known(self) -> str:
        names = self.names()
        places = " and ".join(str(directory) for directory in self.directories)
        if not names:
            return f"there are no images in {places}"
        shown = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
        return f"images of {places}: {shown}"


def _unusable(message: str, *, hint: str | None = None) -> ConfigurationError:
    """An error whose names of files cannot harm a terminal."""
    return ConfigurationError(printable(message), hint=printable(hint) if hint else None)


def _is_there(path: Path) -> bool:
    """Whether there is anything of that name, be it a dangling link."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise _unusable(f"{path}: {error.strerror}") from error
    return True


def _candidate(entry: Path) -> _Candidate:
    try:
        real = entry.resolve()
        is_file = stat.S_ISREG(real.stat().st_mode)
        return _Candidate(entry, real, provenance(real).date if is_file else None)
    except (OSError, RuntimeError):  # RuntimeError: a loop of links
        return _Candidate(entry, entry, None)


def _mode(path: Path) -> int | None:
    """The mode of what a path leads to, None for nothing. Raises OSError.

    Since Python 3.14, pathlib's is_file() takes what cannot be reached for nothing.
    """
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if error.errno == errno.ELOOP:
            return None
        raise


def _absence(path: Path) -> str:
    """Why a path is no file."""
    try:
        if _mode(path) is not None:
            return "is not a regular file"
        return "is a dangling link" if path.is_symlink() else "does not exist"
    except OSError as error:
        return f"cannot be reached: {error.strerror}"
