"""What keeps the tree small enough to read, and true: sizes, docstrings, waits, nothing dead.

Each exception has its reason beside it; one that is no exception any more must go.
"""

import ast
import gc
import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import imaging
from tests.test_layers import BESIDE, LEVELS, imports_of, modules_of

ROOT = Path(imaging.__file__).parent.parent
FILE_LINES, FUNCTION_LINES = 400, 50

LONG_FILES: dict[str, str] = {}
# without their decorators: options are a table, and no work
LONG_FUNCTIONS: dict[str, str] = {}
# what is mentioned nowhere else in the package, and who calls it all the same
CALLED_FROM_OUTSIDE = {
    "imaging/cli/leases.py list_command": "click, for imaging-leases list",
    "imaging/cli/umbrella.py Umbrella.get_command": "click",
    "imaging/cli/umbrella.py Umbrella.list_commands": "click",
    "imaging/feedback/log.py _Formatter.formatTime": "logging",
    "imaging/frisbee/disk.py DiskWriter.write_chunk": "who uses the data plane alone",
    "imaging/testbed/faults.py server_lines": "the page of faults, by its test",
    "imaging/testbed/faults.py table_lines": "the page of faults, by its test",
    "imaging/testbed/ssh.py _Server.auth_completed": "asyncssh",
    "imaging/testbed/ssh.py _Server.connection_lost": "asyncssh",
    "imaging/testbed/ssh.py _Server.connection_made": "asyncssh",
}

Function = ast.FunctionDef | ast.AsyncFunctionDef
Definition = Function | ast.ClassDef


Sources = Mapping[str, tuple[str, ast.Module]]


def parsed(root: Path, tree: str) -> Sources:
    """The text of every module of a tree, and what it means, by its place below the root."""
    files = sorted((root / tree).rglob("*.py"))
    gc.disable()  # which would look at all of these trees again and again: four times as long
    try:
        texts = {file.relative_to(root).as_posix(): file.read_text() for file in files}
        return {place: (text, ast.parse(text)) for place, text in texts.items()}
    finally:
        gc.enable()


@pytest.fixture(scope="module")
def package() -> Sources:
    return parsed(ROOT, "imaging")


@pytest.fixture(scope="module")
def tests() -> Sources:
    return parsed(ROOT, "tests")


def definitions(
    node: ast.Module | ast.ClassDef, outer: str = ""
) -> Iterator[tuple[str, Definition]]:
    """The functions and classes of a module, and of its classes, by their full names."""
    for inner in node.body:
        if isinstance(inner, Definition):
            yield outer + inner.name, inner
        if isinstance(inner, ast.ClassDef):
            yield from definitions(inner, f"{outer}{inner.name}.")


def is_public(name: str) -> bool:
    return not any(part.startswith("_") for part in name.split("."))


def long_files(sources: Sources) -> list[str]:
    return [place for place, (text, _) in sources.items() if len(text.splitlines()) > FILE_LINES]


def long_functions(sources: Sources) -> list[str]:
    """Those of any depth."""
    return [
        f"{place} {node.name}"
        for place, (_, module) in sources.items()
        for node in ast.walk(module)
        if isinstance(node, Function) and (node.end_lineno or 0) - node.lineno >= FUNCTION_LINES
    ]


def silent(sources: Sources) -> list[str]:
    """What is public, and does not say what it is."""
    found = [place for place, (_, module) in sources.items() if not ast.get_docstring(module)]
    return found + [
        f"{place} {name}"
        for place, (_, module) in sources.items()
        for name, node in definitions(module)
        if is_public(name) and not ast.get_docstring(node)
    ]


def surprising(sources: Sources) -> list[str]:
    """What is public and raises an error, and does not say so."""
    return [
        f"{place} {name}"
        for place, (_, module) in sources.items()
        for name, node in definitions(module)
        if isinstance(node, Function) and is_public(name) and raises(node)
        if "aises" not in (doc := ast.get_docstring(node) or "") and "Raise " not in doc
    ]


def raises(node: ast.AST) -> bool:
    """Whether an error is made and raised here, inner functions aside."""
    for inner in ast.iter_child_nodes(node):
        match inner:
            case ast.Raise(exc=ast.Call(func=ast.Name(id=name))) if name.endswith("Error"):
                return True
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef() | ast.Lambda():
                continue
            case _ if raises(inner):
                return True
    return False


def endless(sources: Sources) -> list[str]:
    """Waits that what cancels them would wait for: in threads, behind shields, for programs."""
    return [
        f"{place}:{call.lineno}"
        for place, (_, module) in sources.items()
        for call in ast.walk(module)
        if isinstance(call, ast.Call) and is_endless(call)
    ]


def is_endless(call: ast.Call) -> bool:
    function = ast.unparse(call.func)
    given = {word.arg: ast.unparse(word.value) for word in call.keywords}
    if function.endswith("to_thread.run_sync"):
        return given.get("abandon_on_cancel") != "True"
    if function == "subprocess.run":
        return "timeout" not in given
    return "shield" in given and not function.endswith(("move_on_after", "fail_after"))


