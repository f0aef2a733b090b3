"""imaging-testbed: a virtual testbed of this machine's own."""

import logging
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import click

from imaging.cli.options import CONTEXT
from imaging.cli.session import reporting
from imaging.cli.testbed_fault import command as fault_command
from imaging.errors import ConfigurationError, ImagingError
from imaging.testbed.layout import Layout, find_shell, make_directory

STOP_LIMIT_S = 10.0
MEBIBYTE = 1024 * 1024

DIRECTORY = click.argument("directory", type=click.Path(path_type=Path, file_okay=False))


@click.group("imaging-testbed", context_settings=CONTEXT)
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
@click.option("-n", "--nodes", default=8, show_default=True, help="How many nodes.")
@click.option("--disk-size", default=512, show_default=True, metavar="MIB", help="Size of a disk.")
@click.option("--ramdisk-boot", default=1.5, show_default=True, metavar="SECONDS")
@click.option("--os-boot", default=2.0, show_default=True, metavar="SECONDS")
@click.option("--power", type=click.Choice(["on", "off"]), default="on", show_default=True)
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
@click.option("--background", is_flag=True, help="Return when the testbed is ready.")
@click.pass_context
def up(
    context: click.Context,
    directory: Path,
    nodes: int,
    disk_size: int,
    ramdisk_boot: float,
    os_boot: float,
    power: str,
    telnetd: str,
    shell: str,
    cards: Literal["cmc", "redfish"],
    simulate: bool,
    leases: bool,
    background: bool,
) -> None:
    """Make a testbed in DIRECTORY and run it until it is stopped.

    In DIRECTORY, every command works on the virtual nodes. Images and disks that are there are
    kept.
    """

    def body() -> int:
        if background:
            _start_in_background(
                directory.absolute(),
                f"--nodes={nodes}",
                f"--disk-size={disk_size}",
                f"--ramdisk-boot={ramdisk_boot}",
                f"--os-boot={os_boot}",
                f"--power={power}",
                f"--telnetd={telnetd}",
                f"--shell={shell}",
                f"--cards={cards}",
                *(["--simulate"] if simulate else []),
                *(["--leases"] if leases else []),
            )
            return 0
        import trio

        from imaging.testbed.machine import MachineOptions
        from imaging.testbed.service import TestbedOptions, run_testbed
        from imaging.testbed.telnet import Flavour

        flavours = tuple(Flavour) if telnetd == "mixed" else (Flavour(telnetd),)
        options = TestbedOptions(
            nodes=nodes,
            disk_size=disk_size * MEBIBYTE,
            powered=power == "on",
            machines=MachineOptions(
                ramdisk_boot, os_boot, flavours, (*find_shell(shell), "-i"), simulate
            ),
            leases=leases,
            model=cards,
        )
        layout = Layout(directory.absolute())
        make_directory(layout)
        logging.basicConfig(
            filename=layout.log_file, level=logging.WARNING, format="%(asctime)s %(message)s"
        )
        logging.getLogger("imaging").setLevel(logging.INFO)

        def ready(names: list[str]) -> None:
            print(
                f"testbed ready: {len(names)} nodes {names[0]}-{names[-1]} in {directory}",
                flush=True,
            )

        trio.run(run_testbed, layout, options, lambda inv: ready([node.name for node in inv]))
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
@click.option("-n", "--nodes", default=8, show_default=True, help="How many nodes.")
@click.pass_context
def demo(context: click.Context, nodes: int) -> None:
    """Load a disk image onto a virtual testbed, look at every disk, and say what happened."""

    def body() -> int:
        from imaging.testbed.demo import tell_story

        with _temporary_directory() as directory:
            layout = Layout(directory)
            _start_in_background(directory, f"--nodes={nodes}")
            try:
                story = tell_story(layout, [node.name for node in layout.inventory()])
            finally:
                _stop(layout)
        print("\n".join(story.lines()))
        return 0 if story.ok else 1

    context.exit(reporting("imaging-testbed", body))


@contextmanager
def _temporary_directory() -> Iterator[Path]:
    """A directory that is gone afterwards, also when a signal that ends Python comes."""

    def stop(number: int, _frame: object) -> None:
        raise SystemExit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    directory = Path(tempfile.mkdtemp(prefix="imaging-demo-"))
    try:
        yield directory
    finally:
        shutil.rmtree(directory)


def _start_in_background(directory: Path, *options: str) -> None:
    """Run ``up`` in a session of its own; returns when it is ready. Raises ImagingError."""
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
        ready = process.stdout.readline().strip()
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
        raise ConfigurationError(f"no testbed is running in {layout.directory}")
    try:
        handle = os.pidfd_open(process)
    except ProcessLookupError:
        return  # it has ended just now
    try:
        signal.pidfd_send_signal(handle, signal.SIGTERM)
        ended, _, _ = select.select([handle], [], [], STOP_LIMIT_S)
        if not ended:
            signal.pidfd_send_signal(handle, signal.SIGKILL)
            raise ImagingError(f"the testbed of {layout.directory} had to be killed")
    finally:
        os.close(handle)
