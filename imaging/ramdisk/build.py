"""The build: from a recipe to the kernel, the archive and pxelinux's config, all in memory."""

import shlex
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Literal

from imaging.errors import ConfigurationError
from imaging.ramdisk.cpio import archive
from imaging.ramdisk.data_plane import (
    compile_modules,
    fetch_wheel,
    installed_isal,
    is_wanted,
    is_wanted_standard,
    own_files,
    python_version,
    wheel_files,
)
from imaging.ramdisk.elf import LIBRARIES, is_elf, library_closure
from imaging.ramdisk.kernel import Kernel, kernel_of
from imaging.ramdisk.packages import PackageDirectory, is_library, read_package
from imaging.ramdisk.programs import own_programs
from imaging.ramdisk.tree import Directory, Entry, File, Link, Tree
from imaging.ramdisk.trial import prove_libraries

HOST_LIBRARIES = (Path("/lib/x86_64-linux-gnu"), Path("/usr/lib/x86_64-linux-gnu"))
# pthread_cancel opens it by name: no program says that it needs it
LATE_LIBRARY = "libgcc_s.so.1"
CONSOLE_PACKAGES = {
    "telnet": ("inetutils-inetd", "inetutils-telnetd"),
    "ssh": ("dropbear-bin",),
}
CONSOLE_PROGRAMS = {
    "telnet": ("usr/sbin/inetutils-inetd", "usr/sbin/telnetd"),
    "ssh": ("usr/sbin/dropbear", "usr/bin/dropbearkey"),
}
OTHER_RELEASE = "is this Debian? imaging-ramdisk knows its packages of that name"
BUSYBOX = "usr/bin/busybox"


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a ramdisk is to be.

    ``disk`` is waited for at boot; ``keys`` are the public keys, a line each, that the ssh
    console accepts; ``programs`` is a directory of frisbee tools to be used instead of ours.
    """

    kernel: str
    console: Literal["telnet", "ssh"]
    port: int
    disk: str
    keys: str = ""
    programs: Path | None = None
    with_python: bool = True


@dataclass(frozen=True, slots=True)
class Ramdisk:
    """What a node boots."""

    release: str
    kernel: bytes
    initrd: bytes


def build_ramdisk(recipe: Recipe, packages: PackageDirectory, *, update: bool = False) -> Ramdisk:
    """Build a ramdisk. Raises PackageError and ConfigurationError."""
    kernel, tree = ramdisk_tree(recipe, packages, update=update)
    return Ramdisk(kernel.release, kernel.image, compressed(archive(tree)))


def ramdisk_tree(
    recipe: Recipe, packages: PackageDirectory, *, update: bool = False
) -> tuple[Kernel, Tree]:
    """The kernel, and the files of the system. Raises PackageError and ConfigurationError."""
    if recipe.console == "ssh" and not recipe.keys.strip():
        raise ConfigurationError(
            "an ssh console needs the public key that may log in", hint="see --key"
        )
    if recipe.programs is None and not recipe.with_python:
        raise ConfigurationError(
            "without Python, the frisbee tools must come from elsewhere", hint="see --frisbee-bin"
        )
    found = packages.provide(_roots(recipe, packages, update=update), update=update)
    kernel_package = next(name for name in found if name.startswith("linux-image-"))
    entries = read_package(
        found[kernel_package], lambda path: path.startswith(("boot/vmlinuz", "usr/lib/modules/"))
    )
    kernel = kernel_of(entries)
    tree = Tree.with_merged_usr()
    tree.add_all(dict(kernel.files))
    tree.add_all(_programs(recipe, found))
    tree.add_all(_configuration(recipe))
    if recipe.with_python:
        version = python_version(found)
        tree.add_all(_python(found, version, packages))
    own = own_programs(recipe.programs) if recipe.programs is not None else {}
    tree.add_all(own)
    tree.add_all(_libraries(tree, found, recipe.programs))
    prove_libraries(tree, own)
    if recipe.with_python:
        compile_modules(tree, version)
    return kernel, tree


def _roots(recipe: Recipe, packages: PackageDirectory, *, update: bool) -> list[str]:
    roots = ["busybox-static", "libgcc-s1", *CONSOLE_PACKAGES[recipe.console]]
    names = [(recipe.kernel, r"linux-image-[0-9].*")]
    if recipe.with_python:
        names.append(("python3-minimal", r"python3\.[0-9]+-minimal"))
    behind = [packages.resolve(name, pattern, update=update) for name, pattern in names]
    if recipe.with_python:
        version = python_version({behind[1]: None})
        behind.append(f"libpython{version}-stdlib")
    return roots + behind


def _programs(recipe: Recipe, found: Mapping[str, Path]) -> dict[str, Entry]:
    """Busybox, and what serves the console."""
    entries = read_package(found["busybox-static"], lambda path: path == BUSYBOX)
    wanted = CONSOLE_PROGRAMS[recipe.console]
    for package in CONSOLE_PACKAGES[recipe.console]:
        entries |= read_package(found[package], lambda path: path in wanted)
    for path in (BUSYBOX, *CONSOLE_PROGRAMS[recipe.console]):
        if path not in entries:
            raise ConfigurationError(f"no package has {path}", hint=OTHER_RELEASE)
    return {**entries, "usr/bin/sh": Link("busybox"), "init": Link("usr/bin/busybox")}


def _configuration(recipe: Recipe) -> dict[str, Entry]:
    """Our scripts, and what they read."""
    source = files("imaging.ramdisk") / "files"

    def script(name: str) -> File:
        return File((source / name).read_bytes(), executable=True)

    words = f"DISK={shlex.quote(recipe.disk)}\nPORT={recipe.port}\n"
    entries: dict[str, Entry] = {
        "etc/inittab": File((source / "inittab").read_bytes()),
        "etc/rcS": script("rcS"),
        "etc/udhcpc.script": script("udhcpc.script"),
        "etc/console.start": script(f"{recipe.console}.start"),
        "etc/imaging-ramdisk": File(words.encode()),
        "etc/passwd": File(b"root:*:0:0:root:/root:/bin/sh\n"),
        "etc/group": File(b"root:x:0:\ntty:x:5:\n"),
        "etc/shells": File(b"/bin/sh\n"),
        "etc/nsswitch.conf": File(b"hosts: files\n"),
        "etc/hosts": File(b"127.0.0.1 localhost\n"),
        "etc/profile": File(b"export PATH=/usr/sbin:/usr/bin HOME=/root\n"),
        "proc": Directory(),
        "sys": Directory(),
        "dev": Directory(),
        "root": Directory(private=True),
    }
    if recipe.console == "ssh":
        entries["etc/console.prepare"] = script("ssh.prepare")
        entries["root/.ssh"] = Directory(private=True)
        keys = "".join(f"{line}\n" for line in recipe.keys.strip().splitlines())
        entries["root/.ssh/authorized_keys"] = File(keys.encode(), private=True)
    else:
        line = f"{recipe.port} stream tcp nowait root /usr/sbin/telnetd telnetd -h -E /etc/shell\n"
        entries["etc/inetd.conf"] = File(line.encode())
        entries["etc/protocols"] = File(b"tcp 6 TCP\n")  # inetd has no other way to know
        entries["etc/shell"] = File(b"#!/bin/sh\nexec /bin/sh -l\n", executable=True)
    return entries


def _python(
    found: Mapping[str, Path], version: str, packages: PackageDirectory
) -> dict[str, Entry]:
    """Python, our frisbee package and ISA-L."""
    entries: dict[str, Entry] = {}
    for package in (f"python{version}-minimal", f"libpython{version}-minimal"):
        entries |= read_package(found[package], lambda path: is_wanted(path, version))
    whole = found[f"libpython{version}-stdlib"]
    entries |= read_package(whole, lambda path: is_wanted_standard(path, version))
    isal = installed_isal(version)
    if isal is None:
        isal = wheel_files(fetch_wheel(packages.path, version).read_bytes(), version)
    return entries | own_files(version) | isal


def _libraries(tree: Tree, found: Mapping[str, Path], programs: Path | None) -> dict[str, Entry]:
    """The libraries that the programs need, from the packages, else from beside ``programs``."""
    available: dict[str, Entry] = {}
    for name, file in found.items():
        if is_library(name):
            available |= read_package(file, lambda path: path.startswith(f"{LIBRARIES}/"))

    def find(name: str) -> bytes | None:
        entry = available.get(f"{LIBRARIES}/{name}")
        while isinstance(entry, Link):
            entry = available.get(f"{LIBRARIES}/{entry.target}")
        if entry is None and programs is not None:
            for directory in (programs, *HOST_LIBRARIES):
                if (directory / name).is_file():
                    return (directory / name).read_bytes()
        return entry.data if isinstance(entry, File) else None

    starts = [
        (path, file.data)
        for path, file in tree.files()
        if is_elf(file.data) and not path.startswith("usr/lib/modules/")
    ]
    if programs is not None:
        late = find(LATE_LIBRARY)
        if late is not None:
            starts.append((LATE_LIBRARY, late))
            tree.add(f"{LIBRARIES}/{LATE_LIBRARY}", File(late))
    closure = library_closure(starts, find)
    libraries: dict[str, Entry] = {
        f"{LIBRARIES}/{name}": File(data, executable=True) for name, data in closure.items()
    }
    loaders = [name for name in closure if name.startswith("ld-linux")]
    return libraries | {
        f"usr/lib64/{name}": Link(f"../{LIBRARIES.removeprefix('usr/')}/{name}") for name in loaders
    }


def compressed(data: bytes) -> bytes:
    """As gzip does, without name and time: the same bytes each time."""
    compressor = zlib.compressobj(9, wbits=zlib.MAX_WBITS + 16)
    return compressor.compress(data) + compressor.flush()
