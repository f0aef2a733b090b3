"""A command in the ramdisk of a node that has faults: the real one, until its fault acts.

Run by the scripts of ``node_commands``. What it runs is the real tool, whose words it passes on;
"midway" is when that says that half of the image has come, or half of the image has been sent.
"""

import logging
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from imaging.frisbee.dialect import ClientDialect, Left, Progress, Wrote
from imaging.frisbee.ndz import CHUNK_SIZE, HEADER_SIZE
from imaging.testbed.fault_file import FaultFile
from imaging.testbed.faults import Fault
from imaging.testbed.layout import Layout
from imaging.testbed.node_commands import DISK_DEVICE

POWER_CUT, CONNECTION_DROPPED = "power", "connection"
NOISE_SIZE = 4096  # bytes
NOT_FOUND = 127
READ_SIZE = 65536  # bytes
MARKS = ".sz"
SLOW_PIECES = 20


def say(text: str) -> None:
    """Write to standard error, at once."""
    os.write(2, text.encode())


def write(data: bytes) -> None:
    """Write to standard output, at once."""
    view = memoryview(data)
    while view:
        view = view[os.write(1, view) :]


def stay() -> NoReturn:
    """Do nothing for ever."""
    while True:
        signal.pause()


def become(command: list[str]) -> NoReturn:
    """Run the real tool in place of this process."""
    os.execvp(command[0], command)  # noqa: S606 - from an argument list


@dataclass(frozen=True, slots=True)
class FaultyNode:
    """The node on which the command runs."""

    layout: Layout
    home: Path
    faults: FaultFile

    @property
    def name(self) -> str:
        """Its name."""
        return self.home.name

    @property
    def disk(self) -> Path:
        """The file of its disk."""
        return self.home / "disk.img"

    def take(self, kind: str, *words: str) -> Fault | None:
        """The fault that acts now."""
        return self.faults.take(self.name, kind, *words)

    def tell(self, accident: str) -> None:
        """Have the testbed do to the node what no command of it could."""
        with self.layout.accidents.open("w") as stream:
            stream.write(f"{self.name} {accident}\n")

    def tool(self, name: str, words: Sequence[str], disk_fault: Fault | None) -> list[str]:
        """The command line of the real tool."""
        disk = self.disk
        if disk_fault is not None and disk_fault.word == "small":
            disk = self._small_disk(int(disk_fault.argument or 0))
        as_disk = name != "imagezip" and DISK_DEVICE in words
        real = [str(disk) if word == DISK_DEVICE else word for word in words]
        start = [f"imaging-{name}"]
        if disk_fault is not None and disk_fault.word == "error":
            start = [sys.executable, "-m", "imaging.testbed.bad_disk", name]
        return [*start, *(["--disk"] if as_disk else []), *real]

    def _small_disk(self, size: int) -> Path:
        """A disk of another size, with the same beginning."""
        small = self.home / "small-disk.img"
        with self.disk.open("rb") as source, small.open("wb") as target:
            target.write(source.read(min(size, CHUNK_SIZE)))
            target.truncate(size)
        return small


def blockdev(node: FaultyNode, words: Sequence[str]) -> int:
    """``blockdev --getsize64 DISK``."""
    fault = node.take("disk", "missing", "small")
    is_there = list(words) == ["--getsize64", DISK_DEVICE] and node.disk.is_file()
    if not is_there or (fault is not None and fault.word == "missing"):
        say(f"blockdev: cannot open {words[-1] if words else ''}: No such file or directory\n")
        return 1
    small = fault is not None and fault.word == "small"
    size = int(fault.argument or 0) if fault and small else node.disk.stat().st_size
    print(size)
    return 0


def frisbee(node: FaultyNode, words: Sequence[str]) -> int:
    """The frisbee client."""
    fault = node.take(
        "client",
        *("missing", "fail", "stall", "old-dialect", "garbage", "garbage-fail", "killed"),
    )
    word = fault.word if fault else ""
    if word == "missing":
        say("sh: frisbee: not found\n")
        return NOT_FOUND
    disk_fault = node.take("disk", "missing", "small", "error")
    if disk_fault is not None and disk_fault.word == "missing":
        say("opening output file: No such file or directory\n")
        return 1
    if word.startswith("garbage"):
        write(random.Random(1).randbytes(NOISE_SIZE))  # noqa: S311 - noise, not secrets
        if fault is not None and word == "garbage-fail":
            return int(fault.argument or 1)
    command = node.tool("frisbee", words, disk_fault)
    accident = _next_accident(node)
    if accident is None and word in ("", "garbage"):
        become(command)
    return _Client(node, command, fault, accident).run()


def _next_accident(node: FaultyNode) -> str | None:
    """What happens to the node midway."""
    if node.take("power", "cut"):
        return POWER_CUT
    return CONNECTION_DROPPED if node.take("telnet", "drop") else None


