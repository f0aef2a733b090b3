"""The story: ramdisk, image, load, wait, log in, change, save, load what was saved, kill -9."""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import asyncssh
import trio

from imaging._aio import open_aio
from imaging.node.remote import SshLogin, open_remote, prepare_login
from imaging.ramdisk.packages import PackageDirectory
from imaging.ramdisk.pxelinux import DEFAULT_CONFIG
from tests.lab.acceleration import accelerator
from tests.lab.cards import serve_card
from tests.lab.contents import content_of
from tests.lab.machine import LIMITS, Machine
from tests.lab.network import ADDRESS, make_network, running_dnsmasq
from tests.lab.requirements import LDLINUX, PXELINUX, search_path
from tests.lab.system import STAMP, make_disk
from tests.lab.timeline import Timeline, keep
from tests.lab.watched import watched_disks

COMMAND_LIMIT_S = 240.0
LINKS_LIMIT_S = 1.0
BEFORE_PARTITION = 1 << 20  # bytes
CHANGED = "changed on the node"


def settings(options: argparse.Namespace) -> str:
    """The laboratory's imaging.conf: its limits are those of emulated machines on busy cores."""
    return f"""\
[inventory]
file = inventory.json
[images]
directory = images
[nextboot]
directory = tftpboot/pxelinux.cfg
{LIMITS}[ramdisk]
console = {options.console}
key = key
[multicast]
server = {options.server}
address = {ADDRESS}
bandwidth_mibps = 100
ready_timeout_s = 30
join_timeout_s = 60
stall_timeout_s = 60
[ssh]
key = key
attempt_timeout_s = 6
[locks]
directory = locks
[log]
file = imaging.log
[transcripts]
directory = transcripts
[history]
file = history.sqlite
"""


def prepare(place: Path, options: argparse.Namespace) -> None:
    """Build the ramdisk and the image: what needs the package index."""
    timeline = Timeline(options.started)
    for name in ("images", "locks", "tftpboot/pxelinux.cfg", "machines"):
        (place / name).mkdir(parents=True)
    key = asyncssh.generate_private_key("ssh-ed25519")
    key.write_private_key(place / "key")
    (place / "key").chmod(0o600)
    key.write_public_key(place / "key.pub")
    (place / "imaging.conf").write_text(settings(options))
    rows = [Machine(number, place / "machines").row for number in _numbers(options)]
    (place / "inventory.json").write_text(json.dumps(rows))
    root = place / "tftpboot"
    shutil.copy(PXELINUX, root)
    shutil.copy(LDLINUX, root)
    (root / "pxelinux.cfg/default").write_text(DEFAULT_CONFIG)
    with timeline.step("imaging-ramdisk build") as details:
        build = ["imaging-ramdisk", "build", "-o", "tftpboot/imaging", "--kernel", options.kernel]
        build += ["--packages", str(options.packages.absolute()), "--append", "console=ttyS0"]
        if options.frisbee_bin:
            build += ["--frisbee-bin", str(options.frisbee_bin.absolute())]
        details.extend(_run(place, *build).splitlines()[:2])
        shutil.move(root / "imaging/pxefrisbee", root / "pxelinux.cfg/pxefrisbee")
        _run(place, "imaging-ramdisk", "check")
    with timeline.step("a bootable disk") as details:
        packages = PackageDirectory(options.packages.absolute())
        keys = (place / "key.pub").read_text()
        make_disk(place / "disk.raw", packages, options.kernel, keys)
        shutil.rmtree(place / "disk.root")
        _run(place, "imaging-imagezip", "-z1", "disk.raw", "images/lab.ndz")
        details.append(f"{(place / 'images/lab.ndz').stat().st_size / 1e6:.1f} MB image")


def run(place: Path, options: argparse.Namespace) -> int:
    """The story, in this process's own network namespace; its exit code."""
    try:
        trio.run(_run_story, place, options)
    except BaseException:
        if options.keep:
            keep(place, options.keep)
        raise
    print("the story is over, and all went well")
    return 0


async def _run_story(place: Path, options: argparse.Namespace) -> None:
    timeline = Timeline(options.started)
    with timeline.step("how machines are run") as details:
        kind, why = accelerator(place / "tftpboot/imaging", place / "machines")
        details.append(why)
    machines = [Machine(number, place / "machines", kind) for number in _numbers(options)]
    make_network(machines)
    with running_dnsmasq(place, _run(place, "imaging-ramdisk", "--serve")):
        async with open_aio(), trio.open_nursery() as nursery:
            for machine in machines:
                nursery.start_soon(serve_card, machine)
            login = prepare_login("root", 22, place / "key")
            await _Story(place, machines, login, timeline).tell()
            nursery.cancel_scope.cancel()


