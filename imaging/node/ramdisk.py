"""What is asked of the ramdisk, and how its answers read: shell texts and parsers, all pure."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

SECTOR_SIZE = 512  # bytes; of /sys/class/block/*/size, whatever the device's own


@dataclass(frozen=True, slots=True)
class Inspection:
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
