"""Nextboot links: what makes a node's next boot the imaging ramdisk.

pxelinux asks its directory for ``01-<mac>``, lower case with dashes; a symlink of that name to the
ramdisk's config is a nextboot link. All of this is plain synchronous code on purpose: no await
means that no cancellation can come between a link and its removal.

Only a symlink whose target is the ramdisk's config is ever taken for ours. Nothing here follows a
link: a dangling one is as real as any other.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from imaging.errors import ConfigurationError, NodeError, Reason


class Occupant(Enum):
    """Who sits at the place of a nextboot link."""

    NOBODY = "nobody"
    OURS = "ours"
    FOREIGN = "foreign"


@dataclass(frozen=True, slots=True)
class NextbootDirectory:
    """The ``pxelinux.cfg`` directory, and the name of the ramdisk's config in it."""

    directory: Path
    ramdisk: str

    def check(self) -> None:
        """See that links can be made here, and would lead somewhere.

        Raises ConfigurationError otherwise: pxelinux takes a dangling link for a missing one and
        boots from the disk, without a word.
        """
        if not self.directory.is_dir():
            raise ConfigurationError(
                f"the nextboot directory {self.directory} does not exist",
                hint="set [nextboot] directory to the pxelinux.cfg directory of the TFTP server",
            )
        config = self.directory / self.ramdisk
        if not config.is_file():
            raise ConfigurationError(
                f"the ramdisk's config {config} does not exist",
                hint="nextboot links would lead nowhere; see [nextboot] ramdisk",
            )
        if not os.access(self.directory, os.W_OK | os.X_OK):
            raise ConfigurationError(f"no permission to make links in {self.directory}")

    def place(self, mac: str) -> Path:
        """Where pxelinux looks for the node with this MAC (colon form)."""
        return self.directory / f"01-{mac.lower().replace(':', '-')}"

    def occupant(self, mac: str) -> tuple[Occupant, str]:
        """Who sits there, and a description of it."""
        place = self.place(mac)
        try:
            status = place.lstat()
        except FileNotFoundError:
            return Occupant.NOBODY, f"{place} does not exist"
        if not stat.S_ISLNK(status.st_mode):
            kind = "a directory" if stat.S_ISDIR(status.st_mode) else "a regular file"
            return Occupant.FOREIGN, f"{place} is {kind}, not a nextboot link"
        target = place.readlink()
        if Path(os.path.normpath(self.directory / target)) == self.directory / self.ramdisk:
            return Occupant.OURS, f"{place} -> {target}"
        return Occupant.FOREIGN, f"{place} is a link to {target}, not to {self.ramdisk}"

    def refuse_foreign(self, mac: str, node: str) -> None:
        """Raise ConfigurationError when somebody else's file is at the node's place."""
        occupant, description = self.occupant(mac)
        if occupant is Occupant.FOREIGN:
            raise ConfigurationError(
                f"{node}: {description}", hint="somebody else made it; move it away first"
            )

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
                raise NodeError(f"{node}: {description}", reason=Reason.NEXTBOOT_FAILED) from None
        except OSError as error:
            raise NodeError(
                f"{node}: cannot make the nextboot link {self.place(mac)}: {error.strerror}",
                reason=Reason.NEXTBOOT_FAILED,
            ) from error

    def remove(self, mac: str, node: str) -> None:
        """Remove the node's link if it is there and ours; anything else is left alone.

        Raises NodeError when it is there and cannot be removed.
        """
        try:
            if self.occupant(mac)[0] is Occupant.OURS:
                self.place(mac).unlink(missing_ok=True)
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
