"""The data plane inside the ramdisk: Python, as small as it gets, our frisbee tools, and ISA-L.

The modules are compiled by the ramdisk's own Python, which also proves that nothing is missing:
a module that the tools import and the ramdisk has not fails the build.
"""

import io
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Mapping
from importlib import metadata
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from imaging.errors import ConfigurationError
from imaging.ramdisk.packages import PackageError
from imaging.ramdisk.tree import Entry, File, Link, Tree
from imaging.ramdisk.trial import laid_out, run_there

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
EXTENSION = "isal_zlib.cpython-{}-x86_64-linux-gnu.so"
PATIENCE_S = 120.0  # of pip
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


def installed_isal(version: str) -> dict[str, Entry] | None:
    """The modules of ISA-L as they are installed here; None when they are for another Python.

    An installation may have no pip, as that of the Debian package.
    """
    library = EXTENSION.format(version.replace(".", ""))
    installed = metadata.files("isal") or []
    if not any(file.name == library for file in installed):
        return None
    return {
        f"usr/lib/python{version}/{file}": File(file.read_binary())
        for file in sorted(installed)
        if file.suffix in (".py", ".so")
    }


def fetch_wheel(directory: Path, version: str, *, patience_s: float = PATIENCE_S) -> Path:
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
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=patience_s,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise PackageError(
                f"pip has not fetched isal for Python {version} after {patience_s:g} s",
                hint=f"can its index be reached? Or put {wanted} into {directory}",
            ) from error
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
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError) as error:
        raise PackageError(
            f"the wheel of isal cannot be read: {error}", hint="remove it, to have it fetched anew"
        ) from error
    return found


def compile_modules(tree: Tree, version: str) -> None:
    """Replace the sources by compiled modules, having proven that all tools can be imported.

    Raises ConfigurationError, and ImagingError when there is no room for it.
    """
    root = f"usr/lib/python{version}"
    with laid_out(tree) as place:
        _run_python(place, version, _COMPILE, str(place / root), str(place))
        for path in [path for path, _ in tree.files() if path.startswith(f"{root}/")]:
            if path.endswith(".py"):
                compiled = (place / f"{path}c").read_bytes()
                (place / path).unlink()
                tree.remove(path)
                tree.add(f"{path}c", File(compiled))
        imports = "; ".join(f"import imaging.frisbee.commands.{tool}" for tool in TOOLS)
        _run_python(place, version, imports)


def _run_python(place: Path, version: str, script: str, *arguments: str) -> None:
    """Run the ramdisk's Python on this host."""
    words = [str(place / f"usr/bin/python{version}"), "-S", "-c", script, *arguments]
    # the same bytes each time: sets are stored in the order of their hashes
    environment = {
        "PYTHONHOME": str(place / "usr"),
        "PYTHONHASHSEED": "0",
        "LC_ALL": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    done = run_there(place, words, environment)
    if done.returncode != 0:
        last = ((done.stderr or done.stdout).strip().splitlines() or ["no reason told"])[-1]
        raise ConfigurationError(
            f"the ramdisk's Python fails: {last}", hint="do its packages belong together? --update"
        )
