"""The commands that the pages tell people to type, found in their code blocks and between words."""

import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent
OURS = frozenset(
    script.name for script in entry_points(group="console_scripts") if script.name == "imaging"
    or script.name.startswith("imaging-")
)  # fmt: skip
SHORT = {
    "iload": "imaging-load",
    "isave": "imaging-save",
    "iwait": "imaging-wait",
    "ilist": "imaging-list",
}
# what a command may follow, besides the operators of the shell
BEFORE_COMMANDS = {
    "!",
    "if",
    "then",
    "else",
    "elif",
    "do",
    "while",
    "until",
    "time",
    "nohup",
    "sudo",
}
OPERATORS = frozenset({";", ";;", "&&", "||", "|", "&", "(", ")"})
# words by which a name of ours is spoken of, and not run: a unit, a file
SPOKEN_OF = {"systemctl", "command", "visudo"}
ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
SHELL = {"", "console", "sh", "bash"}
CRON = re.compile(r"(?:@[a-z]+|[0-9*/,-]+(?: [0-9*/,-]+){4}) +")
PROMPT = re.compile(r"(?:\(\S+\) )?[$#] ")


@dataclass(frozen=True, slots=True)
class Block:
    """A code block of a page; ``kind`` is what its fence says, empty for an indented one."""

    kind: str
    lines: tuple[str, ...]
    line: int  # of the page, from 1

    @property
    def text(self) -> str:
        """What is in it."""
        return "\n".join(self.lines) + "\n"


@dataclass(frozen=True, slots=True)
class Invocation:
    """A command of ours with its arguments, as a page has it."""

    name: str
    arguments: tuple[str, ...]


def pages() -> list[Path]:
    """All that people read."""
    top = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")]
    written = [*top, *(ROOT / "docs").rglob("*.md")]
    return sorted(page for page in written if "reference" not in page.parts)


def blocks(text: str) -> Iterator[Block]:
    """The code blocks of a page, in order."""
    kind, found, start = None, list[str](), 0
    indented_before = blank_before = True
    for number, line in enumerate(text.splitlines(), 1):
        fence = re.fullmatch(r"\s*```\s*(\S*)\s*.*", line)
        if kind is not None and fence:
            yield Block(kind, tuple(found), start)
            kind, found = None, []
        elif kind is not None:
            found.append(line)
        elif fence:
            kind, found, start = fence[1].strip("{}"), [], number
        elif line.startswith("    ") and (blank_before or indented_before):
            yield Block("", (line[4:],), number)
        indented_before = kind is None and line.startswith("    ")
        blank_before = not line.strip()
    assert kind is None, f"a fence that begins in line {start} has no end"


def shell_lines(block: Block) -> Iterator[str]:
    """What a block has for the shell: in a session, what is typed; of a crontab, the commands."""
    if block.kind in ("yaml", "yml"):
        for script in _scripts(yaml.safe_load(block.text)):
            yield from _joined(script.splitlines())
    elif block.kind == "text":
        jobs = (CRON.match(line) for line in block.lines)
        yield from (job.string[job.end() :] for job in jobs if job)
    elif block.kind in SHELL:
        for line in _joined(block.lines):
            prompt = PROMPT.match(line)
            if prompt:
                yield line[prompt.end() :]
            elif block.kind != "console":
                yield line


def _joined(lines: Iterable[str]) -> Iterator[str]:
    """Lines, with those that go on in the next one."""
    joined = ""
    for line in lines:
        joined += line
        if joined.endswith("\\"):
            joined = joined[:-1].rstrip() + " "
        else:
            yield joined
            joined = ""


def _scripts(tree: object) -> Iterator[str]:
    """What a pipeline runs: ``script`` of GitLab, ``run`` of GitHub."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            if key in ("script", "before_script", "after_script", "run"):
                yield "\n".join(value) if isinstance(value, list) else value
            else:
                yield from _scripts(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _scripts(value)


def invocations(line: str) -> Iterator[Invocation]:
    """The commands of ours in a line of shell, those of substitutions too.

    Raises AssertionError when one of our names is there in a place that is not understood.
    """
    if not any(name in line for name in (*OURS, *SHORT)):
        return
    lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|()<>")
    lexer.wordchars += "$%@{}[],:+!^"
    words = list(lexer)
    for word in words:
        for inner in re.findall(r"\$\(([^()]*)\)", word):
            yield from invocations(inner)
    for simple in _simple_commands(words):
        first = _first(simple)
        if first == len(simple):
            continue
        name, arguments = _name(simple[first]), simple[first + 1 :]
        if name is not None:
            yield Invocation(name, tuple(arguments))
        elif simple[first] not in SPOKEN_OF:
            strange = OURS.intersection(arguments) - {"imaging"}
            assert not strange, f"{strange} is not run here: {line}"


def _simple_commands(words: Iterable[str]) -> Iterator[list[str]]:
    """What stands between the operators of the shell, without redirections."""
    simple, redirected = list[str](), False
    for word in words:
        if word in OPERATORS:
            yield simple
            simple = []
        elif not redirected and set(word) - set("<>"):
            simple.append(word)
        redirected = not set(word) - set("<>")
    yield simple


def _first(simple: list[str]) -> int:
    """Where the command itself is, after assignments and words such as ``if`` and ``sudo``."""
    in_timeout = False  # what it is given comes before its number of seconds
    for at, word in enumerate(simple):
        if in_timeout:
            in_timeout = not re.fullmatch(r"[\d.]+[smhd]?", word)
        elif word == "timeout":
            in_timeout = True
        elif not (ASSIGNMENT.match(word) or word in BEFORE_COMMANDS):
            return at
    return len(simple)


def _name(word: str) -> str | None:
    """The command of ours that a word means."""
    name = word.rpartition("/")[2]
    name = SHORT.get(name, name)
    return name if name in OURS else None


def spans(text: str) -> Iterator[str]:
    """What stands between backquotes and begins with a command of ours, blocks left out."""
    prose, inside = [], False
    for line in text.splitlines():
        if line.lstrip().startswith("```"):
            inside = not inside
        elif not inside and not line.startswith("    "):
            prose.append(line)
    for span in re.findall(r"`(imaging(?:-[a-z]+)? [^`]+)`", "\n".join(prose)):
        yield " ".join(span.replace("\\|", "|").split())
