"""Config files of pxelinux: the ramdisk's is written, and those of a site are read.

pxelinux asks the TFTP server for ``pxelinux.cfg/01-<mac>``, which is a nextboot link to the
ramdisk's config or not there, and then for ``pxelinux.cfg/default``. Paths in a config are
relative to the directory of ``pxelinux.0``.
"""

import re
from dataclasses import dataclass

from imaging.errors import ConfigurationError

KERNEL_NAME = "vmlinuz"
INITRD_NAME = "initrd.img"
DEFAULT_CONFIG = """\
# every boot that no nextboot link asks to be another: from the disk
DEFAULT disk
LABEL disk
  LOCALBOOT 0
"""


@dataclass(frozen=True, slots=True)
class BootConfig:
    """What a config boots at once: files by their paths, or the disk."""

    kernel: str | None
    initrds: tuple[str, ...]
    from_disk: bool


def ramdisk_config(place: str, append: str = "") -> str:
    """The config that boots a ramdisk whose files are at ``place``, relative to pxelinux.0.

    IPAPPEND 2 tells the ramdisk which interface it came through. Raises ConfigurationError for
    a place or kernel parameters that pxelinux would read as something else.
    """
    if not re.fullmatch(r"[A-Za-z0-9._+/-]+", place):
        raise ConfigurationError(f"{place!r}: pxelinux reads no blanks or other signs in paths")
    if not re.fullmatch(r"[ -~]*", append):
        raise ConfigurationError("the kernel's parameters must be one line of ASCII")
    parameters = " ".join(filter(None, [f"initrd={place}/{INITRD_NAME}", "quiet", append.strip()]))
    return (
        "DEFAULT ramdisk\n"
        "LABEL ramdisk\n"
        f"  KERNEL {place}/{KERNEL_NAME}\n"
        f"  APPEND {parameters}\n"
        "  IPAPPEND 2\n"
    )


def parse_config(text: str) -> BootConfig:
    """What pxelinux does with a config, as far as we care: what DEFAULT says.

    That is a label, or a command line: a file and its parameters. Without DEFAULT the first label
    counts.
    """
    default, labels = "", dict[str, list[tuple[str, str]]]()
    current: list[tuple[str, str]] | None = None
    for line in text.splitlines():
        word, rest = [*line.split(maxsplit=1), "", ""][:2]
        match word.upper():
            case "DEFAULT":
                default = rest.strip()
            case "LABEL":
                current = labels.setdefault(rest.strip(), [])
            case "" | "#":
                continue
            case key if current is not None:
                current.append((key, rest.strip()))
            case _:
                continue
    name, parameters = [*default.split(maxsplit=1), "", ""][:2]
    if not default:
        return _boot(next(iter(labels.values()), []))
    if name in labels:
        return _boot([*labels[name], ("APPEND", parameters)])
    return _boot([("KERNEL", name), ("APPEND", parameters)])


def _boot(lines: list[tuple[str, str]]) -> BootConfig:
    kernel, initrds, from_disk = None, list[str](), False
    for key, rest in lines:
        match key:
            case "KERNEL" | "LINUX":
                kernel = rest
            case "INITRD":
                initrds += rest.split(",")
            case "APPEND":
                found = re.findall(r"(?:^|\s)initrd=(\S+)", rest)
                initrds += [path for value in found for path in value.split(",")]
            case "LOCALBOOT":
                from_disk = True
            case _:
                continue
    return BootConfig(kernel, tuple(initrds), from_disk)
