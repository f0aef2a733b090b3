"""The laboratory's network: a bridge, a port per machine, and DHCP and TFTP on it."""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.lab.machine import Machine

BRIDGE = "lab"
ADDRESS = "10.66.3.254"

# the network card's firmware asks for IPv6 too, and waits until somebody says that there is none
MORE_OF_DNSMASQ = f"""
interface={BRIDGE}
bind-interfaces
enable-ra
dhcp-range=fd42::,ra-only
"""


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


def make_network(machines: Sequence[Machine]) -> None:
    """Make bridge and ports, in this process's own network namespace."""
    _ip("link", "set", "lo", "up")
    _ip("link", "add", BRIDGE, "type", "bridge", "forward_delay", "0", "stp_state", "0")
    _ip("addr", "add", f"{ADDRESS}/24", "dev", BRIDGE)
    _ip("addr", "add", "fd42::1/64", "dev", BRIDGE, "nodad")
    _ip("link", "set", BRIDGE, "up")
    for machine in machines:
        _ip("tuntap", "add", machine.tap, "mode", "tap")
        _ip("link", "set", machine.tap, "master", BRIDGE, "up", "txqueuelen", "10000")
        _ip("addr", "add", f"{machine.card_address}/32", "dev", "lo")


@contextmanager
def running_dnsmasq(directory: Path, configuration: str) -> Iterator[None]:
    """DHCP and TFTP, as imaging-ramdisk says, and on the bridge only."""
    file = directory / "dnsmasq.conf"
    file.write_text(configuration + MORE_OF_DNSMASQ)
    with (directory / "dnsmasq.log").open("wb") as log:
        process = subprocess.Popen(
            [
                *("dnsmasq", "--keep-in-foreground", "--user=root", "--pid-file="),
                *("--log-dhcp", "--log-facility=-", f"--conf-file={file}"),
                f"--dhcp-leasefile={directory / 'leases'}",
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        yield
        assert process.poll() is None, "dnsmasq has ended by itself"
    finally:
        process.kill()
        process.wait()
