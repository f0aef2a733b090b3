"""Imports go strictly downwards, as the diagram in ``imaging/__init__.py`` says."""

import ast
import graphlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "imaging"

LEVELS = {
    "errors": 0,
    "jitter": 0,
    "database": 1,
    "frisbee": 1,
    "_aio": 1,
    "guard": 1,
    "site": 2,
    "feedback": 3,
    "node": 4,
    "images": 4,
    "multicast": 4,
    "leases": 4,
    "operations": 5,
    "monitor": 5,
    "cli": 6,
    "__main__": 7,  # starts cli
}
# outside the layers: what each of these may import; only cli may import them
BESIDE = {
    "testbed": {"errors", "frisbee", "_aio", "site"},
    "ramdisk": {"errors", "frisbee", "site"},
}
ABOVE_BESIDE = {"cli"}

ASYNCIO_FILES = {"_aio.py", "node/console.py", "node/remote.py", "testbed/ssh.py"}
FRISBEE_LIBRARIES = {"isal"}


def modules_of(package: Path) -> dict[str, Path]:
    """Every module of a package, by its full name."""
    found = {}
    for file in sorted(package.rglob("*.py")):
        parts = (package.name, *file.relative_to(package).with_suffix("").parts)
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


def imports_of(name: str, tree: ast.Module, known: dict[str, Path]) -> Iterator[tuple[int, str]]:
    """Line and full name of all that a module imports, also inside functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = name.split(".") + ([""] if known[name].name == "__init__.py" else [])
                base = ".".join(filter(None, [*parents[: -node.level], base]))
            for alias in node.names:
                member = f"{base}.{alias.name}"
                yield node.lineno, member if member in known else base


def room_of(module: str) -> str:
    """The room of a module of ours: ``node`` of imaging.node.power.cmc."""
    return module.split(".")[1] if "." in module else ""


def is_allowed(importer: str, imported: str) -> bool:
    """Whether a room may import another one; both are known."""
    if importer == imported:
        return True
    if imported in BESIDE:
        return importer in ABOVE_BESIDE
    if importer in BESIDE:
        return imported in BESIDE[importer]
    return LEVELS[imported] < LEVELS[importer]


def objection(package: Path, name: str, file: Path, imported: str) -> str | None:
    """What is wrong with one import, if anything."""
    room, top = room_of(name), imported.partition(".")[0]
    if top != package.name:
        place = file.relative_to(package).as_posix()
        if top in ("asyncio", "trio_asyncio") and place not in ASYNCIO_FILES:
            return f"{top} is imported only in {', '.join(sorted(ASYNCIO_FILES))}"
        if room == "frisbee" and top not in sys.stdlib_module_names | FRISBEE_LIBRARIES:
            return f"frisbee is usable alone, without {top}"
        if room == "operations" and top == "socket":
            return "operations touches no socket"
        return None
    target = room_of(imported)
    if not target:
        return None  # the package itself: its version
    if target not in LEVELS and target not in BESIDE:
        return f"{target} has no level"
    if not room or not is_allowed(room, target):
        return f"{room or 'the package itself'} may not import {target}"
    return None


def violations(package: Path) -> list[str]:
    """Each forbidden import, with its place, and a cycle inside a room if there is one."""
    known = modules_of(package)
    found = []
    inside: dict[str, set[str]] = {}
    for name, file in known.items():
        place = file.relative_to(package).as_posix()
        if room_of(name) not in {"", *BESIDE, *LEVELS}:
            found.append(f"{place}: {room_of(name)} has no level")
            continue
        for line, imported in imports_of(name, ast.parse(file.read_text(), str(file)), known):
            problem = objection(package, name, file, imported)
            if problem is not None:
                found.append(f"{place}:{line}: {problem}")
            elif imported in known and room_of(imported) == room_of(name):
                inside.setdefault(name, set()).add(imported)
    try:
        graphlib.TopologicalSorter(inside).prepare()
    except graphlib.CycleError as error:
        found.append(f"cycle: {' < '.join(error.args[1])}")
    return found


def test_imports_go_downwards() -> None:
    assert len(modules_of(PACKAGE)) > 20
    assert violations(PACKAGE) == []


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A small package that keeps all rules."""
    package = tmp_path / "imaging"
    for place, text in {
        "__init__.py": "__version__ = '1'",
        "__main__.py": "from imaging.cli.load import command",
        "errors.py": "",
        "_aio.py": "import asyncio, trio_asyncio",
        "frisbee/__init__.py": "",
        "frisbee/wire.py": "import struct\nimport isal.igzip\nfrom imaging.errors import X",
        "site/settings.py": "import msgspec\nfrom imaging.site.schema import S",
        "site/schema.py": "import imaging.errors",
        "node/console.py": "import asyncio\nfrom ..site import schema\nfrom .markers import m",
        "node/markers.py": "",
        "multicast.py": "from imaging import errors",
        "operations/load.py": "from imaging import multicast\nfrom imaging.node import console",
        "testbed/server.py": "from imaging.site import settings",
        "ramdisk/tree.py": "from imaging.site import settings",
        "cli/load.py": "import imaging.ramdisk.tree\nimport imaging.testbed.server",
    }.items():
        file = package / place
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return package


def test_a_tree_that_keeps_the_rules_is_accepted(tree: Path) -> None:
    assert violations(tree) == []


@pytest.mark.parametrize(
    ("place", "line", "words"),
    [
        ("errors.py", "import imaging.site.schema", "errors may not import site"),
        ("frisbee/wire.py", "import trio", "frisbee is usable alone, without trio"),
        ("frisbee/wire.py", "import imaging._aio", "frisbee may not import _aio"),
        ("site/schema.py", "from imaging.node import markers", "site may not import node"),
        ("site/schema.py", "from ..node.markers import m", "site may not import node"),
        ("site/schema.py", "from .. import multicast", "site may not import multicast"),
        ("node/markers.py", "from imaging import multicast", "node may not import multicast"),
        ("node/markers.py", "def f():\n    import imaging.cli.load", "node may not import cli"),
        ("operations/load.py", "import imaging.testbed.server", "operations may not import test"),
        ("operations/load.py", "import socket", "operations touches no socket"),
        ("__main__.py", "import imaging.testbed.server", "__main__ may not import testbed"),
        ("testbed/server.py", "import imaging.operations.load", "testbed may not import operat"),
        ("ramdisk/tree.py", "import imaging.node.markers", "ramdisk may not import node"),
        ("ramdisk/tree.py", "import imaging.testbed.server", "ramdisk may not import testbed"),
        ("operations/load.py", "import imaging.ramdisk.tree", "operations may not import ramdisk"),
        ("testbed/server.py", "import asyncio", "asyncio is imported only in"),
        ("cli/load.py", "from trio_asyncio import open_loop", "trio_asyncio is imported only in"),
        ("cli/load.py", "import imaging.__main__", "cli may not import __main__"),
        ("cli/load.py", "import imaging.helpers", "helpers has no level"),
        ("helpers.py", "", "helpers has no level"),
        ("__init__.py", "import imaging.errors", "the package itself may not import errors"),
        ("__init__.py", "from .errors import X", "the package itself may not import errors"),
        ("node/markers.py", "from imaging.node.console import c", "cycle: "),
    ],
)
def test_a_forbidden_import_is_found(tree: Path, place: str, line: str, words: str) -> None:
    file = tree / place
    before = file.read_text() + "\n" if file.exists() else ""
    file.write_text(before + line)
    found = violations(tree)
    assert len(found) == 1
    assert words in found[0]
    assert found[0].startswith((place, "cycle: "))
