"""The data plane inside the ramdisk: Python, as small as it gets, our frisbee tools, and ISA-L.

The modules are compiled by the ramdisk's own Python, which also proves that nothing is missing:
a module that the tools import and the ramdisk has not fails the build.
"""

import io
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from importlib import metadata
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from imaging.errors import ConfigurationError
from imaging.ramdisk.packages import PackageError
from imaging.ramdisk.tree import Directory, Entry, File, Link, Tree

TOOLS = ("frisbee", "frisbeed", "imagezip", "imageunzip")
"""The modules of ``imaging.frisbee.commands``, and the names of their commands."""

# what the tools import of it, beyond what Debian's minimal package has
STANDARD_MODULES = (
    "concurrent/",
    "dataclasses.py",
    "dis.py",
    "gettext.py",
    "lib-dynload/_queue.",
    "lib-dynload/mmap.",
    "queue.py",
    "shutil.py",
    "uuid.py",
)
# of the minimal package: these need OpenSSL, and what is built in is enough
LEFT_OUT = ("lib-dynload/_hashlib.", "lib-dynload/_ssl.", "ssl.py")
PATIENCE_S = 120.0
_COMPILE = """
import compileall, py_compile, sys
sys.exit(not compileall.compile_dir(sys.argv[1], quiet=1, legacy=True, stripdir=sys.argv[2],
         prependdir="/", invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH))
"""


def python_version(packages: Mapping[str, object]) -> str:
    """The version in the names of Debian's packages: 3.11 of python3.11-minimal.

    Raises PackageError when Python is not among them.
    """
    for name in packages:
        if name.startswith("python3.") and name.endswith("-minimal"):
            return name.removeprefix("python").removesuffix("-minimal")
    raise PackageError(
        "there is no package of Python", hint="python3-minimal of Debian needs python3.N-minimal"
    )


def is_wanted(path: str, version: str) -> bool:
    """Whether a file of Python's packages belongs in the ramdisk."""
    if path == f"usr/bin/python{version}":
        return True
    prefix = f"usr/lib/python{version}/"
    below = path.removeprefix(prefix)
    return (
        path.startswith(prefix)
        and path.endswith((".py", ".so"))
        and not (below.startswith(LEFT_OUT))
    )


def is_wanted_standard(path: str, version: str) -> bool:
    """Whether a file of the package of the whole standard library belongs in the ramdisk."""
    below = path.removeprefix(f"usr/lib/python{version}/")
    return is_wanted(path, version) and below.startswith(STANDARD_MODULES)


def own_files(version: str) -> dict[str, Entry]:
    """Our frisbee package, and a command for each tool, with and without ``imaging-``."""
    package = files("imaging")
    root = f"usr/lib/python{version}/imaging"
    found: dict[str, Entry] = {
        f"{root}/{name}": File((package / name).read_bytes())
        for name in ("__init__.py", "errors.py")
    }
    found.update(_sources(package / "frisbee", f"{root}/frisbee"))
    for tool in TOOLS:
        script = f'#!/bin/sh\nexec python3 -I -S -m imaging.frisbee.commands.{tool} "$@"\n'
        found[f"usr/bin/imaging-{tool}"] = File(script.encode(), executable=True)
        found[f"usr/bin/{tool}"] = Link(f"imaging-{tool}")
    found["usr/bin/python3"] = Link(f"python{version}")
    return found


def _sources(directory: Traversable, place: str) -> dict[str, Entry]:
    found: dict[str, Entry] = {}
    for item in sorted(directory.iterdir(), key=lambda item: item.name):
        if item.is_dir():
            found.update(_sources(item, f"{place}/{item.name}"))
        elif item.name.endswith(".py"):
            found[f"{place}/{item.name}"] = File(item.read_bytes())
    return found


def fetch_wheel(directory: Path, version: str) -> Path:
    """ISA-L's wheel for the ramdisk's Python, of the version that is installed here.

    What the directory has already is not fetched. Raises PackageError.
    """
    wanted = f"isal-{metadata.version('isal')}-cp{version.replace('.', '')}-*x86_64.whl"
    if not list(directory.glob(wanted)):
        command = [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"),
            *("--only-binary", ":all:", "--python-version", version),
            *("--platform", "manylinux2014_x86_64", "--platform", "manylinux_2_28_x86_64"),
            *("--dest", str(directory), f"isal=={metadata.version('isal')}"),
        ]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )
        if done.returncode != 0:
            last = (done.stderr.strip().splitlines() or ["no reason told"])[-1]
            raise PackageError(
                f"pip cannot fetch isal for Python {version}: {last}",
                hint=f"or put {wanted} into {directory}",
            )
    found = sorted(directory.glob(wanted))
    if not found:
        raise PackageError(f"pip has left no {wanted} in {directory}", hint="put it there by hand")
    return found[0]


def wheel_files(wheel: bytes, version: str) -> dict[str, Entry]:
    """The modules of a wheel. Raises PackageError."""
    found: dict[str, Entry] = {}
    try:
        with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
            for name in sorted(archive.namelist()):
                if name.endswith((".py", ".so")):
                    found[f"usr/lib/python{version}/{name}"] = File(archive.read(name))
    except zipfile.BadZipFile as error:
        raise PackageError(
            f"the wheel of isal cannot be read: {error}", hint="remove it, to have it fetched anew"
        ) from error
    return found


def compile_modules(tree: Tree, version: str, library_directory: str) -> None:
    """Replace the sources by compiled modules, having proven that all tools can be imported.

    Raises ConfigurationError.
    """
    root = f"usr/lib/python{version}"
    with tempfile.TemporaryDirectory(prefix="imaging-ramdisk-") as name:
        place = Path(name)
        _write(tree, place)
        _run_python(place, version, library_directory, _COMPILE, str(place / root), str(place))
        for path in [path for path, _ in tree.files() if path.startswith(f"{root}/")]:
            if path.endswith(".py"):
                compiled = (place / f"{path}c").read_bytes()
                (place / path).unlink()
                tree.remove(path)
                tree.add(f"{path}c", File(compiled))
        imports = "; ".join(f"import imaging.frisbee.commands.{tool}" for tool in TOOLS)
        _run_python(place, version, library_directory, imports)


def _write(tree: Tree, place: Path) -> None:
    for path, entry in tree:
        target = place / path
        match entry:
            case Directory():
                target.mkdir()
            case Link(to):
                target.symlink_to(to)
            case File(data, executable, _):
                target.write_bytes(data)
                target.chmod(0o755 if executable else 0o644)


def _run_python(
    place: Path, version: str, library_directory: str, script: str, *arguments: str
) -> None:
    """Run the ramdisk's Python on this host, with the ramdisk's own loader and libraries."""
    libraries = place / library_directory
    command = [
        *(str(libraries / "ld-linux-x86-64.so.2"), "--library-path", str(libraries)),
        *(str(place / f"usr/bin/python{version}"), "-S", "-c", script, *arguments),
    ]
    # the same bytes each time: sets are stored in the order of their hashes
    environment = {
        "PYTHONHOME": str(place / "usr"),
        "PYTHONHASHSEED": "0",
        "LC_ALL": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    try:
        done = subprocess.run(
            command,
            env=environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
    except OSError as error:
        raise ConfigurationError(
            f"the ramdisk's Python does not run here: {error.strerror}",
            hint="a ramdisk is built on an amd64 machine",
        ) from error
    if done.returncode != 0:
        last = ((done.stderr or done.stdout).strip().splitlines() or ["no reason told"])[-1]
        raise ConfigurationError(
            f"the ramdisk's Python fails: {last}", hint="do its packages belong together? --update"
        )
