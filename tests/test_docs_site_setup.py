"""docs/site-setup.md, followed: its own inventory, settings and commands, in a directory.

Only what the page writes outside of this package's ground is put elsewhere: /srv, /etc and /var/lib
are directories of the test's. Packages are not installed, and no service is restarted.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from imaging.ramdisk.pxelinux import INITRD_NAME, KERNEL_NAME, ramdisk_config
from tests.site_setup_page import blocks

BOOT_FILES = [
    Path("/usr/lib/PXELINUX/pxelinux.0"),
    Path("/usr/lib/syslinux/modules/bios/ldlinux.c32"),
]


class Followed:
    """A reader of the page, whose root is a directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        for name in ("etc/dnsmasq.d", "srv/tftp", "var/lib"):
            (directory / name).mkdir(parents=True)

    def moved(self, text: str) -> str:
        return re.sub(r"(?<![\w.])/(srv|etc|var/lib)/", rf"{self.directory}/\1/", text)

    def run(self, script: str) -> str:
        path = [str(Path(sys.executable).parent), "/usr/sbin", "/usr/bin", "/sbin", "/bin"]
        environment = {
            "PATH": os.pathsep.join(path),
            "HOME": str(self.directory),
            "LANG": "C.UTF-8",
            "IMAGING_CONF": str(self.directory / "etc/imaging.conf"),
        }
        done = subprocess.run(
            ["sh", "-euc", self.moved(script)],
            env=environment,
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture
def followed(tmp_path: Path) -> Followed:
    """Section 2 was followed: inventory, settings, directories."""
    reader = Followed(tmp_path)
    inventory, settings, directories = blocks("Inventory and settings")
    (tmp_path / "etc/imaging-inventory.json").write_text(inventory)
    conf = tmp_path / "etc/imaging.conf"
    # the packaged default names the inventory in the real /etc
    place = f"[inventory]\nfile = {tmp_path}/etc/imaging-inventory.json\n"
    conf.touch(0o644)
    conf.write_text(place + reader.moved(settings))
    # the group that they belong to is not made on this host
    reader.run("\n".join(line for line in directories.splitlines() if line.startswith("mkdir ")))
    return reader


def test_inventory_and_settings_can_be_used(followed: Followed) -> None:
    assert followed.run("imaging-inventory --check") == "1 node, fine\n"
    shown = followed.run("imaging-config nextboot.directory")
    assert f"{followed.directory}/srv/tftp/pxelinux.cfg" in shown


def test_the_ssh_console_is_set_up(followed: Followed) -> None:
    if shutil.which("ssh-keygen") is None:
        pytest.skip("ssh-keygen is not installed")
    _, script, settings = blocks("The ramdisk")
    keygen, *rest = script.splitlines()
    followed.run(keygen)
    # there is no such group on this host
    assert all(line.endswith(" /etc/imaging-ramdisk-key") for line in rest)
    with (followed.directory / "etc/imaging.conf").open("a") as conf:
        conf.write(followed.moved(settings))
    assert "ssh" in followed.run("imaging-config ramdisk.console")
    assert (followed.directory / "etc/imaging-ramdisk-key.pub").read_text().startswith("ssh-")


def test_dhcp_and_tftp_are_set_up(followed: Followed) -> None:
    missing = [file for file in BOOT_FILES if not file.exists()]
    if missing:
        pytest.skip(f"{missing[0]} is not there: Debian's pxelinux and syslinux-common")
    # what the build of section 3 would leave there, which takes packages and a minute
    (build,) = [script for script in blocks("The ramdisk") if "build -o" in script]
    assert "imaging-ramdisk build -o /srv/tftp/imaging\n" in build
    ramdisk = followed.directory / "srv/tftp/imaging"
    ramdisk.mkdir()
    for name in (KERNEL_NAME, INITRD_NAME):
        (ramdisk / name).touch()
    (ramdisk / "pxefrisbee").write_text(ramdisk_config("imaging"))
    (copy,) = [line for line in build.splitlines() if line.startswith("cp ")]
    followed.run(copy)
    (script,) = blocks("DHCP and TFTP")
    lines = script.splitlines()
    assert lines.pop() == "systemctl restart dnsmasq"
    assert ", fine" in followed.run("\n".join(lines))
    if shutil.which("dnsmasq", path="/usr/sbin:/usr/bin") is not None:
        followed.run("dnsmasq --test --conf-file=/etc/dnsmasq.d/imaging.conf")
    row = json.loads(blocks("Inventory and settings")[0])[0]["control"]
    configured = (followed.directory / "etc/dnsmasq.d/imaging.conf").read_text()
    assert f"dhcp-host={row['mac']},{row['ip']},{row['hostname']}\n" in configured
