"""What a message must be like: read at night, by somebody who did not write this code."""

import re
from collections.abc import Iterator

from tests.messages.catalogue import Entry
from tests.messages.sites import PARTS

LINES = 3
# what only a program's author understands
JARGON = re.compile(
    r"\bNone\b|Errno|Traceback|_ssl\.c|<class|object at 0x|bytearray|\bb'\\"
    r"|\w+(?:Error|Exception)\b|Path\("
)
GLUED = re.compile(r"(?<![\w.:/+-])\d+(?:\.\d+)?(?:s|ms|sec|secs|seconds|kB|KB|MB|GB|MiB|GiB)\b")
CAPITAL = re.compile(r"[A-Z][a-z]+ [a-z]")
# how a message tells what to do, when it does not do so in brackets
CURE = re.compile(
    r"\bmust\b|\bneeds?\b|\bwants?\b|\buse\b|\bgive\b|\bgoe?s?\b|\bis for\b|\bset\b|\bsee\b"
    r"|did you|exclude each other|takes? no\b|\bone of\b|\bnone of\b|\bat (?:most|least)\b"
    r"|is not of the form|not between|\bonly\b|\balready\b|second time|multiples of|\[\w+\] \w|\?$",
    re.IGNORECASE,
)
# of what the user did, or what only its authors can mend
EVIDENT = re.compile(r"interrupted by|internal error: ")
# messages whose cure is that their place be put right: a file's line, a setting, an option
PLACE = re.compile(r"^[^ ]+:\d+:|\[\d+\]|^-|^faults: |^inventory\b|^'")
# remarks to settings, which are told with them
CHECKS = "operations/site_check.py"
# they speak as Emulab's tools do, which scripts and people know
DIALECT = "frisbee/"
# becomes a part of another message, or is a remark to one that has a cure
REMARKS = {"print", "call", "RemoteError", "NoAnswerError", "NotTrustedError", "LockTakenError"}


def objections(entry: Entry) -> Iterator[str]:
    """All that is wrong with a message."""
    message = entry.message
    # the tools of the data plane add their usage
    if len(message.splitlines()) > LINES and not entry.file.startswith(f"{DIALECT}commands/"):
        yield "has too many lines"
    if (found := JARGON.search(message)) and not EVIDENT.search(message):
        yield f"says {found[0]!r}"
    if entry.kind not in PARTS and "  " in message.splitlines()[0]:
        yield "has blanks that nobody needs"
    if entry.file.startswith(DIALECT):
        return
    if found := GLUED.search(message):
        yield f"glues {found[0]!r}"
    if message.endswith(".") and not message.endswith("..."):
        yield "ends with a full stop"
    if CAPITAL.match(message) and not message.startswith("Missing command"):
        yield "begins with a capital"
    if entry.kind == "NodeError" and not re.match(r"[\w.:-]+: ", message):
        yield "does not begin with its node"
    is_remark = entry.kind in PARTS | REMARKS or entry.file == CHECKS
    if not is_remark and not has_cure(message):
        yield "does not say what to do"


def has_cure(message: str) -> bool:
    """Whether a message says what to do, or names the place that has to be put right."""
    patterns = (CURE, PLACE, EVIDENT)
    return message.endswith(")") or any(pattern.search(message) for pattern in patterns)
