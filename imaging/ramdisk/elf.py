"""What ELF files say of themselves: which libraries a program needs, what a kernel module is for.

pyelftools reads them. They come from packages, or from a directory that the user has named, and
may be broken all the same.
"""

import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from elftools.common.exceptions import ELFError
from elftools.elf.dynamic import DynamicSegment
from elftools.elf.elffile import ELFFile
from elftools.elf.segments import InterpSegment

from imaging.errors import ConfigurationError

MAGIC = b"\x7fELF"
# where Debian has the libraries of the nodes' processors, and their loader
LIBRARIES = "usr/lib/x86_64-linux-gnu"
LOADER = "ld-linux-x86-64.so.2"
# what pyelftools raises for files that are not what their headers say
BROKEN = (ELFError, ValueError, OSError, OverflowError)


@dataclass(frozen=True, slots=True)
class ModuleInfo:
    """What a kernel module needs, and what it serves: patterns of devices."""

    needs: tuple[str, ...]
    aliases: tuple[str, ...]


def is_elf(data: bytes) -> bool:
    """Whether these are a program's, a library's or a module's bytes."""
    return data.startswith(MAGIC)


def needed_libraries(name: str, data: bytes) -> list[str]:
    """The names of the libraries (and the loader) that a program needs.

    Raises ConfigurationError for what is no whole ELF file.
    """
    found = []
    try:
        file = ELFFile(io.BytesIO(data))
        machine = file["e_machine"]
        # of segments: programs may come without a table of sections
        for segment in file.iter_segments():
            if isinstance(segment, InterpSegment):
                found.append(str(segment.get_interp_name()).rpartition("/")[2])
            elif isinstance(segment, DynamicSegment):
                # an attribute that the tags of this kind get when they are made
                found += [str(getattr(t, "needed", "")) for t in segment.iter_tags("DT_NEEDED")]
    except BROKEN as error:
        raise ConfigurationError(
            f"{name} is no program that can be read: {error}", hint="is it whole?"
        ) from error
    if (machine, file.elfclass) != ("EM_X86_64", 64):
        raise ConfigurationError(
            f"{name} is no program for amd64, but for {machine}",
            hint="the ramdisk is for machines of that architecture",
        )
    return found


def module_info(name: str, data: bytes) -> ModuleInfo:
    """Read a kernel module's own description. Raises ConfigurationError."""
    try:
        section = ELFFile(io.BytesIO(data)).get_section_by_name(".modinfo")
        text = section.data() if section is not None else b""
    except BROKEN as error:
        raise ConfigurationError(
            f"{name} is no kernel module: {error}", hint="--update fetches its package anew"
        ) from error
    pairs = [line.partition("=") for line in text.decode("ascii", "replace").split("\0")]
    needs = next((value for key, _, value in pairs if key == "depends"), "")
    return ModuleInfo(
        tuple(filter(None, needs.split(","))),
        tuple(value for key, _, value in pairs if key == "alias"),
    )


def library_closure(
    programs: Iterable[tuple[str, bytes]], find: Callable[[str], bytes | None]
) -> dict[str, bytes]:
    """The libraries that the programs need, and those that these need, by their names.

    ``find`` gives a library's bytes. Raises ConfigurationError for one that is nowhere.
    """
    found: dict[str, bytes] = {}
    waiting = list(programs)
    while waiting:
        name, data = waiting.pop()
        for library in needed_libraries(name, data):
            if library in found:
                continue
            contents = find(library)
            if contents is None:
                raise ConfigurationError(
                    f"{name} needs {library}, which is nowhere",
                    hint="put it beside the programs of --frisbee-bin",
                )
            found[library] = contents
            waiting.append((library, contents))
    return found
