"""The programs that are measured: ours, and the C ones where they are installed."""

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

BIN = Path(sys.executable).parent
NAMES = ("frisbeed", "frisbee", "imagezip", "imageunzip")
YARDSTICKS = Path(__file__).with_name("yardsticks.py")


@dataclass(frozen=True, slots=True)
class Tools:
    """Paths of the four tools."""

    frisbeed: str
    frisbee: str
    imagezip: str
    imageunzip: str


OURS = Tools(*(str(BIN / f"imaging-{name}") for name in NAMES))


def find_theirs() -> Tools | None:
    """The C tools, if all four are on PATH."""
    found = [shutil.which(name) for name in NAMES]
    if None in found:
        return None
    return Tools(*(str(path) for path in found))


def theirs_or_note(theirs: Tools | None) -> list[str]:
    """What a table says when the C tools are not there."""
    if theirs is not None:
        return []
    names = ", ".join(f"`{name}`" for name in NAMES)
    return [f"The C tools ({names}) are not on PATH here: ours are measured alone."]


def yardstick(what: str, *words: str | Path) -> list[str]:
    """The command line of one of yardsticks.py."""
    return [sys.executable, "-I", str(YARDSTICKS), what, *map(str, words)]
