"""imaging-load."""

from functools import partial
from typing import TYPE_CHECKING, Any

import click
import msgspec

from imaging.cli.completion import complete_images
from imaging.cli.options import (
    CONTEXT,
    QuorumOf,
    SelectionWords,
    node_selection,
    read_quorum,
    run_options,
    version_option,
    wait_lock_option,
)
from imaging.cli.wishes import CommonOptions

if TYPE_CHECKING:
    # with all that runs, when it runs
    from imaging.cli.runs import RunSite
    from imaging.feedback.outcomes import RunReport
    from imaging.operations.load import LoadPlan

NAME = "imaging-load"


class Wishes(msgspec.Struct, frozen=True, kw_only=True):
    """What the user wants of a load, besides what all runs have."""

    image: str | None
    bandwidth: float | None
    no_reset: bool
    wait: bool
    retries: int
    retry_last: bool
    min_ok: QuorumOf | None
    on_failure: str
    wait_lock: float | None

    def check(self, selection: SelectionWords) -> None:
        """Raises click.UsageError when they contradict each other."""
        if self.retry_last and selection.is_given:
            raise click.UsageError("--retry-last says which nodes, so give none")
        if self.wait and self.no_reset:
            raise click.UsageError("--wait and -n exclude each other: nothing would boot")


@click.command(NAME, context_settings=CONTEXT)
@node_selection
@click.option(
    "-i",
    "--image",
    metavar="NAME|PATH",
    shell_complete=complete_images,
    help="Image; else the settings' default.",
)
@click.option(
    "-b",
    "--bandwidth",
    type=click.FloatRange(min=1),
    metavar="MIBPS",
    help="Bandwidth of the multicast, in Mibit/s.",
)
@click.option(
    "-n",
    "--no-reset",
    is_flag=True,
    help="The nodes are in the ramdisk already: no reset before or after, no nextboot link.",
)
@click.option("--wait", is_flag=True, help="Go on until ssh answers on the new system.")
@click.option(
    "--retries",
    type=click.IntRange(min=0, max=100),
    default=0,
    metavar="N",
    help="Start again, up to N times, with a node that failed.",
)
@click.option(
    "--retry-last",
    is_flag=True,
    help="The nodes that failed in your last load, with the same image.",
)
@click.option(
    "--min-ok",
    callback=read_quorum,
    metavar="N|N%",
    help="Exit with 0 when at least so many nodes are fine; the rest is told all the same.",
)
@click.option(
    "--on-failure",
    type=click.Choice(["leave", "off"]),
    default="leave",
    show_default=True,
    help="A node with a half-written disk is left in the ramdisk, or switched off.",
)
@wait_lock_option
@run_options()
@version_option
@click.pass_context
def command(
    context: click.Context,
    /,
    selection: SelectionWords,
    options: CommonOptions,
    **wanted: Any,
) -> None:
    """Load a disk image onto all selected nodes at once.

    NODE_SPEC is made of numbers, names and ranges; ~ removes: 1-12 fit15-fit18 ~4-6. Without any,
    the nodes are those of $NODES. The exit code is 0 when all went fine for all of them, 1 when
    anything failed, and 2 when nothing was done because something was wrong from the start.

    \b
    Examples:
      imaging-load -i fedora-21 1-12 ~4-6
      imaging-load -i ./my-image.ndz -t 300 -a
    """
    wishes = Wishes(**wanted)
    wishes.check(selection)
    from imaging.cli.runs import run_operation
    from imaging.feedback.results import Results
    from imaging.operations.load import load

    context.exit(
        run_operation(
            NAME,
            options,
            partial(planned, selection, wishes),
            load,
            lambda settings: settings.load.timeout_s,
            Results(at_end=_result),
        )
    )


def planned(selection: SelectionWords, wishes: Wishes, site: "RunSite") -> "LoadPlan":
    """Make all checks, and plan the load. Raises ConfigurationError."""
    from imaging.images.library import ImageLibrary
    from imaging.operations.load import LoadPolicy, OnFailure
    from imaging.operations.preflight import (
        as_before,
        last_failed,
        plan_load,
        with_lock_patience,
    )

    name, before = wishes.image, None
    if wishes.retry_last:
        before = last_failed(site.settings, site.inventory, NAME)
        nodes, name = before.nodes, name or before.image.path
    else:
        nodes = selection.nodes(site, ImageLibrary.of(site.settings.images).names())
    quorum = wishes.min_ok(len(nodes)) if wishes.min_ok else None
    plan = plan_load(
        with_lock_patience(site.settings, wishes.wait_lock),
        nodes,
        image_name=name,
        bandwidth_mibps=wishes.bandwidth,
        reset=not wishes.no_reset,
        wait=wishes.wait,
        policy=LoadPolicy(wishes.retries, quorum, OnFailure(wishes.on_failure)),
        neighbours=site.inventory.nodes,
        authorization=site.authorization,
    )
    if before is None:
        return plan
    return as_before(plan, before, same_image=wishes.image is None)


def _result(report: "RunReport") -> list[str]:
    """The summary, and what state the nodes are in whose transfer did not end well."""
    from imaging.feedback.outcomes import Step
    from imaging.feedback.results import summary_lines

    cut = [
        outcome.node
        for outcome in report.failed
        if any(attempt.step is Step.TRANSFER for attempt in (outcome, *outcome.attempts))
    ]
    lines = summary_lines(report)
    if cut:
        what = "their disks" if len(cut) > 1 else "its disk"
        lines.insert(-1, f"{' '.join(cut)}: {what} may be half-written; load again (--retry-last)")
    return lines
