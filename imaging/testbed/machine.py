"""One virtual machine: its power, its firmware, and what runs on it until the power goes.

A boot is a cancel scope: reset and off cancel it, and everything that ran on the machine ends
with it: listeners, connections, shells and their processes. Only when its power is cut by a fault
they stay as they are, frozen and with dead wires, until there is power again.
"""

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import trio

from imaging.site.inventory import Node
from imaging.testbed.fault_file import FaultFile
from imaging.testbed.layout import RAMDISK, VIRTUAL_PORTS, Layout, Ports, node_environment
from imaging.testbed.ramdisk import Ramdisk, freeze
from imaging.testbed.simulation import Simulation
from imaging.testbed.ssh import SshHost
from imaging.testbed.telnet import Flavour
from imaging.testbed.wires import Wires

log = logging.getLogger(__name__)

FIRMWARE_SHARE = 0.2  # of the boot time passes before the firmware looks at the nextboot link
LINE_WIDTH = 20  # characters of a line that is rewritten
BOOT_SIGNATURE = b"\x55\xaa"
OLD_UPTIME_S = 86400.0


class State(Enum):
    """What a machine is doing."""

    OFF = "off"
    FIRMWARE = "firmware"
    RAMDISK = "ramdisk"
    SYSTEM = "system"
    DEAD = "dead"  # powered, but "No bootable device"


@dataclass(frozen=True, slots=True)
class MachineOptions:
    """What all machines of a testbed share; boot times are in seconds after power.

    The ramdisks of ``simulated`` machines have no processes.
    """

    ramdisk_boot_s: float = 1.5
    system_boot_s: float = 2.0
    flavours: tuple[Flavour, ...] = (Flavour.BUSYBOX,)
    shell: tuple[str, ...] = ("/bin/sh", "-i")
    simulated: bool = False
    ports: Ports = VIRTUAL_PORTS


class Machine:
    """One node as it is seen from its wires."""

    def __init__(
        self,
        node: Node,
        layout: Layout,
        options: MachineOptions,
        *,
        ssh: SshHost,
        faults: FaultFile,
        index: int,
        simulation: Simulation | None = None,
    ) -> None:
        """``index`` picks the telnetd's flavour, in turn."""
        self.node = node
        self._layout = layout
        self._options = options
        self._ssh = ssh
        self._faults = faults
        self._simulation = simulation
        self._wires = Wires()
        self._ramdisk: Ramdisk | None = None
        self._cut = False
        self._flavour = options.flavours[index % len(options.flavours)]
        self._powered = False
        self._life: trio.CancelScope | None = None
        self._changed = trio.Event()
        self._set_state(State.OFF)

    @property
    def is_on(self) -> bool:
        """Whether the machine has power."""
        return self._powered

    def turn_on(self) -> None:
        """Give power; nothing happens when there is some."""
        self._powered = True
        self._changed.set()
        if self._cut:
            self._end_life()

    def turn_off(self) -> None:
        """Cut power."""
        self._powered = False
        if not self._cut:
            self._end_life()

    def reset(self) -> None:
        """Restart; a machine that is off stays off."""
        if not self._cut:
            self._end_life()

    def cut_power(self) -> None:
        """Lose power in such a way that nobody is told: no connection is closed."""
        self._cut, self._powered = True, False
        self._wires.cut()
        if self._simulation is None:
            freeze(self._layout.node(self.node.name))
        self._set_state(State.OFF)

    def drop_connections(self) -> None:
        """Close what telnet connections there are."""
        if self._ramdisk is not None:
            self._ramdisk.drop_connections()

    def _end_life(self) -> None:
        if self._life is not None:
            self._life.cancel()

    async def run(self) -> None:
        """Live until cancelled."""
        while True:
            if not self._powered:
                self._set_state(State.OFF)
                self._changed = trio.Event()
                await self._changed.wait()
            with trio.CancelScope() as self._life:
                await self._boot()
            self._life = self._ramdisk = None
            self._wires, self._cut = Wires(), False

    def _set_state(self, state: State) -> None:
        self.state = state
        _rewrite(self._layout.node(self.node.name) / "state", state.value)
        log.info("%s is %s", self.node.name, state.value)

    @staticmethod
    def _mark_power(home: Path, uptime_s: float) -> None:
        """The machine's own uptime is counted from here."""
        now = float(Path("/proc/uptime").read_text().split()[0])
        _rewrite(home / "powered", f"{now - uptime_s:.2f}")

    async def _boot(self) -> None:
        home, options = self._layout.node(self.node.name), self._options
        fault = self._faults.take(
            self.node.name, "boot", "never", "old-system", "slow", "old-ramdisk"
        )
        word = fault.word if fault else ""
        self._mark_power(home, OLD_UPTIME_S if word == "old-ramdisk" else 0.0)
        self._set_state(State.FIRMWARE)
        if word == "never":
            await trio.sleep_forever()
        if fault is not None and word == "slow":
            await trio.sleep(fault.argument or 0)
        await trio.sleep(options.ramdisk_boot_s * FIRMWARE_SHARE)
        if word != "old-system" and self._is_told_to_boot_ramdisk():
            await trio.sleep(options.ramdisk_boot_s * (1 - FIRMWARE_SHARE))
            await self._run_ramdisk(home)
        elif is_bootable(self._layout.disk(self.node.name)):
            remaining = options.system_boot_s - options.ramdisk_boot_s * FIRMWARE_SHARE
            await trio.sleep(max(0.0, remaining))
            on_ready = self._enter(State.SYSTEM)
            await self._ssh.serve(self.node, options.ports.ssh, home, self._wires, on_ready)
        else:
            self._set_state(State.DEAD)
            await trio.sleep_forever()

    async def _run_ramdisk(self, home: Path) -> None:
        self._ramdisk = Ramdisk(
            self.node.name,
            home,
            node_environment(self._layout, self.node),
            self._options.shell,
            self._flavour,
            self._faults,
            self._wires,
            self.node.control.ip,
            self._simulation,
        )
        port, on_ready = self._options.ports.console, self._enter(State.RAMDISK)
        await self._ramdisk.serve(self.node.control.ip, port, on_ready)

    def _enter(self, state: State) -> Callable[[], None]:
        return lambda: self._set_state(state)

    def _is_told_to_boot_ramdisk(self) -> bool:
        """What pxelinux does: a link that leads nowhere is a link that is not there."""
        directory = self._layout.pxelinux
        place = directory / f"01-{self.node.control.mac.replace(':', '-')}"
        config = directory / RAMDISK
        return place.is_file() and place.resolve() == config.resolve()


def _rewrite(file: Path, text: str) -> None:
    """Write a line in place of the one that is there; no reader meets an empty file.

    Truncating it would have a file system such as ext4 wait for the disk, for each node.
    """
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        os.pwrite(descriptor, f"{text:<{LINE_WIDTH}}\n".encode(), 0)
    finally:
        os.close(descriptor)


def is_bootable(disk: Path) -> bool:
    """Whether a disk has a boot signature, and a partition that is not empty."""
    try:
        with disk.open("rb") as stream:
            sector = stream.read(512)
    except OSError:
        return False
    if sector[510:512] != BOOT_SIGNATURE:
        return False
    entries = [sector[offset : offset + 16] for offset in range(446, 510, 16)]
    return any(entry[4] != 0 and entry[12:16] != bytes(4) for entry in entries)
