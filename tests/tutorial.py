"""Runs the command blocks of a page in one shell, as a reader would: what does each print?"""

import getpass
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.documented_commands import blocks

LIMIT_S = 150.0
IN_ANY_ORDER = "<!-- in any order -->"
MARK = "@@@@ next command @@@@"
# what differs each time, and what stands for it
VARIABLE = [
    (r"\b\d\d:\d\d:\d\d\b", "TIME"),
    (r"\b20\d\d-\d\d-\d\d[ T]\d\d:\d\d(?::\d\d)?\b", "DATE"),
    (r"\b20\d{6}-\d{6}-[0-9a-f]{6}\b", "RUN"),
    (r"\b127\.\d+\.\d+\.\d+\b", "ADDRESS"),
    (r"\b239\.77\.\d+\.\d+ -p \d+\b", "GROUP"),
    (r"\b[0-9a-f]{64}\b", "SHA256"),
    (r"\b\d+\.\d+ s\b", "SECONDS"),
    (r"\b\d+ s\b", "SECONDS"),
    (r"/\S*/(?=bed\b)", "/home/alice/"),
    (r"/\S*/(?=imaging-frisbeed\b)", "/opt/imaging/bin/"),
    (r"^imaging \d\S+$", "imaging VERSION"),
    (r"\bprocess \d+", "process NUMBER"),
    (rf"\b{re.escape(getpass.getuser())}\b", "alice"),
    (r"^\S+: line \d+: *\d+ Killed .*", "Killed"),  # bash, when it is not asked by hand
    (r" +", " "),  # columns are as wide as what is in them
]
# a line that comes only when a step takes long enough
PASSING = re.compile(
    r"TIME (?:transfer|boot|ssh): \d.* (?:left|in all)?.*%.*|TIME transfer: \d+ %.*"
)


@dataclass(frozen=True, slots=True)
class Command:
    """A command of the page, and what the page says that it prints."""

    text: str
    output: str
    line: int
    in_any_order: bool


def commands(page: str) -> Iterator[Command]:
    """The commands in the console blocks of a page, in order."""
    lines = page.splitlines()
    for block in blocks(page):
        if block.kind != "console":
            continue
        before = "".join(lines[max(block.line - 3, 0) : block.line - 1])
        for typed in re.split(r"^\$ ", "\n".join(block.lines), flags=re.MULTILINE)[1:]:
            text, _, output = typed.partition("\n")
            yield Command(text, output.rstrip("\n"), block.line, IN_ANY_ORDER in before)


def run(typed: list[Command], directory: Path, environment: dict[str, str]) -> list[str]:
    """Run the commands in one shell; gives what each has printed, errors in their place."""
    # the mark must not change the status that the command may ask for
    mark = f'status=$?; echo "{MARK}"; (exit $status)\n'
    lines = [f"{mark}{command.text}\n" for command in typed]
    script = directory.parent / "typed.sh"
    script.write_text("exec 2>&1\n" + "".join(lines))
    shell = subprocess.run(
        ["/bin/bash", "--norc", "--noprofile", script],
        cwd=directory,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    printed = shell.stdout.split(f"{MARK}\n")
    assert len(printed) == len(typed) + 1, shell.stdout
    return [text.rstrip("\n") for text in printed[1:]]


def normal(text: str, *, in_any_order: bool = False) -> list[str]:
    """The lines of an output, without what differs each time."""
    for pattern, stands_for in VARIABLE:
        text = re.sub(pattern, stands_for, text, flags=re.MULTILINE)
    lines = [line.rstrip() for line in text.splitlines() if not PASSING.fullmatch(line.strip())]
    return sorted(lines) if in_any_order else lines
