"""The Debian package: built here, and installed in a system that has nothing but Debian's base."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands import run_command, user_environment
from tests.report_samples import DOCS

ROOT = DOCS.parent
RECIPE = ROOT / "etc/debian"
TOOLS = ("dpkg-deb", "dpkg-shlibdeps", "strip", "mmdebstrap", "chroot")
LIMIT_S = 170
# there is no pip to fetch it with
RAMDISK_NEEDS = """
import sys
from imaging.ramdisk.data_plane import installed_isal
assert installed_isal("{}.{}".format(*sys.version_info))
"""

pytestmark = pytest.mark.e2e


def reason_to_skip() -> str | None:
    """Why there can be no such system here, if so."""
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        return f"{', '.join(missing)}: not installed"
    if os.geteuid() != 0:
        return "only root can make a system to install it in"
    if not Path("/etc/debian_version").is_file():
        return "this is not Debian"
    return None


def release() -> str:
    """The name of this host's release of Debian."""
    lines = Path("/etc/os-release").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)["VERSION_CODENAME"]


class System:
    """A system in a directory."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run a command in it."""
        return subprocess.run(
            ["chroot", str(self.root), *words],
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8"}
            | {"DEBIAN_FRONTEND": "noninteractive"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )

    def succeed(self, *words: str) -> str:
        """Run a command that must; gives what it prints."""
        done = self.run(*words)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def files(self) -> set[str]:
        """All that is there, but for what the package database and its log write."""
        found = self.succeed("find", "/", "-xdev", "!", "-path", "/proc/*", "!", "-path", "/dev/*")
        noise = ("/var/lib/dpkg/", "/var/log/dpkg.log", "/var/cache/", "/etc/group", "/etc/gshadow")
        return {name for name in found.splitlines() if not name.startswith(noise)}


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package, as ``make deb`` makes it."""
    reason = reason_to_skip()
    if reason is not None:
        pytest.skip(reason)
    directory = tmp_path_factory.mktemp("deb")
    done = subprocess.run(
        [str(RECIPE / "build"), sys.executable, str(directory)],
        cwd=ROOT,
        env={**os.environ, "DEBFULLNAME": "imaging", "DEBEMAIL": "imaging@example.org"},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (found,) = directory.iterdir()
    return found


@pytest.fixture
def system(tmp_path_factory: pytest.TempPathFactory, package: Path) -> Iterator[System]:
    """A new system with python3, and the package in its /."""
    root = tmp_path_factory.mktemp("system") / "root"
    words = ["mmdebstrap", "--variant=minbase", "--include=python3", release(), str(root)]
    made = subprocess.run(words, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    if made.returncode != 0:
        pytest.skip(f"no system can be made here: {made.stderr.splitlines()[-1]}")
    shutil.copy(package, root / "imaging.deb")
    yield System(root)
    shutil.rmtree(root)


def see_it_in_use(system: System, before: set[str]) -> None:
    """What is missing is told, the rest is found, and what was installed is where it belongs."""
    assert system.succeed("imaging", "--version").startswith("imaging ")
    checked = system.run("imaging-config", "--check")
    assert checked.returncode == 2
    # /etc/imaging.conf sets nothing: not a log beside it, where only root can write
    assert "/etc/" not in system.succeed("imaging-config", "log.file")
    assert "inventory" in checked.stderr + checked.stdout
    assert "Traceback" not in checked.stderr
    example = "/usr/share/doc/imaging/examples/imaging-inventory.json"
    system.succeed("cp", example, "/etc/imaging-inventory.json")
    assert system.succeed("imaging-nodes", "-a").split() == ["fit01", "fit02", "fit03"]
    assert system.succeed("imaging-imagezip", "--version").startswith("imaging ")
    system.succeed("/opt/imaging/bin/python3", "-c", RAMDISK_NEEDS)
    modes = system.succeed("stat", "-c", "%a %G", "/var/lib/imaging/images", "/run/lock/imaging")
    assert modes.split("\n")[:2] == ["2775 imaging", "1777 root"]
    added = system.files() - before
    assert {
        "/usr/bin/imaging-load",
        "/usr/lib/systemd/system/imaging-monitor.service",
        "/usr/share/bash-completion/completions/imaging-load",
        "/usr/share/fish/vendor_completions.d/imaging-load.fish",
        "/usr/share/man/man1/imaging-load.1.gz",
        "/usr/share/zsh/vendor-completions/_imaging",
    } <= added
    assert not [name for name in added if "/tmp/" in name]


def test_it_is_installed_used_upgraded_and_purged(system: System) -> None:
    before = system.files()
    system.succeed("dpkg", "-i", "/imaging.deb")

    see_it_in_use(system, before)

    # what an administrator has written stays, also when the package comes again
    system.succeed("sh", "-c", "echo '# ours' >> /etc/imaging.conf")
    system.succeed("dpkg", "--force-confdef", "-i", "/imaging.deb")
    assert system.succeed("tail", "-n", "1", "/etc/imaging.conf") == "# ours\n"
    system.succeed("dpkg", "-r", "imaging")
    assert system.succeed("tail", "-n", "1", "/etc/imaging.conf") == "# ours\n"
    assert not [name for name in system.files() - before if name.startswith(("/opt/", "/usr/"))]

    # a purge leaves nothing, but for images
    system.succeed("dpkg", "-i", "/imaging.deb")
    system.succeed("touch", "/var/lib/imaging/images/mine.ndz")
    system.succeed("mkdir", "-p", "/var/log/imaging/transcripts")
    system.succeed("dpkg", "-P", "imaging")
    left = system.files() - before
    assert left == {
        "/etc/imaging-inventory.json",
        "/var/lib/imaging",
        "/var/lib/imaging/images",
        "/var/lib/imaging/images/mine.ndz",
    }
    system.succeed("rm", "-r", "/var/lib/imaging", "/etc/imaging-inventory.json")
    system.succeed("dpkg", "-i", "/imaging.deb")
    system.succeed("dpkg", "-P", "imaging")
    assert system.files() ^ before <= {"/opt"}  # a directory that has become empty
    assert "imaging" not in system.succeed("cat", "/etc/group")


def test_lintian_finds_no_fault(package: Path) -> None:
    """But for what only a first upload to Debian needs."""
    lintian = shutil.which("lintian")
    if lintian is None:
        pytest.skip("lintian is not installed")
    done = run_command(
        lintian,
        "--allow-root",
        "--suppress-tags=initial-upload-closes-no-bugs",
        package,
        cwd=package.parent,
        environment=user_environment(package.parent),
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_every_conffile_is_in_etc_of_the_source() -> None:
    for line in (RECIPE / "conffiles").read_text().splitlines():
        assert (ROOT / line.removeprefix("/")).is_file()
