"""imaging-testbed: a virtual testbed of this machine's own."""

import logging
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click
import msgspec

from imaging.cli.interrupts import raise_on_signals
from imaging.cli.options import CONTEXT, version_option
from imaging.cli.session import reporting
from imaging.cli.testbed_fault import command as fault_command
from imaging.errors import ConfigurationError, ImagingError
from imaging.site.inventory import Inventory
from imaging.testbed.layout import Layout, find_shell, make_directory

if TYPE_CHECKING:
    # with all that a testbed is, when it is one
    from imaging.testbed.service import TestbedOptions

STOP_LIMIT_S = 10.0
MEBIBYTE = 1024 * 1024

DIRECTORY = click.argument("directory", type=click.Path(path_type=Path, file_okay=False))


class Wishes(msgspec.Struct, frozen=True, kw_only=True):
    """What the user wants of a testbed; a disk's size is in MiB, boot times are in seconds."""

    nodes: int
    disk_size: int
    ramdisk_boot: float
    os_boot: float
    power: str
    telnetd: str
    shell: str
    cards: Literal["cmc", "redfish"]
    simulate: bool
    leases: bool
    real_ports: bool

    def as_arguments(self) -> list[str]:
        """The same for another process of this command."""
        flags = {
            "--simulate": self.simulate,
            "--leases": self.leases,
            "--real-ports": self.real_ports,
        }
        return [
            f"--nodes={self.nodes}",
            f"--disk-size={self.disk_size}",
            f"--ramdisk-boot={self.ramdisk_boot}",
            f"--os-boot={self.os_boot}",
            f"--power={self.power}",
            f"--telnetd={self.telnetd}",
            f"--shell={self.shell}",
            f"--cards={self.cards}",
            *(flag for flag, wanted in flags.items() if wanted),
        ]

    def as_options(self) -> "TestbedOptions":
        """How the testbed is made. Raises ConfigurationError."""
        from imaging.testbed.layout import REAL_PORTS, VIRTUAL_PORTS
        from imaging.testbed.machine import MachineOptions
        from imaging.testbed.service import TestbedOptions
        from imaging.testbed.telnet import Flavour

        flavours = tuple(Flavour) if self.telnetd == "mixed" else (Flavour(self.telnetd),)
        shell = (*find_shell(self.shell), "-i")
        ports = REAL_PORTS if self.real_ports else VIRTUAL_PORTS
        return TestbedOptions(
            nodes=self.nodes,
            disk_size=self.disk_size * MEBIBYTE,
            powered=self.power == "on",
            machines=MachineOptions(
                self.ramdisk_boot, self.os_boot, flavours, shell, self.simulate, ports
            ),
            leases=self.leases,
            model=self.cards,
        )


@click.group("imaging-testbed", context_settings=CONTEXT)
@version_option
def command() -> None:
    """A virtual testbed: nodes with power cards, firmware, ramdisk, disks and ssh, on loopback.

    \b
    Examples:
      imaging-testbed demo
      imaging-testbed up /tmp/testbed -n 8 --background
      cd /tmp/testbed && imaging-load -i sample 1-4
    """


@command.command(context_settings=CONTEXT)
@DIRECTORY
@click.option("-n", "--nodes", default=8, show_default=True, metavar="N", help="How many nodes.")
@click.option("--disk-size", default=512, show_default=True, metavar="MIB", help="Size of a disk.")
@click.option(
    "--ramdisk-boot",
    default=1.5,
    show_default=True,
    metavar="SECONDS",
    help="How long a node boots its ramdisk.",
)
@click.option(
    "--os-boot",
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="How long a node boots the system of its disk.",
)
@click.option(
    "--power",
    type=click.Choice(["on", "off"]),
    default="on",
    show_default=True,
    help="What the nodes are at first.",
)
@click.option(
    "--telnetd",
    type=click.Choice(["busybox", "inetutils", "mixed"]),
    default="busybox",
    show_default=True,
    help="How the ramdisk's telnet negotiates.",
)
@click.option("--shell", default="sh", show_default=True, help="The ramdisk's shell.")
@click.option(
    "--cards",
    type=click.Choice(["cmc", "redfish"]),
    default="cmc",
    show_default=True,
    help="How the commands speak to the power cards.",
)
@click.option("--simulate", is_flag=True, help="Ramdisks without processes: for many nodes.")
@click.option(
    "--leases", is_flag=True, help="Serve leases too, and have the commands ask for them."
)
@click.option(
    "--real-ports",
    is_flag=True,
    help="Nodes listen where real ones do, 80, 23 and 22, for tools that know no others.",
)
@click.option("--background", is_flag=True, help="Return when the testbed is ready.")
@click.pass_context
def up(context: click.Context, /, directory: Path, background: bool, **wanted: Any) -> None:
    """Make a testbed in DIRECTORY and run it until it is stopped.

    In DIRECTORY, every command works on the virtual nodes. Images and disks that are there are
    kept.
    """
    wishes = Wishes(**wanted)

    def body() -> int:
        if background:
            raise_on_signals()
            _start_in_background(directory.absolute(), wishes.as_arguments())
            return 0
        import trio

        from imaging.testbed.service import run_testbed

        options = wishes.as_options()
        layout = Layout(directory.absolute())
        make_directory(layout)
        logging.basicConfig(
            filename=layout.log_file, level=logging.WARNING, format="%(asctime)s %(message)s"
        )
        logging.getLogger("imaging").setLevel(logging.INFO)

        def ready(inventory: Inventory) -> None:
            first, last = inventory.nodes[0].name, inventory.nodes[-1].name
            what = f"testbed ready: {len(inventory)} nodes {first}-{last} in {directory}"
            print(what, flush=True)

        trio.run(run_testbed, layout, options, ready)
        return 0

    context.exit(reporting("imaging-testbed", body))


