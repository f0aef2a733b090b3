"""Sharing: a private image becomes one of the images directory, whole and proven, or not at all."""

import hashlib
import os
import stat
from pathlib import Path

import msgspec

from imaging.errors import ConfigurationError, InfrastructureError, Reason
from imaging.feedback.wording import human_size, printable
from imaging.frisbee.errors import ImageError
from imaging.frisbee.image import ImageSummary, inspect_image
from imaging.images.curation import check_writable, refuse_if_aliased, state_of
from imaging.images.library import Image, ImageLibrary, check_name
from imaging.images.partial import PartialImage, open_partial, settle, store_failed
from imaging.images.provenance import Provenance, SidecarState, provenance, words_of
from imaging.images.sidecar import SUFFIX, Sidecar, sidecar_path

AGAIN = "save the node again"
PIECE = 1 << 20  # bytes
FOR_EVERYBODY = 0o644  # whatever the umask of who shares it


class SharePlan(msgspec.Struct, frozen=True):
    """Copy ``source`` to ``place``; ``replaced`` says what is there now, if anything."""

    source: Image
    origin: Provenance
    place: Path
    replaced: str | None
    move: bool

    def describe(self) -> list[str]:
        """The steps."""
        source = self.source.path
        size = human_size(self.source.summary.size)
        steps = [f"copy {source} ({size}) to {self.place}"]
        if self.replaced is not None:
            steps.append(f"replace {self.replaced}")
        verb = "write" if self.origin.trusted is None else "copy"
        steps.append(f"{verb} its sidecar {sidecar_path(self.place).name}")
        if self.move:
            steps.append(f"remove {source} and its sidecar")
        return [printable(step) for step in steps]

    def carry_out(self) -> None:
        """Copy, read the copy again, and only then let it have the name.

        Raises InfrastructureError: ``busy`` when somebody else makes that image, ``store-failed``.
        """
        with open_partial(self.place, mode=FOR_EVERYBODY) as partial:
            summary = self._copy(partial)
            sidecar = self._sidecar(summary)
            if state_of(self.place) is not None and self.replaced is None:
                raise InfrastructureError(
                    f"somebody else has made {self.place} meanwhile",
                    reason=Reason.BUSY,
                    hint="--as NEW gives another name",
                )
            # all that needs room on the disk is done before the name changes hands
            partial.prepare(sidecar)
            forced = self.replaced is not None
            partial.publish(replace=forced, alias=forced)
            settle(self.place.parent)
        if self.move:
            self._remove_source()

    def _copy(self, partial: PartialImage) -> ImageSummary:
        """Copy the data, and prove that the copy is whole and the same."""
        source = self.source.path
        digest = hashlib.sha256()
        try:
            with source.open("rb") as stream:
                while piece := stream.read(PIECE):
                    digest.update(piece)
                    partial.write(piece)
        except OSError as error:
            raise store_failed(f"cannot read {printable(str(source))}", error) from error
        try:
            summary = inspect_image(partial.path, deep=True)
        except ImageError as error:
            words = words_of(error, partial.path)
            raise ImageError(
                printable(f"{source} is damaged, and is not shared: {words}"), hint=AGAIN
            ) from error
        if summary.sha256 != digest.hexdigest():
            raise InfrastructureError(
                f"{partial.path} does not hold what was written to it",
                reason=Reason.STORE_FAILED,
                hint="the disk is failing",
            )
        if summary.size != self.source.summary.size:
            raise ImageError(
                printable(f"{source} has changed while it was copied"), hint="share it again"
            )
        known = self.origin.trusted
        if known is not None and known.sha256 != summary.sha256:
            raise ImageError(
                printable(
                    f"{source} is damaged, and is not shared: its sha256 is {summary.sha256},"
                    f" its sidecar says {known.sha256}"
                ),
                hint=AGAIN,
            )
        return summary

    def _sidecar(self, summary: ImageSummary) -> Sidecar:
        """The sidecar of the copy: that of the source under the new name, or what is known."""
        name = self.place.name.removesuffix(SUFFIX)
        if self.origin.trusted is not None:
            return msgspec.structs.replace(self.origin.trusted, name=name)
        assert summary.sha256 is not None
        return Sidecar(
            name=name,
            date=self.origin.date,
            size=summary.size,
            covered_bytes=summary.covered_bytes,
            data_bytes=summary.data_bytes,
            minimum_disk_size=summary.minimum_disk_size,
            sha256=summary.sha256,
        )

    def _remove_source(self) -> None:
        source = self.source.path
        try:
            source.unlink(missing_ok=True)
            sidecar_path(source).unlink(missing_ok=True)
        except OSError as error:
            what = f"{self.place} is shared, but the original remains: cannot remove {source}"
            raise store_failed(printable(what), error) from error


