"""What a site's DHCP and TFTP servers must have so that nodes get into the ramdisk.

Explained, as a configuration of dnsmasq for the site's own inventory; and checked, as far as the
files of this host show it.
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from imaging.errors import ConfigurationError
from imaging.ramdisk.pxelinux import DEFAULT_CONFIG, BootConfig, parse_config
from imaging.site.inventory import Inventory
from imaging.site.schema import NextbootSettings

BOOT_FILES = ("pxelinux.0", "ldlinux.c32")
EXPLAINED = "imaging-ramdisk --serve says where it comes from"
BUILT = "imaging-ramdisk build writes it"
CONFIG_LIMIT = 65536  # bytes


def tftp_root(nextboot: NextbootSettings) -> Path:
    """The directory of pxelinux.0: the one that holds ``pxelinux.cfg``."""
    return nextboot.directory.parent


def dnsmasq_configuration(inventory: Inventory, nextboot: NextbootSettings) -> str:
    """A configuration of dnsmasq that serves these nodes, with what it means in comments."""
    root = tftp_root(nextboot)
    default = "".join(f"#   {line}\n" for line in DEFAULT_CONFIG.splitlines())
    hosts = "".join(
        f"dhcp-host={node.control.mac},{node.control.ip},{node.name}\n" for node in inventory
    )
    return f"""\
# What a node needs to boot the ramdisk, as a configuration of dnsmasq. Another DHCP or TFTP
# server does as well: it must tell the same.
#
# In {root}, which the TFTP server serves, readable for everybody:
#   pxelinux.0, ldlinux.c32   both from the same version of syslinux (Debian: pxelinux and
#                             syslinux-common: /usr/lib/PXELINUX/pxelinux.0 and
#                             /usr/lib/syslinux/modules/bios/ldlinux.c32)
#   {nextboot.directory.name}/{nextboot.ramdisk}   what imaging-ramdisk build has written, and
#                             the files that it names
#   {nextboot.directory.name}/default   boots from the disk:
{default}#
# Nodes boot from the network first, then from their disk (BIOS, not UEFI).
# imaging-ramdisk check looks at these files.

# addresses only, no names
port=0

# each node gets its address of the inventory, and nobody else gets any; the mask and the router
# are those of this host's interface in that network
dhcp-authoritative
no-ping
dhcp-range={next(iter(inventory)).control.ip},static
{hosts}
# the first program that a node fetches
dhcp-boot=pxelinux.0
enable-tftp
tftp-root={root}
"""


def serving_problems(nextboot: NextbootSettings) -> Iterator[str]:
    """All that is wrong with the files that nodes fetch, a line each."""
    root = tftp_root(nextboot)
    if not root.is_dir():
        yield f"{root} does not exist, which the TFTP server serves (see [nextboot] directory)"
        return
    yield from _directory_problems((root, nextboot.directory))
    for name in BOOT_FILES:
        yield from _file_problems(root / name, root, EXPLAINED)
    try:
        default = _read_config(nextboot.directory / "default", root, EXPLAINED)
    except ConfigurationError as error:
        yield str(error)
    else:
        if not default.from_disk:
            yield f"{nextboot.directory / 'default'}: LOCALBOOT is missing ({EXPLAINED})"
    yield from _ramdisk_problems(nextboot.directory / nextboot.ramdisk, root)


def _ramdisk_problems(file: Path, root: Path) -> Iterator[str]:
    try:
        config = _read_config(file, root, BUILT)
    except ConfigurationError as error:
        yield str(error)
        return
    if config.kernel is None:
        yield f"{file}: names no KERNEL ({BUILT})"
    # a TFTP server takes what begins with a slash as below its root, too
    paths = [root / path.lstrip("/") for path in (config.kernel, *config.initrds) if path]
    for path in paths:
        yield from (f"{file}: {problem}" for problem in _file_problems(path, root, BUILT))
    between = {parent for path in paths for parent in path.parents if root in parent.parents}
    yield from (f"{file}: {problem}" for problem in _directory_problems(sorted(between)))


def _directory_problems(directories: Iterable[Path]) -> Iterator[str]:
    """What keeps a TFTP server from reaching what is in the directories that are there."""
    for directory in directories:
        try:
            is_closed = directory.is_dir() and not directory.stat().st_mode & 0o001
        except OSError:
            continue  # those above it, or the files in it, are told
        if is_closed:
            yield (
                f"{directory} cannot be entered by everybody, and the TFTP server is nobody "
                f"(chmod a+x {directory})"
            )


def _read_config(file: Path, root: Path, source: str) -> BootConfig:
    """Read a config of pxelinux. Raises ConfigurationError."""
    for problem in _file_problems(file, root, source):
        raise ConfigurationError(problem)
    try:
        with file.open("rb") as stream:
            return parse_config(stream.read(CONFIG_LIMIT).decode("utf-8", "replace"))
    except OSError as error:
        raise ConfigurationError(f"{file}: {error.strerror}") from error


def _file_problems(file: Path, root: Path, source: str) -> Iterator[str]:
    """What keeps a TFTP server, which runs as nobody, from giving a file away.

    ``source`` says where the file comes from.
    """
    try:
        yield from _look_at(file, root, source)
    except OSError as error:
        yield f"{file} cannot be looked at: {error.strerror}"


def _look_at(file: Path, root: Path, source: str) -> Iterator[str]:
    if os.path.lexists(file) and not file.exists():
        yield f"{file} is a dangling link: pxelinux goes on to the next config, without a word"
    elif not file.exists():
        yield f"{file} does not exist ({source})"
    elif not file.is_file():
        yield f"{file} is not a regular file ({source})"
    elif not file.resolve().is_relative_to(root.resolve()):
        yield f"{file} leads out of {root}, where no TFTP server goes"
    elif not file.stat().st_mode & 0o004:
        yield (
            f"{file} cannot be read by everybody, and the TFTP server is nobody (chmod a+r {file})"
        )