@command.command(context_settings=CONTEXT)
@DIRECTORY
@click.pass_context
def down(context: click.Context, directory: Path) -> None:
    """Stop the testbed of DIRECTORY; its files stay."""

    def body() -> int:
        _stop(Layout(directory))
        return 0

    context.exit(reporting("imaging-testbed", body))


@command.command(context_settings=CONTEXT)
@DIRECTORY
@click.pass_context
def status(context: click.Context, directory: Path) -> None:
    """Say what each node of DIRECTORY's testbed is doing; exit 1 when it is not running."""

    def body() -> int:
        from imaging.testbed.lock import running_process

        layout = Layout(directory)
        process = running_process(layout)
        if process is None:
            print(f"no testbed is running in {directory}")
            return 1
        for node in layout.inventory():
            state = (layout.node(node.name) / "state").read_text().strip()
            print(f"{node.name} {node.control.ip} {state}")
        return 0

    context.exit(reporting("imaging-testbed", body))


command.add_command(fault_command)


@command.command(context_settings=CONTEXT)
@click.option("-n", "--nodes", default=8, show_default=True, metavar="N", help="How many nodes.")
@click.pass_context
def demo(context: click.Context, nodes: int) -> None:
    """Load a disk image onto a virtual testbed, look at every disk, and say what happened."""

    def body() -> int:
        from imaging.testbed.demo import tell_story

        raise_on_signals()
        with _temporary_directory() as directory:
            layout = Layout(directory)
            _start_in_background(directory, [f"--nodes={nodes}"])
            try:
                story = tell_story(layout, [node.name for node in layout.inventory()])
            finally:
                _stop(layout)
        print("\n".join(story.lines()))
        return 0 if story.ok else 1

    context.exit(reporting("imaging-testbed", body))


@contextmanager
def _temporary_directory() -> Iterator[Path]:
    """A directory that is gone afterwards."""
    directory = Path(tempfile.mkdtemp(prefix="imaging-demo-"))
    try:
        yield directory
    finally:
        shutil.rmtree(directory)


def _start_in_background(directory: Path, options: Sequence[str]) -> None:
    """Run ``up`` in a session of its own; returns when it is ready. Raises ImagingError.

    It is ended when this is, before it is ready: nobody would know of it.
    """
    layout = Layout(directory)
    make_directory(layout)
    # its own words, and the traceback of a bug, are kept: nobody is at the other end of a pipe
    with layout.words_file.open("w") as words:
        process = subprocess.Popen(
            [sys.executable, "-m", "imaging", "testbed", "up", *options, "--", str(directory)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=words,
            start_new_session=True,
            text=True,
        )
    assert process.stdout is not None
    with process.stdout:
        try:
            ready = process.stdout.readline().strip()
        except BaseException:
            process.kill()
            process.wait()
            raise
    if not ready:
        try:
            code = process.wait(timeout=STOP_LIMIT_S)  # it has closed its output
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        lines = layout.words_file.read_text().strip().splitlines() or ["it said nothing"]
        why = lines[-1].removeprefix("imaging-testbed: ")
        refused = code == ConfigurationError.exit_code
        raise ConfigurationError(why) if refused else ImagingError(why)
    print(ready, flush=True)


def _stop(layout: Layout) -> None:
    """End a testbed and wait until it is gone. Raises ImagingError."""
    from imaging.testbed.lock import running_process

    process = running_process(layout)
    if process is None:
        raise ConfigurationError(
            f"no testbed is running in {layout.directory}", hint="imaging-testbed up starts one"
        )
    try:
        handle = os.pidfd_open(process)
    except ProcessLookupError:
        return  # it has ended just now
    try:
        signal.pidfd_send_signal(handle, signal.SIGTERM)
        ended, _, _ = select.select([handle], [], [], STOP_LIMIT_S)
        if not ended:
            signal.pidfd_send_signal(handle, signal.SIGKILL)
            raise ImagingError(
                f"the testbed of {layout.directory} had to be killed",
                hint=f"{layout.log_file} has what it was doing",
            )
    finally:
        os.close(handle)
