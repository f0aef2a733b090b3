"""imaging-ramdisk: the system that nodes boot to be imaged."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from imaging.cli.interrupts import raise_on_signals
from imaging.cli.options import CONTEXT, version_option
from imaging.cli.session import Site, reporting, run
from imaging.errors import ConfigurationError
from imaging.site.schema import Settings
from imaging.site.settings import load_settings
from imaging.site.state import user_state_directory

if TYPE_CHECKING:
    from imaging.ramdisk.build import Ramdisk

NAME = "imaging-ramdisk"
MEGABYTE = 1_000_000


@click.group(NAME, context_settings=CONTEXT, invoke_without_command=True)
@click.option("--serve", is_flag=True, help="Explain what the DHCP and TFTP servers must have.")
@version_option
@click.pass_context
def command(context: click.Context, serve: bool) -> None:
    """The imaging ramdisk: the small system that a node boots over PXE to be imaged.

    --serve prints a configuration of dnsmasq for the nodes of the inventory, whose comments say
    what any DHCP and TFTP server must have.

    \b
    Examples:
      imaging-ramdisk build -o /tftpboot/imaging
      imaging-ramdisk --serve
      imaging-ramdisk check
    """
    if serve:
        if context.invoked_subcommand is not None:
            raise click.UsageError("--serve takes no command")
        context.exit(run(NAME, _serve))
    if context.invoked_subcommand is None:
        raise click.UsageError("give a command, build or check, or --serve")


@command.command()
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where the files go; the TFTP server must give them away.",
)
@click.option(
    "--kernel",
    default="linux-image-amd64",
    show_default=True,
    metavar="PACKAGE",
    help="The kernel's package; linux-image-cloud-amd64 for virtual machines only.",
)
@click.option(
    "--frisbee-bin",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Take frisbee and imagezip from there; ours stay, as imaging-frisbee and so on.",
)
@click.option("--no-python", is_flag=True, help="Leave ours out; --frisbee-bin is needed then.")
@click.option(
    "--key",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The public keys that an ssh console accepts; else [ramdisk] key with .pub.",
)
@click.option("--append", default="", metavar="TEXT", help="More parameters for the kernel.")
@click.option(
    "--packages",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    help="Keep the packages there; what an earlier build has listed there is used again.",
)
@click.option("--update", is_flag=True, help="Take the newest packages, whatever is kept.")
@click.pass_context
def build(
    context: click.Context,
    output: Path,
    kernel: str,
    frisbee_bin: Path | None,
    no_python: bool,
    key: Path | None,
    append: str,
    packages: Path | None,
    update: bool,
) -> None:
    """Build the ramdisk from Debian packages.

    They are fetched with apt-get download, and not installed; root is not needed. The files are
    vmlinuz, initrd.img, and the config of pxelinux to which nextboot links point. The same
    packages give the same bytes. Console, port, disk and the config's name are those of the
    settings.
    """
    from imaging.ramdisk.build import Recipe, build_ramdisk
    from imaging.ramdisk.packages import PackageDirectory
    from imaging.ramdisk.placing import check_place
    from imaging.ramdisk.pxelinux import ramdisk_config

    def body() -> int:
        raise_on_signals()  # what was laid out for a trial is removed on the way out
        settings = load_settings().settings
        config = ramdisk_config(_place(output, settings), append)
        check_place(output)
        recipe = Recipe(
            kernel=kernel,
            console=settings.ramdisk.console,
            port=settings.console.port,
            disk=settings.ramdisk.disk,
            keys=_public_keys(settings, key),
            programs=frisbee_bin,
            with_python=not no_python,
        )
        kept = PackageDirectory((packages or user_state_directory() / "packages").absolute())
        ramdisk = build_ramdisk(recipe, kept, update=update)
        _deliver(ramdisk, config, output, settings)
        print(f"kernel {ramdisk.release}, console: {recipe.console}, port {recipe.port}")
        _tell_next_step(output, settings)
        return 0

    context.exit(reporting(NAME, body))


@command.command()
@click.pass_context
def check(context: click.Context) -> None:
    """See that the files which nodes fetch over TFTP are there, and boot what they should.

    Prints a line per problem, and exits with 2 when there is any.
    """
    from imaging.ramdisk.serving import serving_problems

    def body() -> int:
        nextboot = load_settings().settings.nextboot
        problems = list(serving_problems(nextboot))
        for problem in problems:
            print(f"{NAME}: {problem}", file=sys.stderr)
        if problems:
            return 2
        print(f"{nextboot.directory.parent}: pxelinux, default and {nextboot.ramdisk}, fine")
        return 0

    context.exit(reporting(NAME, body))


def _serve(site: Site) -> int:
    from imaging.ramdisk.serving import dnsmasq_configuration

    print(dnsmasq_configuration(site.inventory, site.settings.nextboot), end="")
    return 0


def _place(output: Path, settings: Settings) -> str:
    """The directory of the files as pxelinux names it: relative to that of pxelinux.0."""
    root = settings.nextboot.directory.parent.resolve()
    place = output.resolve()
    return str(place.relative_to(root)) if place.is_relative_to(root) else place.name


def _deliver(ramdisk: "Ramdisk", config: str, output: Path, settings: Settings) -> None:
    from imaging.ramdisk.placing import place_files
    from imaging.ramdisk.pxelinux import INITRD_NAME, KERNEL_NAME

    files = {
        KERNEL_NAME: ramdisk.kernel,
        INITRD_NAME: ramdisk.initrd,
        settings.nextboot.ramdisk: config.encode(),
    }
    place_files(output, files)
    for name, data in files.items():
        print(f"{output / name}: {len(data) / MEGABYTE:.1f} MB")


def _tell_next_step(output: Path, settings: Settings) -> None:
    nextboot = settings.nextboot
    root = nextboot.directory.parent
    if not output.resolve().is_relative_to(root.resolve()):
        print(f"copy {output} to {root / output.name}, and then")
    print(
        f"copy {nextboot.ramdisk} into {nextboot.directory}; imaging-ramdisk check looks at it all"
    )


def _public_keys(settings: Settings, file: Path | None) -> str:
    """The public keys of an ssh console, "" for another. Raises ConfigurationError."""
    if settings.ramdisk.console != "ssh":
        if file is not None:
            raise ConfigurationError(
                "--key is for an ssh console",
                hint=f"[ramdisk] console = {settings.ramdisk.console}",
            )
        return ""
    from imaging.ramdisk.public_keys import read_public_keys

    if file is None:
        if settings.ramdisk.key is None:
            raise ConfigurationError(
                "an ssh console needs the public key that may log in",
                hint="name its file with --key, or the private one in [ramdisk] key",
            )
        file = settings.ramdisk.key.with_name(f"{settings.ramdisk.key.name}.pub")
    return read_public_keys(file)
