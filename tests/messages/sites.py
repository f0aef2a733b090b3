"""The places in the code that make messages for users, found by reading the code.

A place is the making of an error, the call of a function that makes one, the raising of what
becomes the second half of one, a line printed to standard error, or one of the phrases that become
part of a report. What is filled in at run time is ``{}`` in a place's text.
"""

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "imaging"
HOLE = "{}"
# letters and digits by which a text can be told from others: of a whole message, and of a part
CLEAR, CLEAR_PART = 14, 10

# how other libraries' errors for users are called
FOREIGN = {"click.UsageError", "click.BadParameter"}
# what is raised with no words for anybody
WORDLESS = {"SystemExit", "KeyboardInterrupt"}
# calls and keywords whose texts become part of what is told
PHRASES = {"Sighting", "Decision", "Noticed", "notice", "_report"}
KEYWORDS = {"problem"}
# what these say is what other software says
IMITATIONS = {
    "testbed/faulty.py",
    "testbed/lease_book.py",
    "testbed/lease_service.py",
    "testbed/netcat.py",
    "testbed/redfish.py",
}
PHRASE, CAUSE = "phrase", "cause"
PARTS = {PHRASE, CAUSE}  # of a message, and not whole ones


@dataclass(frozen=True)
class Site:
    """One place; ``lines`` are its first and last, ``text`` is without what is filled in."""

    file: str
    function: str
    kind: str
    text: str
    lines: tuple[int, int]

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What stays the same when the lines above it change."""
        return self.file, self.function, self.kind, self.text

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """What a message of this place looks like."""
        return pattern(self.text)

    @property
    def is_clear(self) -> bool:
        """Whether the text alone tells that a message is of this place."""
        return len(re.sub(r"\W", "", self.text)) >= (CLEAR_PART if self.kind in PARTS else CLEAR)


def pattern(text: str) -> re.Pattern[str]:
    """What a message made from a text looks like, wherever it stands."""
    return re.compile(".*".join(re.escape(part) for part in text.split(HOLE)), re.DOTALL)


@lru_cache
def sites() -> tuple[Site, ...]:
    """All of them, in the order of files and lines."""
    files = {file.relative_to(PACKAGE).as_posix(): file for file in sorted(PACKAGE.rglob("*.py"))}
    trees = {place: ast.parse(file.read_text()) for place, file in files.items()}
    family = _family(list(trees.values()))
    makers = set(_makers(list(trees.values()), family))
    found = []
    for place, tree in trees.items():
        if place in IMITATIONS:
            continue
        reader = _Reader(place, family, makers)
        reader.visit(tree)
        found += sorted(reader.found, key=lambda site: site.lines)
    return tuple(found)


def _family(trees: Sequence[ast.Module]) -> set[str]:
    """The names of all classes that descend from ImagingError."""
    parents: dict[str, set[str]] = {}
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                parents.setdefault(node.name, set()).update(map(ast.unparse, node.bases))
    family = {"ImagingError"}
    while more := {name for name, bases in parents.items() if bases & family} - family:
        family |= more
    return family


def _makers(trees: Sequence[ast.Module], family: set[str]) -> Iterator[str]:
    """The names of functions that make an error for their caller to raise."""
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and node.returns is not None:
                returned = ast.unparse(node.returns).strip("'\"")
                if returned in family:
                    yield node.name


class _Reader(ast.NodeVisitor):
    """Reads one file."""

    def __init__(self, file: str, family: set[str], makers: set[str]) -> None:
        self.found: list[Site] = []
        self._file, self._family, self._makers = file, family, makers
        self._scope: list[str] = []

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._inside(node.name, node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._inside(node.name, node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self._inside(node.name, node)

    def _inside(self, name: str, node: ast.AST) -> None:
        self._scope.append(name)
        self.generic_visit(node)
        self._scope.pop()

    def visit_Raise(self, node: ast.Raise) -> None:
        call = node.exc
        if isinstance(call, ast.Call):
            name = ast.unparse(call.func)
            last = name.rpartition(".")[2]
            known = last in self._family | self._makers or name in FOREIGN
            if not known and last not in WORDLESS and _text(call):
                self._add(call, CAUSE)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        name = ast.unparse(node.func)
        last = name.rpartition(".")[2]
        if last in self._family or name in FOREIGN:
            self._add(node, last)
        elif last in self._makers:
            self._add(node, "call")
        elif name == "print" and any(
            word.arg == "file" and ast.unparse(word.value) == "sys.stderr" for word in node.keywords
        ):
            self._add(node, "print")
        elif last in PHRASES:
            self._phrase(node)
        self.generic_visit(node)

    def visit_keyword(self, node: ast.keyword) -> None:
        if node.arg in KEYWORDS:
            self._phrase(node.value)
        self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        if any(ast.unparse(target).rpartition(".")[2] in KEYWORDS for target in node.targets):
            self._phrase(node.value)
        self.generic_visit(node)

    def visit_Yield(self, node: ast.Yield) -> None:
        if node.value is not None and self._scope[-1].endswith("_problems"):
            self._phrase(node.value)
        self.generic_visit(node)

    def _phrase(self, node: ast.expr) -> None:
        site = self._site(
            node, PHRASE, _text(node) if isinstance(node, ast.Call) else _literal(node)
        )
        if site.is_clear:  # else it cannot be told from others
            self.found.append(site)

    def _add(self, call: ast.Call, kind: str) -> None:
        self.found.append(self._site(call, kind, _text(call) or HOLE))

    def _site(self, node: ast.expr, kind: str, text: str) -> Site:
        lines = node.lineno, node.end_lineno or node.lineno
        return Site(self._file, ".".join(self._scope), kind, text, lines)


def _text(call: ast.Call) -> str:
    """The words among the arguments of a call, with the hint in brackets; "" without words."""
    words = [_literal(argument) for argument in call.args]
    hint = next((_literal(word.value) for word in call.keywords if word.arg == "hint"), "")
    words += [_literal(word.value) for word in call.keywords if word.arg == "what"]
    text = max(words, key=lambda one: len(one.replace(HOLE, "")), default="")
    return f"{text or HOLE} ({hint})" if hint.replace(HOLE, "") else text.strip()


def _literal(node: ast.expr) -> str:
    """An expression's words; a hole where there is no telling, "" when there are none at all."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=values):
            return "".join(_literal(value) or HOLE for value in values)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return (_literal(left) or HOLE) + (_literal(right) or HOLE)
        case ast.Call(func=ast.Name(id="printable"), args=[inner]):
            return _literal(inner)
    return ""