class _Story:
    """What happens in the laboratory, in order."""

    def __init__(
        self, place: Path, machines: Sequence[Machine], login: SshLogin, timeline: Timeline
    ) -> None:
        self._place = place
        self._machines = machines
        self._login = login
        self._all = f"1-{len(machines)}"
        self._timeline = timeline

    async def tell(self) -> None:
        count = len(self._machines)
        await self._load("lab", self._all, f"imaging-load on {count} machines")
        await self._wait(self._all)
        with self._timeline.step("each has the image's file"):
            for machine in self._machines:
                await self._expect(machine, "as it was made")
        first = self._machines[0]
        with self._timeline.step(f"the file is changed on {first.name}"):
            await self._say(first, f"echo {CHANGED} > /{STAMP}; sync")
        with self._timeline.step(f"imaging-save of {first.name}") as details:
            await self._command("imaging-save", "-o", "changed", "1")
            size = (self._place / "images/changed.ndz").stat().st_size
            details.append(f"{size / 1e6:.1f} MB image")
        others = f"2-{count}"
        image = self._place / "images/changed.ndz"
        with watched_disks(image, self._machines[1:]) as found:
            await self._load("changed", others, f"imaging-load of it on {count - 1} machines")
        with self._timeline.step("each disk had all of the image when it was reset") as details:
            wanted, size = await trio.to_thread.run_sync(self._unzipped, image)
            assert [digests[-1] for digests in found] == [wanted] * (count - 1), "disks differ"
            details.append(f"{size / 1e6:.1f} MB, sha256 {wanted[:16]}")
        await self._wait(self._all)
        with self._timeline.step("each has the changed file, and the first boot loader"):
            for machine in self._machines:
                await self._expect(machine, CHANGED)
            await trio.to_thread.run_sync(self._compare)
        await self._kill_a_load()

    async def _load(self, image: str, nodes: str, what: str) -> None:
        with self._timeline.step(what) as details:
            shown = [machine.shown for machine in self._machines]
            await self._command("imaging-load", "-i", image, "--report", "report.json", nodes)
            report = json.loads((self._place / "report.json").read_text())
            for step in ("boot", "transfer"):
                longest = max(node["durations"][step] for node in report["nodes"])
                details.append(f"{step} at most {longest:.1f} s")
            pairs = zip(self._machines, shown, strict=True)
            times = [t for machine, start in pairs for t in machine.console_times(start)[:1]]
            details.append(f"kernel start to console at most {max(times):.1f} s")

    async def _wait(self, nodes: str, *options: str) -> None:
        with self._timeline.step(f"imaging-wait {' '.join(options)}".rstrip()):
            await self._command("imaging-wait", *options, nodes)

    async def _kill_a_load(self) -> None:
        """A load is killed when all machines were reset: by themselves they boot from disk."""
        links = self._place / "tftpboot/pxelinux.cfg"
        before = [machine.resets for machine in self._machines]
        with self._timeline.step("kill -9 of a load, all links gone") as details:
            words = ["imaging-load", "-i", "lab", self._all]
            process = subprocess.Popen(  # noqa: ASYNC220 - it is killed, not waited for
                words,
                cwd=self._place,
                env=_environment(self._place),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            with trio.fail_after(COMMAND_LIMIT_S):
                while any(m.resets == n for m, n in zip(self._machines, before, strict=True)):  # noqa: ASYNC110
                    await trio.sleep(0.01)
            there = len(list(links.glob("01-*")))
            assert there == len(self._machines), f"{there} links"
            killed = time.monotonic()
            process.send_signal(signal.SIGKILL)
            process.wait()
            with trio.fail_after(LINKS_LIMIT_S):
                while list(links.glob("01-*")):  # noqa: ASYNC110
                    await trio.sleep(0.01)
            details.append(f"after {time.monotonic() - killed:.2f} s")
        await self._wait(self._all, "--uptime-below", "20")
        for machine in self._machines:
            await self._expect(machine, CHANGED)

    def _unzipped(self, image: Path) -> tuple[str, int]:
        """The hash of what an image holds, and its bytes; unzipped, it is another tool's work."""
        disk = self._place / "unzipped.raw"
        _run(self._place, "imaging-imageunzip", str(image), str(disk))
        try:
            return content_of(disk, image)
        finally:
            disk.unlink()

    def _compare(self) -> None:
        """Boot loader and partition table are those of the disk that was made first."""
        for machine in self._machines:
            with machine.disk.open("rb") as disk, (self._place / "disk.raw").open("rb") as made:
                assert disk.read(BEFORE_PARTITION) == made.read(BEFORE_PARTITION), machine.name

    async def _expect(self, machine: Machine, text: str) -> None:
        found = await self._say(machine, f"cat /{STAMP}")
        assert found.strip() == text, f"{machine.name}: {found!r}"

    async def _say(self, machine: Machine, command: str) -> str:
        with trio.fail_after(30):
            async with open_remote(machine.address, self._login) as remote:
                status, output = await remote.run(command)
        assert status == 0, f"{machine.name}: {command}: {status}"
        return output

    async def _command(self, *words: str) -> None:
        await trio.to_thread.run_sync(lambda: _run(self._place, *words))


def _numbers(options: argparse.Namespace) -> range:
    return range(1, options.machines + 1)


def _environment(place: Path) -> dict[str, str]:
    path = os.pathsep.join([str(Path(sys.executable).parent), search_path()])
    return {
        "PATH": path,
        "HOME": str(place),
        "TMPDIR": str(place),
        "LANG": "C.UTF-8",
        "IMAGING_CONF": str(place / "imaging.conf"),
    }


def _run(place: Path, *words: str) -> str:
    """Run one of the commands; what it prints. Its errors are shown when it fails."""
    done = subprocess.run(
        words,
        cwd=place,
        env=_environment(place),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=COMMAND_LIMIT_S,
        check=False,
    )
    if done.returncode != 0:
        print(done.stdout, done.stderr, sep="\n", file=sys.stderr)
        raise RuntimeError(f"{' '.join(words)}: exit code {done.returncode}")
    return done.stdout
