"""Finding an image by its name, and checking it before any node is touched."""

import re
from dataclasses import dataclass
from pathlib import Path

from imaging.errors import ConfigurationError
from imaging.frisbee.errors import ImageError
from imaging.frisbee.image import ImageSummary, inspect_image

SUFFIX = ".ndz"
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]*")


def is_image_name(name: str) -> bool:
    """Whether an image can have this name."""
    return _NAME.fullmatch(name) is not None


@dataclass(frozen=True, slots=True)
class Image:
    """An image that is whole: the name it was asked by, its file, and what its chunks say."""

    name: str
    path: Path
    summary: ImageSummary


@dataclass(frozen=True, slots=True)
class ImageLibrary:
    """The images directory of the site."""

    directory: Path

    def names(self) -> tuple[str, ...]:
        """The names by which images can be asked for, sorted; empty when there is no directory."""
        try:
            entries = sorted(self.directory.glob(f"*{SUFFIX}"))
        except OSError:
            return ()
        return tuple(entry.stem for entry in entries if _NAME.fullmatch(entry.name))

    def locate(self, name: str) -> Path:
        """The file that a name stands for: a path (it has a slash), or NAME.ndz of the directory.

        Raises ConfigurationError when there is no such file.
        """
        if "/" in name:
            path = Path(name)
        elif _NAME.fullmatch(name):
            path = self.directory / (name if name.endswith(SUFFIX) else name + SUFFIX)
        else:
            raise ConfigurationError(
                f"{name!r} cannot be the name of an image",
                hint="names have letters, digits and . _ + - only; a path has a slash",
            )
        if not path.is_file():
            raise ConfigurationError(
                f"no image {name!r}: {path} {_absence(path)}", hint=self._known()
            )
        return path.resolve()

    def open(self, name: str) -> Image:
        """Find an image and read all its chunk headers.

        Raises ConfigurationError when it is not there, not readable or not well-formed. Reads the
        disk: call it in a thread.
        """
        path = self.locate(name)
        try:
            summary = inspect_image(path)
        except ImageError as error:
            raise ConfigurationError(str(error)) from error
        return Image(name, path, summary)

    def _known(self) -> str | None:
        names = self.names()
        if not names:
            return f"there are no images in {self.directory}"
        shown = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
        return f"images of {self.directory}: {shown}"


def _absence(path: Path) -> str:
    """Why a path is no file."""
    if path.is_symlink() and not path.exists():
        return "is a dangling link"
    return "is not a regular file" if path.exists() else "does not exist"