class _Client:
    """The real client under the hand of a fault."""

    def __init__(
        self, node: FaultyNode, command: list[str], fault: Fault | None, accident: str | None
    ) -> None:
        self._node = node
        self._fault = fault
        self._word = fault.word if fault else ""
        self._accident = accident
        self._dialect = ClientDialect()
        self._line = ""
        self._process = subprocess.Popen(command, stderr=subprocess.PIPE)

    def run(self) -> int:
        assert self._process.stderr is not None
        is_midway = False
        while data := os.read(self._process.stderr.fileno(), READ_SIZE):
            text = data.decode("utf-8", "replace")
            fractions: list[float] = []
            for event in self._dialect.feed(text):
                match event:
                    case Progress(fraction=fraction):
                        fractions.append(fraction)
                    case Left() | Wrote():
                        fractions.append(1.0)
            if not is_midway and fractions and fractions[-1] >= 0.5:
                is_midway = True
                status = self._act()
                if status is not None:
                    return status
            if self._word == "old-dialect":
                self._translate(text, fractions)
            else:
                say(text)
        status = self._process.wait()
        return status if status >= 0 else 128 - status

    def _act(self) -> int | None:
        """It is midway: a status when that is the end."""
        if self._accident is not None:
            self._process.send_signal(signal.SIGSTOP)
            self._node.tell(self._accident)
            stay()
        match self._word:
            case "fail":
                self._process.kill()
                say("PacketReceive(recvfrom) : Network is down\n")
                return int((self._fault and self._fault.argument) or 1)
            case "stall":
                self._process.send_signal(signal.SIGSTOP)
                stay()
            case "killed":
                self._process.kill()
                os.kill(os.getpid(), signal.SIGKILL)
        return None

    def _translate(self, text: str, fractions: list[float]) -> None:
        """What OMF's client says instead of the marks."""
        for fraction in fractions:
            write(f"Progress: {round(fraction * 100)}%\n".encode())
        *lines, self._line = (self._line + text).split("\n")
        for line in lines:
            if not line.startswith("."):
                say(f"{line.lstrip(MARKS)}\n")


def imagezip(node: FaultyNode, words: Sequence[str]) -> int:
    """imagezip to standard output. Its image is made whole before the first byte is sent."""
    fault = node.take("imagezip", "fail", "slow", "truncated", "corrupted", "silent")
    if fault is not None and fault.word == "silent":
        stay()
    disk_fault = node.take("disk", "missing", "small", "error")
    if disk_fault is not None and disk_fault.word == "missing":
        say(f"{DISK_DEVICE}: No such file or directory\n")
        return 1
    command = node.tool("imagezip", words, disk_fault)
    accident = _next_accident(node)
    if fault is None and accident is None:
        become(command)
    made = subprocess.run(command, capture_output=True, check=False)
    image = made.stdout
    half = len(image) // 2
    if accident is not None:
        write(image[:half])
        node.tell(accident)
        stay()
    if fault is not None and fault.word == "fail":
        write(image[:half])
        say("reading input file: Input/output error\n")
        return int(fault.argument or 1)
    _send(image, fault)
    os.write(2, made.stderr)
    return made.returncode


def _send(image: bytes, fault: Fault | None) -> None:
    """Send the image as the fault has it."""
    match fault.word if fault else "":
        case "truncated":
            write(image[: -(CHUNK_SIZE // 2)])
        case "corrupted":
            # in the compressed data of the chunk in the middle, past the two bytes of its header
            place = len(image) // CHUNK_SIZE // 2 * CHUNK_SIZE + HEADER_SIZE + 2
            flipped = bytes(byte ^ 0xFF for byte in image[place : place + 16])
            write(image[:place] + flipped + image[place + 16 :])
        case "slow":
            pause = (fault.argument if fault and fault.argument else 0) / SLOW_PIECES
            size = -(-len(image) // SLOW_PIECES) or 1
            for place in range(0, len(image), size):
                write(image[place : place + size])
                time.sleep(pause)
        case _:
            write(image)


def main(argv: Sequence[str]) -> int:
    """Run ``COMMAND ARGUMENT...``; returns the exit status."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # as the real tools
    logging.getLogger("imaging").addHandler(logging.NullHandler())  # nothing on the console
    command, *words = argv
    home, faults = Path(os.environ["NODE_DIRECTORY"]), Path(os.environ["NODE_FAULTS"])
    node = FaultyNode(Layout(faults.parent), home, FaultFile(faults))
    match command:
        case "blockdev":
            return blockdev(node, words)
        case "frisbee":
            return frisbee(node, words)
        case "imagezip":
            return imagezip(node, words)
    become(node.tool(command, words, None))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
