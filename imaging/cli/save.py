"""imaging-save."""

from typing import TYPE_CHECKING

import click

from imaging.cli.completion import complete_image_names
from imaging.cli.options import (
    CONTEXT,
    SelectionWords,
    node_selection,
    run_options,
    version_option,
    wait_lock_option,
)
from imaging.cli.wishes import CommonOptions

if TYPE_CHECKING:
    from imaging.feedback.outcomes import RunReport  # with all that runs, when it runs


@click.command("imaging-save", context_settings=CONTEXT)
@node_selection
@click.option(
    "-o",
    "--output",
    metavar="NAME",
    shell_complete=complete_image_names,
    required=True,
    help="Name of the new image.",
)
@click.option("--comment", default="", metavar="TEXT", help="Kept beside the image.")
@click.option("--force", is_flag=True, help="Replace an image of that name, by a complete one.")
@click.option(
    "-n",
    "--no-reset",
    is_flag=True,
    help="The node is in the ramdisk already: no reset before or after, no nextboot link.",
)
@wait_lock_option
@run_options()
@version_option
@click.pass_context
def command(
    context: click.Context,
    selection: SelectionWords,
    options: CommonOptions,
    output: str,
    comment: str,
    force: bool,
    no_reset: bool,
    wait_lock: float | None,
) -> None:
    """Save the disk of one node as an image.

    The node is reset into the imaging ramdisk, its disk is read there, and it is reset again. The
    image appears under its name only when it is complete and proven; beside it NAME.json tells
    where it comes from. The exit code is 0 when all went fine, 1 when anything failed, and 2 when
    nothing was done because something was wrong from the start.

    \b
    Examples:
      imaging-save -o fedora-21-ssh fit04
      imaging-save -o fedora-21-ssh --force --comment "with my tools" 4
    """
    from imaging.cli.runs import RunSite, run_operation
    from imaging.feedback.results import Results
    from imaging.operations.preflight import plan_save, with_lock_patience
    from imaging.operations.save import SavePlan, save

    def prepare(site: RunSite) -> SavePlan:
        return plan_save(
            with_lock_patience(site.settings, wait_lock),
            selection.nodes(site),
            name=output,
            comment=comment,
            reset=not no_reset,
            replace=force,
            neighbours=site.inventory.nodes,
            authorization=site.authorization,
        )

    context.exit(
        run_operation(
            "imaging-save",
            options,
            prepare,
            save,
            lambda settings: settings.save.timeout_s,
            Results(at_end=_result),
        )
    )


def _result(report: "RunReport") -> list[str]:
    """Where the image is, or why there is none."""
    from imaging.feedback.results import summary_lines

    if report.failed:
        return summary_lines(report)
    (outcome,) = report.outcomes
    return [f"{report.command}: {outcome.node} saved in {report.elapsed:.1f} s: {outcome.detail}"]
