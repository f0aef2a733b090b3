"""A server that has nothing but Debian: a system in a directory, whose commands are run in it."""

import os
import shutil
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

CLONE = "root/imaging"
NEEDLESS = shutil.ignore_patterns(".*", "build", "dist", "__pycache__")
COMMAND_LIMIT_S = 300.0
NO_SERVICES = "#!/bin/sh\nexit 101\n"


class NoServerError(Exception):
    """There can be no bare server on this machine."""


class RefusedError(Exception):
    """A command of the page has failed."""


@dataclass(frozen=True, slots=True)
class Server:
    """The system in a directory of a mount namespace of our own."""

    root: Path
    release: str  # of Debian

    def make(self, source: Path) -> None:
        """Make it, with a clone of what is in ``source``. Raises NoServerError."""
        command = ["mmdebstrap", "--quiet", "--variant=important", self.release, str(self.root)]
        made = subprocess.run(command, capture_output=True, text=True, check=False)
        if made.returncode != 0:
            reasons = [line for line in made.stderr.splitlines() if line.startswith("E:")]
            raise NoServerError(f"no bare server can be made: {' '.join(reasons)[:400]}")
        for words in (["-t", "proc", "proc", "proc"], ["--rbind", "/dev", "dev"]):
            subprocess.run(["mount", *words[:-1], str(self.root / words[-1])], check=True)
        shutil.copytree(source, self.root / CLONE, ignore=NEEDLESS)
        shutil.copy("/etc/resolv.conf", self.root / "etc/resolv.conf")
        self._give_pip_its_index()
        # a package's service would be started in this host's network
        policy = self.root / "usr/sbin/policy-rc.d"
        policy.write_text(NO_SERVICES)
        policy.chmod(0o755)

    def _give_pip_its_index(self) -> None:
        """Where this host's pip finds packages, and the certificates that it believes."""
        authorities = os.environ.get("PIP_CERT") or ssl.get_default_verify_paths().cafile
        lines = ["[global]"]
        if authorities is not None:
            shutil.copy(authorities, self.root / "etc/laboratory.crt")
            lines.append("cert = /etc/laboratory.crt")
        if index := os.environ.get("PIP_INDEX_URL"):
            lines.append(f"index-url = {index}")
        (self.root / "etc/pip.conf").write_text("\n".join(lines) + "\n")

    def run(self, command: str, *, user: str = "root", directory: str = "/") -> str:
        """Run a command in a new login of a user; what it prints. Raises RefusedError."""
        login = ["su", "-l", user, "-c", f"[ {directory} = / ] || cd {directory}; {command}"]
        done = subprocess.run(
            ["chroot", str(self.root), *login],
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive"}
            | {"LANG": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=COMMAND_LIMIT_S,
            check=False,
        )
        if done.returncode != 0:
            output = "\n".join((done.stdout + done.stderr).splitlines()[-30:])
            raise RefusedError(f"{user}: {command}: exit code {done.returncode}\n{output}")
        return done.stdout

    def write(self, path: str, text: str) -> None:
        """Write a file of root's."""
        (self.root / path).write_text(text)

    def add(self, path: str, text: str) -> None:
        """Add to a file of root's, which is made when it is missing."""
        with (self.root / path).open("a") as stream:
            stream.write(text)
