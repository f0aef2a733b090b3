"""Driving the installed commands as their users do, against a running virtual testbed."""

import hashlib
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from imaging.testbed.fault_file import FaultFile
from imaging.testbed.faults import Faults, format_what, parse_what, with_kind
from tests.messages.recorder import heard, overheard

BIN = Path(sys.executable).parent
LIMIT_S = 60.0  # no command of these tests has a reason to take longer


def user_environment(home: Path) -> dict[str, str]:
    """The environment of a user who has nothing but the installed commands."""
    return {
        "PATH": os.pathsep.join([str(BIN), "/usr/sbin", "/usr/bin", "/sbin", "/bin"]),
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "PYTHONWARNINGS": "default",
    }


def run_command(
    *words: str | Path, cwd: Path, environment: dict[str, str]
) -> "subprocess.CompletedProcess[str]":
    """Run an installed command to its end."""
    done = subprocess.run(
        [str(word) for word in words],
        cwd=cwd,
        env=overheard(environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    heard(done.stdout, done.stderr)
    return done


def processes_of(tool: str, directory: Path | str = "") -> list[int]:
    """The processes whose command line has both."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                line = os.fsdecode((entry / "cmdline").read_bytes().replace(b"\0", b" "))
            except (FileNotFoundError, ProcessLookupError):
                continue
            if tool in line and str(directory) in line:
                found.append(int(entry.name))
    return found


def children_of(process: int) -> list[int]:
    """The processes that a process has started and that are still there."""
    children = Path(f"/proc/{process}/task/{process}/children").read_text()
    return [int(child) for child in children.split()]


def is_running(process: int) -> bool:
    """Whether a process is there and has not ended; nobody may have asked for its status yet."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return fields[0] not in "ZX"


def wait_for(condition: Callable[[], bool], limit_s: float = 10.0) -> None:
    """Poll until it is so; fails the test when it is not within the limit."""
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.005)


class Commands:
    """A virtual testbed, and the commands started in its directory."""

    def __init__(self, directory: Path, home: Path) -> None:
        """``directory`` is that of a testbed that runs, or is about to."""
        self.directory = directory
        self.environment = user_environment(home)
        self._started: list[subprocess.Popen[str]] = []
        self._expected: dict[tuple[str, int], str] = {}

    def run(self, *words: str | Path, **variables: str) -> "subprocess.CompletedProcess[str]":
        """Run a command in the testbed's directory."""
        environment = {**self.environment, **variables}
        return run_command(*words, cwd=self.directory, environment=environment)

    def timed(self, *words: str) -> tuple["subprocess.CompletedProcess[str]", float]:
        """Run a command; also the seconds that it took."""
        started = time.monotonic()
        done = self.run(*words)
        return done, time.monotonic() - started

    def start(self, *words: str) -> "subprocess.Popen[str]":
        """Start a command, with its output in pipes; a test that fails does not leave it."""
        process = subprocess.Popen(
            words,
            cwd=self.directory,
            env=overheard(self.environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._started.append(process)
        return process

    def end_all(self) -> None:
        """End the commands that a test has started and left."""
        for process in self._started:
            with process:
                process.terminate()
        self._started.clear()

    def disk(self, name: str) -> Path:
        """A node's disk."""
        return self.directory / "nodes" / name / "disk.img"

    def links(self) -> list[str]:
        """The nextboot links that are there now."""
        folder = self.directory / "tftpboot/pxelinux.cfg"
        return sorted(entry.name for entry in folder.iterdir() if entry.name.startswith("01-"))

    def interface(self, name: str, kind: str) -> dict[str, str]:
        """One interface of a node, as the inventory has it."""
        for row in json.loads((self.directory / "inventory.json").read_text()):
            if row["control"]["hostname"] == name:
                found: dict[str, str] = row[kind]
                return found
        raise KeyError(name)

    def link_place(self, name: str) -> Path:
        """Where the node's nextboot link goes."""
        mac = self.interface(name, "control")["mac"].replace(":", "-")
        return self.directory / "tftpboot/pxelinux.cfg" / f"01-{mac}"

    def requests(self) -> int:
        """How many requests and connections the nodes have met so far."""
        log = (self.directory / "testbed.log").read_text()
        return log.count(" cmc: ") + log.count(" telnet: connection")

    def card_requests(self) -> int:
        """How many requests the power cards have met so far."""
        return (self.directory / "testbed.log").read_text().count(" cmc: ")

    def state(self, name: str) -> str:
        """What a node is doing, as imaging-testbed status tells it."""
        return (self.directory / "nodes" / name / "state").read_text().strip()

    def order(self, name: str, verb: str) -> str:
        """Ask a node's power card."""
        address = self.interface(name, "cmc")["ip"]
        with urllib.request.urlopen(f"http://{address}:8080/{verb}", timeout=5) as answer:
            text: str = answer.read().decode().strip()
        return text

    def boot_ramdisk(self, name: str) -> None:
        """Bring a node into its ramdisk by hand, and remove the link again."""
        place = self.link_place(name)
        place.symlink_to("pxefrisbee")
        try:
            self.order(name, "off")
            wait_for(lambda: self.state(name) == "off")
            self.order(name, "on")
            wait_for(lambda: self.state(name) == "ramdisk")
        finally:
            place.unlink()

    def make_blank(self, name: str) -> None:
        """Have a node boot from an empty disk, on which nothing is to be found."""
        self.order(name, "off")
        wait_for(lambda: self.state(name) == "off")
        with self.disk(name).open("r+b") as disk:
            disk.write(bytes(1 << 20))
        self.order(name, "on")
        wait_for(lambda: self.state(name) == "dead")

    def set_fault(self, name: str, **kinds: str) -> None:
        """Have a node misbehave from now on, as in ``cmc="hang*2"``; other kinds of it stay."""
        chosen = {kind: parse_what(kind, what) for kind, what in kinds.items()}

        def change(faults: Faults) -> Faults:
            for kind, what in chosen.items():
                faults = with_kind(faults, name, kind, what)
            return faults

        self._faults.change(change)

    def fault(self, name: str, kind: str) -> str:
        """What is set of one kind of a node now; empty when nothing is."""
        return format_what(self._faults.read().get(name, {}).get(kind, ()))

    def clear_faults(self) -> None:
        """Have no node misbehave."""
        self._faults.clear()

    @property
    def _faults(self) -> FaultFile:
        return FaultFile(self.directory / "faults.json")

    def expected_disk(self, image: str = "sample", like: str = "fit01") -> str:
        """The sha256 of a disk of zeros that has got the image, and nothing else."""
        size = self.disk(like).stat().st_size
        if (image, size) not in self._expected:
            scratch = self.directory / "expected.img"
            with scratch.open("wb") as stream:
                stream.truncate(size)
            tool = self.run("imaging-imageunzip", "--disk", f"images/{image}.ndz", str(scratch))
            assert tool.returncode == 0, tool.stderr
            self._expected[image, size] = sha256(scratch)
            scratch.unlink()
        return self._expected[image, size]

    @contextmanager
    def setting(self, old: str, new: str) -> Iterator[None]:
        """Change the settings of the directory for a while."""
        with self._edited(self.directory / "imaging.conf", lambda text: text.replace(old, new, 1)):
            yield

    def setting_value(self, key: str) -> str:
        """The value of the first such key in the settings of the directory."""
        for line in (self.directory / "imaging.conf").read_text().splitlines():
            if line.startswith(f"{key} = "):
                return line.partition(" = ")[2]
        raise KeyError(key)

    @contextmanager
    def unreachable(self, name: str, kind: str) -> Iterator[None]:
        """Have one of a node's interfaces at an address where nobody is, for a while."""
        address = self.interface(name, kind)["ip"]
        first, second, _, last = address.split(".")
        nobody = f"{first}.{second}.99.{last}"
        inventory = self.directory / "inventory.json"
        with self._edited(inventory, lambda text: text.replace(f'"{address}"', f'"{nobody}"')):
            yield

    @contextmanager
    def _edited(self, file: Path, edit: Callable[[str], str]) -> Iterator[None]:
        before = file.read_text()
        after = edit(before)
        assert after != before, "nothing to edit"
        file.write_text(after)
        try:
            yield
        finally:
            file.write_text(before)


def sha256(file: Path) -> str:
    """The sha256 of a file's content."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
