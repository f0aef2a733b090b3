"""Where an image comes from: its sidecar, as far as that speaks of this very file."""

from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

import msgspec

from imaging.frisbee.errors import ImageError
from imaging.frisbee.image import ImageSummary, inspect_image
from imaging.images.sidecar import Sidecar, read_sidecar, sidecar_path

EARLIEST, LATEST = datetime(1970, 1, 2, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)


class SidecarState(StrEnum):
    """What the sidecar of an image is worth: a stable word for scripts."""

    FINE = "fine"
    MISSING = "missing"
    MALFORMED = "malformed"
    OTHER_SIZE = "other-size"


class Provenance(msgspec.Struct, frozen=True):
    """What is known of an image besides its content.

    ``sidecar`` is there when it could be read, also when it speaks of a file of another size;
    ``date`` is the sidecar's when it is fine, else that of the file. ``problem`` says what is
    wrong with the sidecar.
    """

    state: SidecarState
    date: datetime
    sidecar: Sidecar | None = None
    problem: str | None = None

    @property
    def trusted(self) -> Sidecar | None:
        """The sidecar, unless it speaks of another file."""
        return self.sidecar if self.state is SidecarState.FINE else None

    def cuts(self, size: int) -> bool:
        """Whether a file of that size is only the beginning of what the sidecar speaks of."""
        return (
            self.state is SidecarState.OTHER_SIZE
            and self.sidecar is not None
            and size < self.sidecar.size
        )


def provenance(image: Path) -> Provenance:
    """Read what is known of an image; ``image`` is a file, not an alias. Raises OSError."""
    status = image.stat()
    date = file_date(status.st_mtime)
    try:
        sidecar = read_sidecar(image)
    except ImageError as error:
        return Provenance(SidecarState.MALFORMED, date, problem=str(error))
    if sidecar is None:
        return Provenance(SidecarState.MISSING, date)
    if not EARLIEST <= sidecar.date < LATEST:
        problem = f"{sidecar_path(image)}: has an impossible date"
        return Provenance(SidecarState.MALFORMED, date, problem=problem)
    if sidecar.size != status.st_size:
        problem = (
            f"the sidecar {sidecar_path(image).name} speaks of {sidecar.size} bytes,"
            f" the image has {status.st_size}"
        )
        return Provenance(SidecarState.OTHER_SIZE, date, sidecar, problem)
    return Provenance(SidecarState.FINE, sidecar.date.astimezone(UTC), sidecar)


def known_sha256(image: Path) -> str:
    """The sha256 that the sidecar of an image tells; "" when it may speak of another file.

    Images of the same size are common, so a file that is newer than its sidecar is not believed.
    """
    try:
        known = provenance(image).trusted
        if known is None or image.stat().st_mtime > sidecar_path(image).stat().st_mtime:
            return ""
    except OSError:
        return ""
    return known.sha256


def inspect_whole(image: Path) -> ImageSummary:
    """Check the chunks of an image, and that it is as long as its sidecar says.

    The end of an image can be missing without a trace in what remains; only the sidecar knows.
    Raises ImageError.
    """
    summary = inspect_image(image)
    try:
        origin = provenance(image)
    except OSError as error:
        raise ImageError(f"{image}: {error.strerror}") from error
    if origin.cuts(summary.size):
        raise ImageError(
            f"{image}: is cut short: {origin.problem}",
            hint=f"if it was replaced by hand, remove {sidecar_path(image).name}",
        )
    return summary


def words_of(error: ImageError, image: Path) -> str:
    """What is wrong with an image, for where its file is named already."""
    message = error.message.removeprefix(f"{image}: ")
    hint = (error.hint or "").replace(str(image), image.name)
    return message if hint in ("", image.name) else f"{message} ({hint})"


def file_date(seconds: float) -> datetime:
    """The time of a file as a date in UTC."""
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return EARLIEST  # file systems can hold years that calendars cannot
