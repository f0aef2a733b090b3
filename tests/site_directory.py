"""A site in a directory: settings, inventory, images and nextboot directory, and no testbed."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.commands import run_command, user_environment

if TYPE_CHECKING:
    import subprocess

SETTINGS = """\
[inventory]
file = inventory.json
[images]
directory = images
[nextboot]
directory = pxelinux.cfg
[locks]
directory = locks
"""
HEAVY_LIBRARIES = ("trio", "httpx", "asyncssh", "telnetlib3")


def inventory_rows(count: int) -> list[dict[str, dict[str, str]]]:
    """Rows of an inventory; the first node has a data interface."""
    rows = []
    for n in range(1, count + 1):
        row = {
            "cmc": interface(f"reboot{n:02}", f"192.168.1.{n}", f"02:00:00:00:00:{n:02x}"),
            "control": interface(f"fit{n:02}", f"192.168.3.{n}", f"00:03:1d:0e:03:{n:02x}"),
        }
        if n == 1:
            row["data"] = interface("data01", "192.168.2.1", "00:03:1d:0e:02:01")
        rows.append(row)
    return rows


def interface(hostname: str, ip: str, mac: str) -> dict[str, str]:
    """One interface of a row."""
    return {"hostname": hostname, "ip": ip, "mac": mac}


class SiteDirectory:
    """The directory, and commands run in it; it is the user's home as well."""

    def __init__(self, directory: Path) -> None:
        """Make everything that the settings name, for three nodes."""
        self.directory = directory
        self.base = directory / ".imaging.conf"
        self.conf = directory / "imaging.conf"
        self.inventory = directory / "inventory.json"
        self.links = directory / "pxelinux.cfg"
        self.links.mkdir()
        (self.links / "pxefrisbee").write_text("DEFAULT ramdisk\n")
        (directory / "images").mkdir()
        self.write_inventory(inventory_rows(3))
        self.base.touch(0o600)
        self.base.write_text(SETTINGS)
        self.conf.touch(0o600)

    def write_inventory(self, rows: object) -> None:
        """Replace the inventory."""
        self.inventory.write_text(json.dumps(rows))

    def add_settings(self, text: str) -> None:
        """Append to the directory's own settings, which override those of the site."""
        with self.conf.open("a") as stream:
            stream.write(text)

    def run(self, *words: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        """Run an installed command here."""
        environment = {**user_environment(self.directory), **variables}
        done = run_command(*words, cwd=self.directory, environment=environment)
        assert "Traceback" not in done.stderr
        return done

    def run_json(self, *words: str) -> Any:
        """What a command that must succeed prints as JSON."""
        done = self.run(*words)
        assert (done.returncode, done.stderr) == (0, "")
        return json.loads(done.stdout)

    def heavy_imports(self, *words: str) -> list[str]:
        """Which of the heavy libraries a command that must succeed imports."""
        done = self.run(*words, PYTHONPROFILEIMPORTTIME="1")
        assert done.returncode == 0
        modules = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
        assert "click" in modules
        return [library for library in HEAVY_LIBRARIES if library in modules]
