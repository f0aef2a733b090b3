"""The frisbee tools of a site's own: those of a directory, and nothing else that is in it.

What the ramdisk holds TFTP gives to everybody.
"""

from pathlib import Path

from imaging.errors import ConfigurationError
from imaging.ramdisk.data_plane import TOOLS
from imaging.ramdisk.elf import is_elf, needed_libraries
from imaging.ramdisk.tree import Entry, File

NEEDED = ("frisbee", "imagezip")
SCRIPT = b"#!/bin/sh\n"  # the only interpreter that every ramdisk has
OPTION = "--frisbee-bin names the directory of both"


def own_programs(directory: Path) -> dict[str, Entry]:
    """The frisbee tools of a directory: they get the names that ours would have without them.

    Raises ConfigurationError for what no node could run.
    """
    try:
        there = {file.name for file in directory.iterdir()}
        missing = [name for name in NEEDED if name not in there]
        if missing:
            raise ConfigurationError(f"{directory} has no {' and no '.join(missing)}", hint=OPTION)
        files = {name: directory / name for name in TOOLS if name in there}
        return {f"usr/bin/{name}": _program(name, file) for name, file in files.items()}
    except OSError as error:
        raise ConfigurationError(
            f"{error.filename}: {error.strerror}", hint="see --frisbee-bin"
        ) from error


def _program(name: str, file: Path) -> File:
    """Read a tool. Raises OSError and ConfigurationError."""
    if not (file.is_file() and file.stat().st_mode & 0o111):
        raise ConfigurationError(f"{file} is not an executable file", hint=OPTION)
    data = file.read_bytes()
    if is_elf(data):
        needed_libraries(name, data)  # it is whole, and for the nodes' processors
    elif not data.startswith(SCRIPT):
        raise ConfigurationError(
            f"{file} is neither a program nor a script for /bin/sh", hint="see --frisbee-bin"
        )
    return File(data, executable=True)
