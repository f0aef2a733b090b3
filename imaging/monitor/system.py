"""What a node's system is asked about itself, and how its answers read; pure.

Each answer comes from a node, and is shown to people: it is cut, and made printable.
"""

import re
import shlex
from pathlib import PurePosixPath

from imaging.feedback.wording import printable
from imaging.monitor.observations import System

KERNEL = "uname -r"
RELEASE = "cat /etc/os-release"
UPTIME_LIMIT_S = 1e9  # 31 years: more is nonsense, and leads out of the calendar
TEXT_LIMIT = 80  # characters of one answer that are kept

_PRETTY_NAME = re.compile(r"PRETTY_NAME=(.*)")


def stamp_command(file: PurePosixPath) -> str:
    """Ask for the file in which an image says what it is."""
    return shlex.join(["cat", str(file)])


def parse_system(
    now: float, uptime_s: float | None, kernel: str, release: str, stamp: str
) -> System:
    """The answers of a system; ``now`` is when it was asked, in seconds since the epoch."""
    booted = None
    if uptime_s is not None and uptime_s < UPTIME_LIMIT_S:
        booted = round(now - uptime_s, 2)
    return System(
        release=_release(release),
        kernel=_word(kernel),
        booted=booted,
        stamp=_stamp(stamp),
    )


def _word(text: str) -> str:
    """The first line of an answer, as it can be shown."""
    lines = text[:4096].splitlines()
    return printable(lines[0].strip()[:TEXT_LIMIT]) if lines else ""


def _release(text: str) -> str:
    """The name of a distribution, of the text of os-release(5)."""
    for line in text[:65536].splitlines():
        found = _PRETTY_NAME.fullmatch(line[:4096].strip())
        if found is not None:
            try:
                words = shlex.split(found[1])
            except ValueError:
                return ""
            return _word(" ".join(words))
    return ""


def _stamp(text: str) -> str:
    """The image of the last line that says something: its name, or ``... image NAME ...``."""
    lines = [line.split() for line in text[-4096:].splitlines() if line.strip()]
    if not lines:
        return ""
    words = lines[-1]
    named = words.index("image") + 1 if "image" in words[:-1] else 0
    return _word(words[named])
