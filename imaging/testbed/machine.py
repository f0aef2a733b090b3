"""One virtual machine: its power, its firmware, and what runs on it until the power goes.

A boot is a cancel scope: reset and off cancel it, and everything that ran on the machine ends
with it: listeners, connections, shells and their processes.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import trio

from imaging.site.inventory import Node
from imaging.testbed.layout import CONSOLE_PORT, RAMDISK, Layout, node_environment
from imaging.testbed.ramdisk import Ramdisk
from imaging.testbed.ssh import SshHost
from imaging.testbed.telnet import Flavour

log = logging.getLogger(__name__)

FIRMWARE_SHARE = 0.2  # of the boot time passes before the firmware looks at the nextboot link
BOOT_SIGNATURE = b"\x55\xaa"


class State(Enum):
    """What a machine is doing."""

    OFF = "off"
    FIRMWARE = "firmware"
    RAMDISK = "ramdisk"
    SYSTEM = "system"
    DEAD = "dead"  # powered, but "No bootable device"


@dataclass(frozen=True, slots=True)
class MachineOptions:
    """What all machines of a testbed share; boot times are in seconds after power."""

    ramdisk_boot_s: float = 1.5
    system_boot_s: float = 2.0
    flavours: tuple[Flavour, ...] = (Flavour.BUSYBOX,)
    shell: tuple[str, ...] = ("/bin/sh", "-i")


class Machine:
    """One node as it is seen from its wires."""

    def __init__(
        self, node: Node, layout: Layout, options: MachineOptions, ssh: SshHost, index: int
    ) -> None:
        """``index`` picks the telnetd's flavour, in turn."""
        self.node = node
        self._layout = layout
        self._options = options
        self._ssh = ssh
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

    def turn_off(self) -> None:
        """Cut power."""
        self._powered = False
        self._end_life()

    def reset(self) -> None:
        """Restart; a machine that is off stays off."""
        self._end_life()

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
            self._life = None

    def _set_state(self, state: State) -> None:
        self.state = state
        (self._layout.node(self.node.name) / "state").write_text(f"{state.value}\n")
        log.info("%s is %s", self.node.name, state.value)

    @staticmethod
    def _mark_power(home: Path) -> None:
        """The machine's own uptime is counted from here."""
        (home / "powered").write_text(Path("/proc/uptime").read_text())

    async def _boot(self) -> None:
        home, options = self._layout.node(self.node.name), self._options
        self._mark_power(home)
        self._set_state(State.FIRMWARE)
        await trio.sleep(options.ramdisk_boot_s * FIRMWARE_SHARE)
        if self._is_told_to_boot_ramdisk():
            await trio.sleep(options.ramdisk_boot_s * (1 - FIRMWARE_SHARE))
            ramdisk = Ramdisk(
                self.node.name,
                home,
                node_environment(self._layout, self.node),
                options.shell,
                self._flavour,
            )
            await ramdisk.serve(self.node.control.ip, CONSOLE_PORT, self._enter(State.RAMDISK))
        elif is_bootable(self._layout.disk(self.node.name)):
            remaining = options.system_boot_s - options.ramdisk_boot_s * FIRMWARE_SHARE
            await trio.sleep(max(0.0, remaining))
            await self._ssh.serve(self.node, home, self._enter(State.SYSTEM))
        else:
            self._set_state(State.DEAD)
            await trio.sleep_forever()

    def _enter(self, state: State) -> Callable[[], None]:
        return lambda: self._set_state(state)

    def _is_told_to_boot_ramdisk(self) -> bool:
        """What pxelinux does: a link that leads nowhere is a link that is not there."""
        directory = self._layout.pxelinux
        place = directory / f"01-{self.node.control.mac.replace(':', '-')}"
        config = directory / RAMDISK
        return place.is_file() and place.resolve() == config.resolve()


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
