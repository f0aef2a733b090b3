"""rhubarbe on a virtual testbed: where it is, what it needs to know, and its commands.

It is installed in an environment of its own (`pip install rhubarbe`, Python 3.12), and found on
PATH, or where `IMAGING_BENCH_RHUBARBE` says. It knows the ports of real nodes only, and nodes by
their names: so it runs on a host of its own, where these are free. Ours does, too.
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from imaging.testbed.layout import BANDWIDTH_MIBPS, RAMDISK, Layout
from tests.bench.testbeds import Testbed
from tests.bench.tools import OURS

VARIABLE = "IMAGING_BENCH_RHUBARBE"

CONFIG = """\
[testbed]
inventory_nodes_path = {inventory}
all_scope = 1-{count}

[pxelinux]
config_dir = {pxelinux}
frisbee_image = {ramdisk}

[frisbee]
images_dir = {images}
server = {server}
netcat = /bin/true

[networking]
local_control_ip = {address}
pattern_multicast = 239.77.6.*
bandwidth = {bandwidth}
"""
# what its authors wait for by default: see rhubarbe/config/rhubarbe.conf
TUNED = """\
telnet_backoff = 0.1
telnet_timeout = 1.5
telnet_connect_minwait = 0
ssh_backoff = 0.1

[nodes]
idle_after_reset = 0
"""


def find_rhubarbe() -> str | None:
    """The path of its command; None when it is not installed."""
    named = os.environ.get(VARIABLE)
    return shutil.which(named) if named else shutil.which("rhubarbe")


def names_of(bed: Testbed) -> dict[str, str]:
    """The addresses by the names that it makes for the nodes and their cards, from numbers."""
    addresses = {}
    for number, node in enumerate(Layout(bed.directory).inventory(), start=1):
        addresses[f"fit{number:02}"] = node.control.ip
        addresses[f"reboot{number:02}"] = node.cmc.ip
    return addresses


@dataclass(frozen=True, slots=True)
class Rhubarbe:
    """It, and a directory with its settings for one testbed."""

    command: str
    home: Path

    def words(self, *words: str) -> tuple[str, ...]:
        """A command line, for wherever the testbed is."""
        there = ("/usr/bin/env", f"--chdir={self.home}", f"HOME={self.home}")
        return (*there, self.command, *words)


def settle(command: str, bed: Testbed, kind: str) -> Rhubarbe:
    """Write its settings for a testbed: "shipped", but for the site's facts, or "tuned"."""
    layout = Layout(bed.directory)
    home = bed.directory / kind
    inventory = home / "inventory.yaml"
    keys = home / ".ssh"
    keys.mkdir(parents=True)
    shutil.copy(layout.ssh / "id_ed25519", keys)  # it takes those of its user only
    inventory.write_text(_inventory(bed))
    first = next(iter(layout.inventory())).control.ip
    text = CONFIG.format(
        inventory=inventory,
        count=bed.nodes,
        pxelinux=layout.pxelinux,
        ramdisk=RAMDISK,
        images=layout.images,
        server=OURS.frisbeed,
        address=f"{'.'.join(first.split('.')[:2])}.254.254",
        bandwidth=BANDWIDTH_MIBPS,
    )
    (home / "rhubarbe.conf").write_text(text + (TUNED if kind == "tuned" else ""))
    return Rhubarbe(command, home)


def _inventory(bed: Testbed) -> str:
    lines = ["nodes:"]
    for number, node in enumerate(Layout(bed.directory).inventory(), start=1):
        lines.append(_interface("- cmc", f"reboot{number:02}", node.cmc.ip, node.cmc.mac))
        lines.append(_interface("  control", f"fit{number:02}", node.control.ip, node.control.mac))
    return "\n".join(lines) + "\n"


def _interface(key: str, name: str, ip: str, mac: str | None) -> str:
    return f'  {key}: {{hostname: {name}, ip: {ip}, mac: "{mac}"}}'
