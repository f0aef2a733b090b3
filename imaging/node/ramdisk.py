"""What is asked of the ramdisk, and how its answers read: shell texts and parsers, all pure."""

import re
import shlex
from collections import deque
from collections.abc import Sequence
from pathlib import PurePosixPath

import msgspec

SECTOR_SIZE = 512  # bytes; of /sys/class/block/*/size, whatever the device's own


class Inspection(msgspec.Struct, frozen=True):
    """The ramdisk's uptime in seconds, and the disk's size in bytes; None where not told."""

    uptime_s: float | None
    disk_size: int | None


def inspection_script(disk: str) -> str:
    """Ask for uptime and disk size in one round trip."""
    device = shlex.quote(disk)
    size_file = shlex.quote(f"/sys/class/block/{PurePosixPath(disk).name}/size")
    return (
        f"echo uptime $(cat /proc/uptime); "
        f"s=$(blockdev --getsize64 {device} 2>/dev/null) && echo bytes $s || "
        f"{{ s=$(cat {size_file} 2>/dev/null) && echo sectors $s; }}; :"
    )


def parse_inspection(output: str) -> Inspection:
    """Read the answer to ``inspection_script``; lines that are none of it are passed over."""
    uptime: float | None = None
    size: int | None = None
    for line in output.splitlines():
        match re.fullmatch(r"(uptime|bytes|sectors) ([0-9]{1,18}(?:\.[0-9]+)?)(?: .*)?", line):
            case None:
                continue
            case found if found[1] == "uptime":
                uptime = float(found[2])
            case found:
                size = int(float(found[2])) * (SECTOR_SIZE if found[1] == "sectors" else 1)
    return Inspection(uptime, size or None)


def client_script(command: Sequence[str], *, address: str, group: str, port: int, disk: str) -> str:
    """The frisbee client's command line: ``address`` is the node's own."""
    words = [*command, "-i", address, "-m", group, "-p", str(port), disk]
    return shlex.join(words)


NETCAT_OPTIONS = {"busybox": (), "openbsd": ("-N",)}
"""What makes each flavour of netcat end the connection at the end of its input."""

PIPE = ("imagezip", "netcat")
"""The commands of the pipe that saves a disk."""

WORDS_KEPT = 3  # lines
LINE_LIMIT = 4096  # bytes; what is longer is cut

# at the end of a line: a shell may write the newline before it by itself, and netcat come between
_STATUS = re.compile(r"(.*)pipe (imagezip|netcat) ([0-9]{1,3})\.")
_SIZE = re.compile(r"Image size: ([0-9]{1,18}) bytes")
# possessive: otherwise the time that noise takes grows with the square of its length
_SMALL_TALK = re.compile(
    r"[0-9]+ input \([0-9]+ compressed\) bytes|[0-9.]+MB/second|Finished in|  Slice \d+ is unused|"
    r"  Slice \d+ .* NOT SAVING|[.]++[0-9 ]*+$"
)


def save_script(
    imagezip: Sequence[str],
    netcat: Sequence[str],
    flavour: str,
    *,
    disk: str,
    address: str,
    port: int,
) -> str:
    """Save a disk to the collector at ``address``:``port``; each command's status is told.

    POSIX shells forget all statuses of a pipe but the last, so each is written to the console,
    which is descriptor 3 there, as soon as its command has ended.
    """
    sender = [*netcat, *NETCAT_OPTIONS[flavour], address, str(port)]
    stages = [
        f"{{ {shlex.join(command)}; printf '\\npipe %s %d.\\n' {name} \"$?\" >&3; }}"
        for name, command in zip(PIPE, ([*imagezip, disk, "-"], sender), strict=True)
    ]
    # netcat's own output, if any, belongs to the console too
    return f"{{ {stages[0]} | {stages[1]} >&3; }} 3>&1"


class SaveOutput:
    """What the pipe's commands say on the console, fed in pieces of any size.

    Attributes:
        statuses: exit status of each command of the pipe that has ended, by name.
        size: bytes that imagezip says it has written; None before it does.
    """

    def __init__(self) -> None:
        """Begin before anything was said."""
        self.statuses: dict[str, int] = {}
        self.size: int | None = None
        self._line = ""
        self._words: deque[str] = deque(maxlen=WORDS_KEPT)

    @property
    def last_words(self) -> str:
        """The last lines that are not the tools' small talk: the reason when it failed."""
        return " / ".join(self._words)

    def feed(self, text: str) -> None:
        """Take the next piece of output."""
        *lines, rest = (self._line + text.replace("\0", "").replace("\r", "\n")).split("\n")
        self._line = rest[-LINE_LIMIT:]
        # the console holds back a newline until it knows what follows, so look at the rest too
        for line in [*lines, self._line] if _STATUS.fullmatch(self._line) else lines:
            line = line[:LINE_LIMIT]  # noqa: PLW2901
            if found := _STATUS.fullmatch(line):
                self.statuses[found[2]] = int(found[3])
                line = found[1]  # noqa: PLW2901
            if found := _SIZE.fullmatch(line):
                self.size = int(found[1])
            elif line.strip() and not _SMALL_TALK.match(line):
                self._words.append(line.strip()[:200])
