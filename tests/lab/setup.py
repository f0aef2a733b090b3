"""docs/site-setup.md, followed in the laboratory: from a bare server to nodes that are loaded.

Its commands are run word by word, each in a new login of root or of the user, on a server that has
nothing but Debian. What is not of the page: the inventory is that of the laboratory's machines, and
settings and dnsmasq get what emulated machines need. A chroot has no systemd, so that dnsmasq is
restarted by the script that its unit runs, too.
"""

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

import asyncssh
import trio

from imaging.ramdisk.packages import PackageDirectory
from tests.lab.acceleration import accelerator
from tests.lab.cards import serve_card
from tests.lab.contents import content_of
from tests.lab.machine import LIMITS, Machine
from tests.lab.network import MORE_OF_DNSMASQ, make_network
from tests.lab.server import RefusedError, Server
from tests.lab.system import make_disk
from tests.lab.timeline import Timeline, keep
from tests.lab.watched import watched_disks
from tests.site_setup_page import PAGE, blocks

USER = "alice"  # of the page, who has an account
SOURCE = PAGE.parent.parent
SETTINGS = "etc/imaging.conf"
MACHINES = 2
KEY_FOR_CONSOLE = "ssh-keygen "
# other ways, which the page offers beside the one that is followed
OTHER_WAYS = ("make deb", KEY_FOR_CONSOLE)
RESTART, RESTART_HERE = "systemctl restart dnsmasq", "service dnsmasq restart"
MORE_OF_SETTINGS = f"""\
{LIMITS}[multicast]
bandwidth_mibps = 100
join_timeout_s = 60
stall_timeout_s = 60
"""
DNSMASQ_LOG = "var/log/dnsmasq.log"


def commands(section: str) -> Iterator[str]:
    """The commands of a section, a line each, without those of other ways."""
    for block in blocks(section):
        if not block.startswith(("[", *OTHER_WAYS)):
            yield from filter(None, block.splitlines())


def page_settings() -> str:
    """What the page has in imaging.conf."""
    (settings,) = [text for text in blocks("Inventory and settings") if text.startswith("[next")]
    return settings


def ssh_console() -> tuple[list[str], str]:
    """What the page has for a console over ssh: commands, and settings."""
    _, script, settings = blocks("The ramdisk")
    assert script.startswith(KEY_FOR_CONSOLE)
    return script.splitlines(), settings


def prepare(place: Path, options: argparse.Namespace) -> None:
    """Sections 1 to 3, which need the package index, and a disk that was set up by hand."""
    walk = _Walk(place, options)
    (place / "machines").mkdir()
    with walk.timeline.step("not of the page: a bare server"):
        walk.server.make(SOURCE)
    walk.follow("The server", directory="/root/imaging")
    rows = [machine.row for machine in walk.machines()]
    walk.server.write("etc/imaging-inventory.json", json.dumps(rows))
    walk.server.write(SETTINGS, page_settings())
    walk.follow("Inventory and settings")
    walk.server.run("imaging-inventory --check")
    walk.server.add(SETTINGS, MORE_OF_SETTINGS)
    walk.follow("The ramdisk")
    if options.console == "ssh":
        script, settings = ssh_console()
        walk.type_each(script)
        walk.server.add(SETTINGS, settings)
        walk.follow("The ramdisk")
    with walk.timeline.step(f"not of the page: {USER}, her key, and a disk that lets it in"):
        key = _make_account(walk.server)
        packages = PackageDirectory(options.packages.absolute())
        make_disk(place / "disk.raw", packages, options.kernel, key)


def _make_account(server: Server) -> str:
    """The user's account, with a key; the public one."""
    server.run(f"useradd --create-home --shell /bin/bash {USER}")
    key = asyncssh.generate_private_key("ssh-ed25519")
    home = server.root / f"home/{USER}/.ssh"
    home.mkdir(mode=0o700)
    key.write_private_key(home / "id_ed25519")
    (home / "id_ed25519").chmod(0o600)
    server.run(f"chown -R {USER}: /home/{USER}")
    return key.export_public_key().decode()


