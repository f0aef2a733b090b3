"""Signals at every step of load and save, and a terminal that is closed: nothing is left behind.

Each cell is a moment in the life of a command, in which a fault holds its node, and what ends the
command then. All run on a terminal, which must be as before when the command could see to it.
"""

import json
import os
import signal
import socket
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from imaging.site.locks import Lock, LockDirectory
from tests.commands import Commands, is_running, processes_of
from tests.terminals import Terminal, terminal

pytestmark = pytest.mark.e2e

LIMIT_S = 2.0  # from the signal to the end; a save gives its node half a second to be reset
CLEAN_S = 0.5  # from the end to where nothing is left
LISTENING, CONNECTED = "0A", "01"  # states of /proc/net/tcp
CLOSED = "terminal closed"
SIGNALS = {s.name: s for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL)}
ENDS = (*SIGNALS, CLOSED)
# no fault of a node holds a save in its last step on this host: a disk that hangs does. Its file
# is gone when the save gives up, and the thread that was left behind goes on at the worst moment
SLOW_DISK = """\
import os, time
real = os.fsync
def fsync(descriptor):
    while os.readlink(f"/proc/self/fd/{descriptor}").endswith(os.environ["SLOW_FILE"]):
        time.sleep(0.001)
    real(descriptor)
os.fsync = fsync
"""
Words = tuple[str, ...]


@dataclass(frozen=True)
class Moment:
    """When it happens: a step, and what holds the command in it.

    ``faults`` are set before the start, ``later`` when the step boot begins: the power card must
    obey until then. ``setting`` is a change of the settings, ``slow`` the end of the name of a
    file that gets to no disk. ``has`` is what can be seen of the command then, ``event`` what it
    has told, and ``image`` whether the image is whole and has its name, which it keeps.
    """

    step: str
    faults: dict[str, str] = field(default_factory=dict)
    later: dict[str, str] = field(default_factory=dict)
    words: Words = ()
    setting: tuple[str, str] | None = None
    slow: str = ""
    has: Words = ()
    event: str = "run-started"
    image: bool = False


LOAD: Words = ("imaging-load", "-i", "sample", "1")
SAVE: Words = ("imaging-save", "-o", "saved", "2")
NODES = {LOAD: "fit01", SAVE: "fit02"}
IMAGE = {"saved.ndz", "saved.json"}
BOTH = {
    "lock": Moment("lock", words=("--wait-lock", "30")),
    "link": Moment("power", {"cmc": "hang"}, has=("link",)),
    "boot": Moment("boot", {"boot": "slow:5"}, has=("link",)),
    "restart": Moment("restart", later={"cmc": "late:5"}),
}
TABLE = {
    LOAD: {
        **BOTH,
        "transfer": Moment(
            "transfer", {"client": "stall"}, has=("server", "port lock"), event="progressed"
        ),
        "ssh": Moment("ssh", {"ssh": "hang"}, words=("--wait",)),
    },
    SAVE: {
        **BOTH,
        "restart": replace(BOTH["restart"], image=True),
        "collector": Moment(
            "transfer",
            setting=("netcat = nc\n", "netcat = sh -c 'exec sleep 60'\n"),
            has=("collector", "hidden file"),
        ),
        "transfer": Moment("transfer", {"imagezip": "silent"}, has=("collector", "hidden file")),
        "store": Moment("store", slow=".ndz.partial", has=("hidden file",)),
        "sidecar": Moment("store", slow=".partial.json", has=("hidden sidecar",)),
        "settle": Moment("store", slow="/images", image=True),
    },
}
CELLS = [
    pytest.param(command, name, end, id=f"{command[0]}: {name}: {end}")
    for command, moments in TABLE.items()
    for name in moments
    for end in ENDS
]


@pytest.fixture(scope="module", autouse=True)
def loaded(shared_testbed: Commands) -> Iterator[None]:
    """Two nodes with disks worth saving, also for who comes after these tests."""

    def load() -> None:
        done = shared_testbed.run("imaging-load", "-q", "-i", "sample", "1-2")
        assert done.returncode == 0, done.stdout + done.stderr

    load()
    yield
    load()


