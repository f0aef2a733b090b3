"""Nextboot links: what makes a node's next boot the imaging ramdisk.

pxelinux asks its directory for ``01-<mac>``, lower case with dashes; a symlink of that name to the
ramdisk's config is a nextboot link. All of this is plain synchronous code on purpose: no await
means that no cancellation can come between a link and its removal.

Only a symlink whose target is the ramdisk's config is ever taken for ours. Nothing here follows a
link: a dangling one is as real as any other.
"""

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from pathlib import Path

import msgspec

from imaging.errors import ConfigurationError, NodeError, Reason

FOREIGN = "somebody else made it; move it away first"
SETTING = "see [nextboot] directory"
PERMISSION = "join its group; see docs/site-setup.md"
_PLACE = re.compile(r"01((?:-[0-9a-f]{2}){6})")


class Occupant(Enum):
    """Who sits at the place of a nextboot link."""

    NOBODY = "nobody"
    OURS = "ours"
    FOREIGN = "foreign"


class NextbootEntry(msgspec.Struct, frozen=True):
    """What is at one place: whose and what it is, and who made it when (Unix time).

    ``target`` is that of a symlink, as it stands in it; None for anything else.
    """

    mac: str
    occupant: Occupant
    target: str | None
    what: str
    owner_id: int
    made: float


class NextbootDirectory(msgspec.Struct, frozen=True):
    """The ``pxelinux.cfg`` directory, and the name of the ramdisk's config in it."""

    directory: Path
    ramdisk: str

    def check(self) -> None:
        """See that links can be made here, and would lead somewhere.

        Raises ConfigurationError otherwise: pxelinux takes a dangling link for a missing one and
        boots from the disk, without a word.
        """
        self.check_directory()
        self.check_ramdisk()

    def check_directory(self) -> None:
        """See that links can be made here. Raises ConfigurationError otherwise."""
        if not self.directory.is_dir():
            raise self._missing()
        if not os.access(self.directory, os.W_OK | os.X_OK):
            raise ConfigurationError(
                f"no permission to make links in {self.directory}", hint=PERMISSION
            )

    def check_ramdisk(self) -> None:
        """See that links would lead somewhere. Raises ConfigurationError otherwise."""
        config = self.directory / self.ramdisk
        if not config.is_file():
            raise ConfigurationError(
                f"the ramdisk's config {config} does not exist",
                hint="nextboot links would lead nowhere; see [nextboot] ramdisk",
            )

    def _missing(self) -> ConfigurationError:
        return ConfigurationError(
            f"the nextboot directory {self.directory} does not exist",
            hint="set [nextboot] directory to the pxelinux.cfg directory of the TFTP server",
        )

    def place(self, mac: str) -> Path:
        """Where pxelinux looks for the node with this MAC (colon form)."""
        return self.directory / f"01-{mac.lower().replace(':', '-')}"

    def occupant(self, mac: str) -> tuple[Occupant, str]:
        """Who sits there, and a description of it."""
        place = self.place(mac)
        entry = self.entry(mac)
        if entry is None:
            return Occupant.NOBODY, f"{place} does not exist"
        if entry.occupant is Occupant.OURS:
            return Occupant.OURS, f"{place} -> {entry.target}"
        return Occupant.FOREIGN, f"{place} is {entry.what}, not a link to {self.ramdisk}"

    def entry(self, mac: str) -> NextbootEntry | None:
        """What is at the node's place; None when there is nothing."""
        place = self.place(mac)
        try:
            status = place.lstat()
            target = str(place.readlink()) if stat.S_ISLNK(status.st_mode) else None
        except FileNotFoundError:
            return None
        occupant = Occupant.FOREIGN
        if target is None:
            what = "a directory" if stat.S_ISDIR(status.st_mode) else "a regular file"
        else:
            what = f"a link to {target}"
            if Path(os.path.normpath(self.directory / target)) == self.directory / self.ramdisk:
                occupant = Occupant.OURS
        return NextbootEntry(mac.lower(), occupant, target, what, status.st_uid, status.st_mtime)

    def entries(self) -> list[NextbootEntry]:
        """What is at all the places that pxelinux looks at, by MAC; one that vanishes is left out.

        Raises ConfigurationError when the directory cannot be read.
        """
        try:
            names = sorted(place.name for place in self.directory.iterdir())
            places = filter(None, map(_PLACE.fullmatch, names))
            found = [self.entry(place[1][1:].replace("-", ":")) for place in places]
        except FileNotFoundError:
            raise self._missing() from None
        except OSError as error:
            raise ConfigurationError(
                f"the nextboot directory {self.directory} cannot be read: {error.strerror}",
                hint=SETTING,
            ) from error
        return [entry for entry in found if entry is not None]

    def refuse_foreign(self, mac: str, node: str) -> None:
        """Raise ConfigurationError when somebody else's file is at the node's place."""
        occupant, description = self.occupant(mac)
        if occupant is Occupant.FOREIGN:
            raise ConfigurationError(f"{node}: {description}", hint=FOREIGN)

    def create(self, mac: str, node: str) -> None:
        """Make the node's link.

        The symlink call itself is atomic and never replaces anything; a link of ours that is
        already there serves as well. Raises NodeError when the place is taken or not writable.
        """
        try:
            self.place(mac).symlink_to(self.ramdisk)
        except FileExistsError:
            occupant, description = self.occupant(mac)
            if occupant is Occupant.FOREIGN:
                raise NodeError(
                    f"{node}: {description}", reason=Reason.NEXTBOOT_FAILED, hint=FOREIGN
                ) from None
            with suppress(OSError):  # it is needed from now on: its age says who may remove it
                os.utime(self.place(mac), follow_symlinks=False)
        except OSError as error:
            raise NodeError(
                f"{node}: cannot make the nextboot link {self.place(mac)}: {error.strerror}",
                reason=Reason.NEXTBOOT_FAILED,
                hint=SETTING,
            ) from error

    def remove(self, mac: str, node: str) -> bool:
        """Remove the node's link if it is there and ours; anything else is left alone.

        Returns whether it was removed. Raises NodeError when it is there and cannot be.
        """
        try:
            if self.occupant(mac)[0] is not Occupant.OURS:
                return False
            self.place(mac).unlink()
            return True
        except FileNotFoundError:
            return False
        except OSError as error:
            raise NodeError(
                f"{node}: cannot remove the nextboot link {self.place(mac)}: {error.strerror}",
                reason=Reason.NEXTBOOT_FAILED,
                hint="remove it by hand, or the node keeps booting the ramdisk",
            ) from error

    @contextmanager
    def link(self, mac: str, node: str) -> Iterator[None]:
        """Have the node's link for as long as the block lasts, whatever ends it."""
        self.create(mac, node)
        try:
            yield
        finally:
            self.remove(mac, node)
