"""``imaging COMMAND``: the same commands under one name, imported when they are asked for."""

from importlib import import_module

import click

from imaging.cli.options import CONTEXT, version_option

COMMANDS = (
    "config",
    "history",
    "image",
    "inventory",
    "leases",
    "list",
    "load",
    "monitor",
    "nextboot",
    "nodes",
    "ramdisk",
    "save",
    "testbed",
    "wait",
)
POWER_VERBS = ("status", "on", "off", "reset", "info")


class Umbrella(click.Group):
    """A group whose commands are the modules of this room."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All commands, sorted."""
        return sorted((*COMMANDS, *POWER_VERBS))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        if cmd_name in POWER_VERBS:
            found = getattr(import_module("imaging.cli.power"), cmd_name)
        elif cmd_name in COMMANDS:
            found = import_module(f"imaging.cli.{cmd_name}").command
        else:
            return None
        assert isinstance(found, click.Command)
        return found


@click.command("imaging", cls=Umbrella, context_settings=CONTEXT)
@version_option
def command() -> None:
    """Put a disk image on 1 to 1000 bare-metal nodes at once, and know what happened on each."""