def dead(sources: Sources, elsewhere: str = "") -> list[str]:
    """What is mentioned only where it is defined; what has two underscores is Python's."""
    mentioned = Counter(re.findall(r"\w+", elsewhere))
    for text, _ in sources.values():
        mentioned.update(re.findall(r"\w+", text))
    return [
        f"{place} {name}"
        for place, (_, module) in sources.items()
        for name, node in definitions(module)
        if mentioned[node.name] == 1 and not node.name.startswith("__")
    ]


def test_no_file_is_too_long_to_be_one_thing(package: Sources, tests: Sources) -> None:
    assert sorted(long_files({**package, **tests})) == sorted(LONG_FILES)


def test_no_function_is_too_long_to_be_seen_whole(package: Sources, tests: Sources) -> None:
    assert sorted(long_functions({**package, **tests})) == sorted(LONG_FUNCTIONS)


def test_everything_public_says_what_it_is(package: Sources) -> None:
    assert silent(package) == []
    assert surprising(package) == []


def test_no_wait_is_without_an_end(package: Sources) -> None:
    # a virtual testbed is ended by who has started it
    real = {place: what for place, what in package.items() if "/testbed/" not in place}
    assert endless(real) == []


def test_everything_that_is_defined_is_used(package: Sources) -> None:
    commands = (ROOT / "pyproject.toml").read_text()
    assert set(dead(package, commands)) <= CALLED_FROM_OUTSIDE.keys()
    known = {
        f"{place} {name}"
        for place, (_, module) in package.items()
        for name, _ in definitions(module)
    }
    assert known >= CALLED_FROM_OUTSIDE.keys()


def test_what_is_wrong_is_found(tmp_path: Path) -> None:
    house = tmp_path / "house"
    house.mkdir()
    (house / "fine.py").write_text('"""Fine."""\n\ndef _f():\n    return _f' + "\n" * 397)
    (house / "long.py").write_text("def f():\n" + "    f()\n" * 50 + "\n" * 350)
    (house / "loud.py").write_text(
        '"""."""\ndef _i():\n  raise IError()\ndef g():\n  "Raises G."\n  raise GError()\n'
        'def h():\n  "."\n  if _i():\n    g(h)\n    raise HError()\n'
    )
    (house / "slow.py").write_text(
        '"""."""\nfrom trio import CancelScope, move_on_after, to_thread\nimport subprocess\n'
        "async def _f():\n"
        "    await to_thread.run_sync(_f)\n"
        "    await to_thread.run_sync(_f, abandon_on_cancel=True)\n"
        "    subprocess.run([])\n"
        "    subprocess.run([], timeout=1)\n"
        "    with move_on_after(1, shield=True): await _f()\n"
        "    with CancelScope(shield=True): await _f()\n"
    )
    (house / "lonely.py").write_text('"""."""\nclass C:\n    def lonely(self): ...\nC()\n')
    sources = parsed(tmp_path, "house")
    assert long_files(sources) == ["house/long.py"]
    assert long_functions(sources) == ["house/long.py f"]
    assert silent(sources) == [
        "house/long.py",
        "house/lonely.py C",
        "house/lonely.py C.lonely",
        "house/long.py f",
    ]
    assert surprising(sources) == ["house/loud.py h"]
    assert set(endless(sources)) == {f"house/slow.py:{line}" for line in (5, 7, 10)}
    assert dead(sources) == ["house/lonely.py C.lonely"]


def entry_points(known: Mapping[str, Path], package: Sources) -> set[str]:
    """The modules that begin something: commands, and what is started with ``python -m``."""
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    begun = {value.partition(":")[0] for value in scripts.values()}
    texts = [(ROOT / "Makefile").read_text()]
    for text, module in package.values():
        if "-m" in text:
            strings = (node for node in ast.walk(module) if isinstance(node, ast.Constant))
            texts.extend(node.value for node in strings if isinstance(node.value, str))
    started = re.findall(r"imaging(?:\.\w+)+", "\n".join(texts))
    return {"imaging.__main__", *begun, *started} & known.keys()


def test_every_module_has_its_use(package: Sources) -> None:
    known = modules_of(ROOT / "imaging")
    reached: set[str] = set()
    coming = entry_points(known, package)
    while coming:
        name = coming.pop()
        reached.add(name)
        _, tree = package[known[name].relative_to(ROOT).as_posix()]
        wanted = {imported for _, imported in imports_of(name, tree, known)}
        parents = {name.rpartition(".")[0]}
        coming |= ((wanted | parents) & known.keys()) - reached
    assert known.keys() - reached == set()


def test_the_drawing_of_the_layers_shows_each_of_them() -> None:
    assert imaging.__doc__ is not None
    drawn: dict[str, int] = {}
    level = ""
    for number, room in re.findall(r"^    (\d| )  (\w+)", imaging.__doc__, re.MULTILINE):
        level = number.strip() or level
        drawn[room] = int(level)
    beside = {room: drawn.pop(room, None) for room in BESIDE}
    assert drawn == LEVELS
    assert None not in beside.values()