def run(place: Path, options: argparse.Namespace) -> int:
    """Sections 4 to 7, in a network of the laboratory's own; the exit code."""
    walk = _Walk(place, options)
    try:
        trio.run(walk.to_the_first_load)
    except BaseException:
        if options.keep:
            shutil.copy(walk.server.root / DNSMASQ_LOG, place)
            keep(place, options.keep)
        raise
    print("the page was followed to its end, and all went well")
    return 0


class _Walk:
    """Who follows the page."""

    def __init__(self, place: Path, options: argparse.Namespace) -> None:
        self._place = place
        self.server = Server(place / "server", options.release)
        self.timeline = Timeline(options.started)

    def machines(self, kind: str = "") -> list[Machine]:
        """The nodes, which are off; their disks are blank."""
        return [Machine(n, self._place / "machines", kind) for n in range(1, MACHINES + 1)]

    def follow(self, section: str, *, user: str = "root", directory: str = "/") -> None:
        """Run the commands of a section."""
        self.type_each(commands(section), user=user, directory=directory)

    def type_each(self, lines: Iterable[str], *, user: str = "root", directory: str = "/") -> None:
        """Run commands, each in a new login."""
        for command in lines:
            with self.timeline.step(f"{user}: {command}"):
                here = RESTART_HERE if command == RESTART else command
                self.server.run(here, user=user, directory=directory)

    async def to_the_first_load(self) -> None:
        """Sections 4 to 7."""
        ramdisk = self.server.root / "srv/tftp/imaging"
        kind, why = accelerator(ramdisk, self._place / "machines")
        machines = self.machines(kind)
        with (self._place / "disk.raw").open("rb") as made, machines[0].disk.open("r+b") as disk:
            shutil.copyfileobj(made, disk)
        make_network(machines)
        (self.server.root / "usr/sbin/policy-rc.d").unlink()
        more = f"{MORE_OF_DNSMASQ}log-facility=/{DNSMASQ_LOG}\n"
        self.server.write("etc/dnsmasq.d/laboratory.conf", more)
        self.follow("DHCP and TFTP")
        self.follow("Who may load and save")
        async with trio.open_nursery() as nursery:
            for machine in machines:
                nursery.start_soon(serve_card, machine)
            with self.timeline.step("not of the page: node 1 is switched on") as details:
                details.append(why)
                await machines[0].turn_on()
            image = self.server.root / "var/lib/imaging/images/first.ndz"
            with watched_disks(image, machines[1:]) as (found,):
                await trio.to_thread.run_sync(partial(self.follow, "The first load", user=USER))
            with self.timeline.step("node 2 had all of the image when it was reset") as details:
                wanted, size = await trio.to_thread.run_sync(self._unzipped, image)
                assert found[-1:] == [wanted], "its disk differs"
                details.append(f"{size / 1e6:.1f} MB, sha256 {wanted[:16]}")
            await self._see_refusal()
            nursery.cancel_scope.cancel()

    async def _see_refusal(self) -> None:
        """Who is not of the group is told so."""
        with self.timeline.step("who is not of the group is told so, and what to do"):
            self.server.run("useradd --create-home carl")
            try:
                self.server.run("imaging-load -i first 2", user="carl")
            except RefusedError as error:
                assert "join its group" in str(error), error
            else:
                raise AssertionError("carl has loaded an image")

    def _unzipped(self, image: Path) -> tuple[str, int]:
        """The hash of what an image holds, and its bytes; unzipped, it is another tool's work."""
        disk = self._place / "unzipped.raw"
        tool = Path(sys.executable).with_name("imaging-imageunzip")
        subprocess.run([tool, image, disk], check=True, capture_output=True)
        return content_of(disk, image)
