"""A machine: QEMU, driven over QMP, with a blank disk and PXE before it."""

import json
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import trio

from tests.lab.acceleration import TCG

MEMORY_MIB = 256
DISK_SIZE = 512 << 20  # bytes
START_LIMIT_S = 20.0
# settings for commands that act on emulated machines on busy cores
LIMITS = """\
[power]
request_timeout_s = 20
[boot]
connect_timeout_s = 2
shell_timeout_s = 20
reset_grace_s = 150
uptime_slack_s = 5
timeout_s = 200
"""


@dataclass(slots=True)
class Machine:
    """One machine; it is off until it is turned on, as its disk is blank until it is loaded."""

    number: int
    directory: Path
    accelerator: str = TCG
    resets: int = 0
    before_reset: Callable[[Path], None] | None = None  # gets the disk, in a thread
    _process: "subprocess.Popen[bytes] | None" = None
    _lock: trio.Lock = field(default_factory=trio.Lock)

    def __post_init__(self) -> None:
        """Make the disk."""
        with self.disk.open("wb") as stream:
            stream.truncate(DISK_SIZE)

    @property
    def name(self) -> str:
        """As in the inventory."""
        return f"fit{self.number:02}"

    @property
    def mac(self) -> str:
        """Of its network card."""
        return f"52:54:00:42:00:{self.number:02x}"

    @property
    def address(self) -> str:
        """Its own."""
        return f"10.66.3.{self.number}"

    @property
    def card_address(self) -> str:
        """Its power card's."""
        return f"10.66.1.{self.number}"

    @property
    def row(self) -> dict[str, dict[str, str]]:
        """Of the inventory."""
        card = {
            "hostname": f"reboot{self.number:02}",
            "ip": self.card_address,
            "mac": f"02:00:00:42:00:{self.number:02x}",
        }
        return {
            "cmc": card,
            "control": {"hostname": self.name, "ip": self.address, "mac": self.mac},
        }

    @property
    def tap(self) -> str:
        """Its port of the bridge."""
        return f"tap{self.number}"

    @property
    def disk(self) -> Path:
        """The file of its disk."""
        return self.directory / f"{self.name}.disk"

    @property
    def screen(self) -> Path:
        """All that it has written to its serial port."""
        return self.directory / f"{self.name}.screen"

    @property
    def shown(self) -> int:
        """How many bytes it has written there."""
        return self.screen.stat().st_size if self.screen.exists() else 0

    def console_times(self, start: int) -> list[float]:
        """Seconds from the start of the kernel to the console, of each boot shown since."""
        text = self.screen.read_bytes()[start if start <= self.shown else 0 :]
        return [float(found) for found in re.findall(rb"console after ([0-9.]+) s", text)]

    @property
    def is_on(self) -> bool:
        """Whether it has power."""
        return self._process is not None and self._process.poll() is None

    async def turn_on(self) -> None:
        """Give it power, if it has none."""
        async with self._lock:
            if self.is_on:
                return
            self._control.unlink(missing_ok=True)
            with (self.directory / f"{self.name}.qemu").open("ab") as log:
                self._process = subprocess.Popen(  # noqa: ASYNC220 - it lives longer than this call
                    self._command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log
                )
            with trio.fail_after(START_LIMIT_S):
                while not self._control.exists():  # noqa: ASYNC110 - a file of another process
                    await trio.sleep(0.02)

    async def turn_off(self) -> None:
        """Take its power, as a switch does."""
        async with self._lock:
            if self._process is not None:
                self._process.kill()
                await trio.to_thread.run_sync(self._process.wait)
                self._process = None

    async def reset(self) -> None:
        """Reset it; off, it stays off, as with a real reset line."""
        async with self._lock:
            if self.is_on:
                if self.before_reset is not None:
                    await trio.to_thread.run_sync(self.before_reset, self.disk)
                self.resets += 1
                await self._tell("system_reset")

    @property
    def _control(self) -> Path:
        return self.directory / f"{self.name}.qmp"

    async def _tell(self, command: str) -> None:
        with trio.fail_after(START_LIMIT_S):
            stream = await trio.open_unix_socket(str(self._control))
            async with stream:
                lines = _Lines(stream)
                await lines.read("QMP")
                for word in ("qmp_capabilities", command):
                    await stream.send_all(json.dumps({"execute": word}).encode() + b"\n")
                    await lines.read("return")

    def _command(self) -> list[str]:
        disk = f"file={self.disk},format=raw,if=none,id=disk,cache=unsafe,discard=unmap"
        return [
            "qemu-system-x86_64",
            *("-name", self.name, "-nodefaults", "-no-user-config", "-display", "none"),
            # what the firmware shows is on the serial port, too
            *("-machine", "pc,graphics=off", "-accel", self.accelerator),
            *("-m", str(MEMORY_MIB), "-smp", "1"),
            *("-netdev", f"tap,id=net,ifname={self.tap},script=no,downscript=no"),
            "-device",
            f"virtio-net-pci,netdev=net,mac={self.mac},bootindex=1",
            *("-device", "virtio-scsi-pci", "-drive", disk),
            *("-device", "scsi-hd,drive=disk,bootindex=2"),
            *("-serial", f"file:{self.screen}"),
            *("-qmp", f"unix:{self._control},server=on,wait=off"),
        ]


class _Lines:
    """QMP's lines of JSON; those about events are passed over."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._text = b""

    async def read(self, key: str) -> object:
        while True:
            line, newline, rest = self._text.partition(b"\n")
            if newline:
                self._text = rest
                message = json.loads(line)
                if key in message:
                    return message[key]
                assert "error" not in message, message
            else:
                data = await self._stream.receive_some(4096)
                assert data, "QEMU has closed its socket"
                self._text += bytes(data)
