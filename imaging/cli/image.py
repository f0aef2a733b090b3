"""imaging-image: share, alias, rm."""

from collections.abc import Callable

import click

from imaging.cli.completion import complete_image_names, complete_images
from imaging.cli.interrupts import raise_on_signals
from imaging.cli.options import CONTEXT, version_option
from imaging.cli.session import run_with_settings
from imaging.images.curation import Plan, plan_alias, plan_removal
from imaging.images.library import ImageLibrary
from imaging.images.sharing import plan_share
from imaging.site.settings import LoadedSettings

yes_option = click.option(
    "--yes", is_flag=True, help="Do it; without, only say what would be done."
)


@click.group("imaging-image", context_settings=CONTEXT)
@version_option
def command() -> None:
    """Keep the images directory in order: share private images, make aliases, remove.

    Every command only says what it would do, until it is given --yes. The exit code is 0 when it
    was done or could be, 1 when it failed on the way, 2 when something was wrong from the start.

    \b
    Examples:
      imaging-image share my-fedora --as fedora-40 --yes
      imaging-image alias fedora fedora-40 --yes
    """


@command.command("share", short_help="Give a private image to everybody.")
@click.argument("image", metavar="NAME|PATH", shell_complete=complete_images)
@click.option(
    "--as",
    "new_name",
    metavar="NEW",
    shell_complete=complete_image_names,
    help="The name to share it under.",
)
@click.option("--force", is_flag=True, help="Replace what has that name.")
@click.option("--move", is_flag=True, help="Remove the original afterwards.")
@yes_option
@click.pass_context
def share(
    context: click.Context, image: str, new_name: str | None, force: bool, move: bool, yes: bool
) -> None:
    """Copy an image, with its sidecar, to the images directory, for everybody.

    NAME is an image of the private directory; a PATH has a slash. The copy is read again and
    compared before it gets its name: nobody ever sees half of it. The original is kept.

    \b
    Examples:
      imaging-image share my-fedora
      imaging-image share ./test.ndz --as fedora-40 --force --yes
    """

    def plan(library: ImageLibrary) -> Plan:
        return plan_share(library, image, new_name=new_name, force=force, move=move)

    context.exit(_curate("imaging-image share", plan, yes=yes))


@command.command("alias", short_help="Give an image another name.")
@click.argument("alias", metavar="ALIAS", shell_complete=complete_image_names)
@click.argument("target", metavar="TARGET", shell_complete=complete_images)
@click.option("--force", is_flag=True, help="Move the alias when it exists.")
@yes_option
@click.pass_context
def alias(context: click.Context, alias: str, target: str, force: bool, yes: bool) -> None:
    """Make ALIAS another name of the image TARGET, in the images directory.

    An alias is a symbolic link. One that exists is moved with --force, in one step; an image is
    never replaced. When TARGET is an alias, ALIAS follows it.

    \b
    Examples:
      imaging-image alias fedora fedora-40
      imaging-image alias fedora fedora-41 --force --yes
    """

    def plan(library: ImageLibrary) -> Plan:
        return plan_alias(library, alias, target, force=force)

    context.exit(_curate("imaging-image alias", plan, yes=yes))


@command.command("rm", short_help="Remove an image or an alias.")
@click.argument("image", metavar="NAME|PATH", shell_complete=complete_images)
@yes_option
@click.pass_context
def remove(context: click.Context, image: str, yes: bool) -> None:
    """Remove an image and its sidecar, an alias, or what a save that died has left.

    An image that an alias leads to is kept. Of an alias only the alias is removed. A PATH (it has
    a slash) tells apart a shared and a private image of one name.

    \b
    Examples:
      imaging-image rm fedora-38
      imaging-image rm /var/lib/imaging/images/fedora-38.ndz --yes
    """
    context.exit(_curate("imaging-image rm", lambda library: plan_removal(library, image), yes=yes))


def _curate(name: str, make_plan: Callable[[ImageLibrary], Plan], *, yes: bool) -> int:
    """Say what would be done, and do it after ``--yes``."""

    def body(loaded: LoadedSettings) -> int:
        plan = make_plan(ImageLibrary.of(loaded.settings.images))
        steps = plan.describe()
        if not steps:
            print("nothing to do: it is so already")
            return 0
        for step in steps:
            print(step if yes else f"would {step}", flush=True)
        if not yes:
            print("nothing was done; --yes does it")
            return 0
        raise_on_signals()  # what is half done is removed on the way out
        plan.carry_out()
        print("done")
        return 0

    return run_with_settings(name, body)