def plan_share(
    library: ImageLibrary, what: str, *, new_name: str | None, force: bool, move: bool
) -> SharePlan:
    """Plan to share a private image, by its name, or any image, by its path.

    Raises ConfigurationError: it is not whole, its sidecar speaks of another file, the name is
    taken (unless ``force``) or none, the directory has no room or may not be written.
    """
    source = _source(library, what)
    name = new_name or (Path(what).name if "/" in what else what)
    try:
        place = library.directory / f"{check_name(name)}{SUFFIX}"
    except ConfigurationError as error:
        hint = error.hint if new_name else "give it a name with --as"
        raise ConfigurationError(error.message, hint=hint) from error
    try:
        origin = provenance(source.path)
    except OSError as error:
        raise ConfigurationError(printable(f"{source.path}: {error.strerror}")) from error
    if origin.state in (SidecarState.MALFORMED, SidecarState.OTHER_SIZE):
        raise ConfigurationError(
            printable(f"{source.path} is not shared: {origin.problem}"),
            hint=f"if the image is right, remove {printable(sidecar_path(source.path).name)}",
        )
    replaced = _replaced(place, source.path, force=force)
    if move:
        refuse_if_aliased(library, source.path)
        check_writable(source.path.parent)
    check_writable(library.directory)
    _check_room(library.directory, source.summary.size)
    return SharePlan(source, origin, place, replaced, move)


def _source(library: ImageLibrary, what: str) -> Image:
    """The image to share: a path, else a private image, by its name or its radical."""
    if "/" in what:
        return library.open(what)
    check_name(what)
    if library.private is None:
        raise ConfigurationError(
            f"{what!r} cannot be found: there is no directory of private images",
            hint="give a path (with a slash), or set [images] private in the settings",
        )
    return ImageLibrary(library.private).open(what)


def _replaced(place: Path, source: Path, *, force: bool) -> str | None:
    """What is at the place already, in words; None when it is free."""
    there = state_of(place)
    if there is None:
        return None
    if place.parent.resolve() / place.name == source:
        raise ConfigurationError(f"{place} is shared already")
    if stat.S_ISLNK(there.st_mode):
        words = f"the alias of {place.readlink()} that is there"
    elif stat.S_ISREG(there.st_mode):
        words = f"the image of {human_size(there.st_size)} that is there"
    else:
        raise ConfigurationError(
            f"{place} is not a regular file", hint="--as NEW gives another name"
        )
    if not force:
        raise ConfigurationError(
            printable(f"{place} exists already: {words.removesuffix(' that is there')}"),
            hint="--force replaces it, --as NEW gives another name",
        )
    return words


def _check_room(directory: Path, needed: int) -> None:
    """Refuse what will not fit; the disk can still fill up meanwhile, and that is told too."""
    room = os.statvfs(directory)
    free = room.f_bavail * room.f_frsize
    if free < needed:
        raise ConfigurationError(
            f"{directory} has {human_size(free)} free, the image needs {human_size(needed)}",
            hint="make room there",
        )