class Victim:
    """A command on a terminal, about to be ended."""

    def __init__(self, testbed: Commands, shown: Terminal, folder: Path) -> None:
        """``folder`` is where its report goes, and its events."""
        self.testbed = testbed
        self.shown = shown
        self.report = folder / "report.json"
        self.events = folder / "events"
        self.guards: list[int] = []
        self.address = testbed.setting_value("address")
        self.others = ports_of(self.address)  # the testbed itself holds one

    def start(self, *words: str) -> None:
        self.shown.start(
            *words,
            *("--report", str(self.report), "--events", str(self.events)),
            cwd=self.testbed.directory,
            environment=self.testbed.environment,
        )

    @property
    def process(self) -> int:
        assert self.shown.process is not None
        return self.shown.process.pid

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Read the terminal until it is so."""
        deadline = time.monotonic() + 10
        while not condition():
            assert self.shown.process is not None
            assert self.shown.process.poll() is None, self.shown.screen.readable()
            assert time.monotonic() < deadline, self.shown.screen.readable()
            self.shown.read(0.01)

    def wait_for_step(self, step: str) -> None:
        self.wait_for(lambda: self.has_told("step-started", step))
        self.guards = [guard for guard in processes_of("guard.py") if self._is_parent_of(guard)]
        assert self.guards

    def has_told(self, event: str, step: str | None = None) -> bool:
        if not self.events.exists():
            return False
        lines = self.events.read_text().splitlines(keepends=True)
        told = [json.loads(line) for line in lines if line.endswith("\n")]
        return (event, step) in [(row["event"], row.get("step")) for row in told]

    def images(self) -> set[str]:
        """The files of the image that a save makes, hidden ones too."""
        return {e.name for e in (self.testbed.directory / "images").glob("*saved*")}

    def _is_parent_of(self, process: int) -> bool:
        try:
            status = Path(f"/proc/{process}/status").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return False
        return f"PPid:\t{self.process}\n" in status

    def traces(self) -> set[str]:
        """What there is now of the command, besides its own process."""
        directory = self.testbed.directory
        locks = LockDirectory(directory / "locks")
        taken = [p.stem for p in locks.directory.iterdir() if locks.holder(p.stem)]
        hidden = [e.name for e in (directory / "images").iterdir() if e.name.startswith(".")]
        found = {
            "link": self.testbed.links(),
            "server": processes_of("imaging-frisbeed", directory),
            "guard": [guard for guard in self.guards if is_running(guard)],
            "node lock": [name for name in taken if not name.startswith("port-")],
            "port lock": [name for name in taken if name.startswith("port-")],
            "hidden file": [name for name in hidden if not name.endswith(".json")],
            "hidden sidecar": [name for name in hidden if name.endswith(".json")],
            "collector": ports_of(self.address) - self.others,
        }
        return {what for what, there in found.items() if there}

    def end(self, how: str) -> int:
        """End the command so; gives its status."""
        started = time.monotonic()
        if how == CLOSED:
            self.shown.hang_up()
        else:
            os.kill(self.process, SIGNALS[how])
        code = self.shown.end()
        assert time.monotonic() - started < LIMIT_S
        return code

    def assert_clean(self) -> None:
        """Soon there is nothing left of the command."""
        deadline = time.monotonic() + CLEAN_S
        while (left := self.traces()) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert left == set()

    def reported(self) -> dict[str, Any]:
        (node,) = json.loads(self.report.read_text())["nodes"]
        assert isinstance(node, dict)
        return node


def ports_of(address: str) -> set[int]:
    """The TCP ports of an address at which somebody listens, or is connected."""
    wanted = f"{int.from_bytes(socket.inet_aton(address), 'little'):08X}"
    found = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, _, state, *_ = line.split()
        ip, _, port = local.partition(":")
        if ip == wanted and state in (LISTENING, CONNECTED):
            found.add(int(port, 16))
    return found


@pytest.fixture
def victim(testbed: Commands, tmp_path: Path) -> Iterator[Victim]:
    """A command that is not started yet; the image that it has made is gone afterwards."""
    with terminal(100, 24) as shown:
        yield Victim(testbed, shown, tmp_path)
    for entry in (testbed.directory / "images").glob("*saved*"):
        entry.unlink()


@pytest.fixture
def slow_disk(
    testbed: Commands, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], None]:
    """Have no file get to the disk whose name ends so."""

    def make(name: str) -> None:
        folder = tmp_path_factory.mktemp("slow")
        (folder / "sitecustomize.py").write_text(SLOW_DISK)
        monkeypatch.setitem(testbed.environment, "PYTHONPATH", str(folder))
        monkeypatch.setitem(testbed.environment, "SLOW_FILE", name)

    return make


def bring(victim: Victim, command: Words, moment: Moment, *more: str) -> None:
    """Start the command, and bring it to that moment."""
    testbed, node = victim.testbed, NODES[command]
    if moment.faults:
        testbed.set_fault(node, **moment.faults)
    with ExitStack() as settings:
        if moment.setting is not None:
            settings.enter_context(testbed.setting(*moment.setting))
        victim.start(*command, *moment.words, *more)
        if moment.later:
            victim.wait_for_step("boot")
            testbed.set_fault(node, **moment.later)
        victim.wait_for_step(moment.step)
    victim.wait_for(lambda: victim.has_told(moment.event))
    victim.wait_for(lambda: set(moment.has) <= victim.traces())
    if moment.image:
        victim.wait_for(lambda: victim.images() == IMAGE)


@pytest.mark.parametrize(("command", "name", "end"), CELLS)
def test_whatever_ends_a_command_nothing_is_left(
    victim: Victim,
    slow_disk: Callable[[str], None],
    command: Words,
    name: str,
    end: str,
) -> None:
    moment, node = TABLE[command][name], NODES[command]
    other: Lock | None = None
    if moment.slow:
        slow_disk(moment.slow)
    if moment.step == "lock":
        other = LockDirectory(victim.testbed.directory / "locks").take(node, "a test")
    try:
        bring(victim, command, moment)
        code = victim.end(end)
    finally:
        if other is not None:
            other.close()
    victim.assert_clean()
    assert victim.images() == (IMAGE if moment.image else set())
    if end == "SIGKILL":
        assert code == -signal.SIGKILL
        assert not victim.report.exists()
        return
    assert code == 1
    told = victim.reported()
    assert (told["node"], told["reason"], told["step"]) == (node, "interrupted", moment.step)
    assert f"interrupted by {'SIGHUP' if end == CLOSED else end}" in told["message"]
    if end != CLOSED:
        victim.shown.assert_restored()


@pytest.mark.parametrize("end", ["SIGINT", "SIGTERM", "SIGHUP", CLOSED])
@pytest.mark.parametrize("command", [LOAD, SAVE], ids=lambda command: command[0])
def test_the_full_screen_leaves_the_terminal_as_it_was(
    victim: Victim, command: Words, end: str
) -> None:
    bring(victim, command, TABLE[command]["transfer"], "-c")
    victim.wait_for(lambda: victim.shown.screen.is_alternate)
    if end == "SIGINT":  # the full screen asks first; the second time is an answer
        os.kill(victim.process, signal.SIGINT)
        victim.shown.see("Interrupt the run?")
    assert not modes(victim.shown) & (termios.ECHO | termios.ICANON)
    code = victim.end(end)
    victim.assert_clean()
    assert code == 1
    assert victim.reported()["reason"] == "interrupted"
    if end != CLOSED:
        victim.shown.assert_restored()
        assert modes(victim.shown) & termios.ECHO
        assert modes(victim.shown) & termios.ICANON


def modes(shown: Terminal) -> int:
    """The local modes of a terminal."""
    local: int = termios.tcgetattr(shown.slave)[3]
    return local
