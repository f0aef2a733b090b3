"""imaging-wait."""

from functools import partial

import click

from imaging.cli.options import CONTEXT, SelectionWords, node_selection, run_options, version_option
from imaging.cli.wishes import CommonOptions


@click.command("imaging-wait", context_settings=CONTEXT)
@node_selection
@click.option("-n", "--telnet", is_flag=True, help="Wait for the ramdisk's telnet instead of ssh.")
@click.option("-u", "--user", metavar="NAME", help="User to log in as, for ssh.")
@click.option(
    "-b",
    "--backoff",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Time between two attempts on one node; else that of the settings.",
)
@click.option(
    "--uptime-below",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="Accept only a system that booted at most so long before the command, or since.",
)
@run_options(
    quiet_flags=("-s", "--silent", "-q", "--quiet"),
    quiet_help="Print nothing: see exit code.",
    verbose_help="Tell what each attempt meets.",
    only_reads=True,
)
@version_option
@click.pass_context
def command(
    context: click.Context,
    selection: SelectionWords,
    options: CommonOptions,
    telnet: bool,
    user: str | None,
    backoff: float | None,
    uptime_below: float | None,
) -> None:
    """Wait until all selected nodes are there: until ssh has run a command on each.

    Prints a line per node, as soon as it is known. The exit code is 0 when all of them are there,
    and 1 when some are not at the end of the timeout.

    \b
    Examples:
      imaging-wait -t 120 1-12
      imaging-reset 4 && imaging-wait --uptime-below 20 4
    """
    if telnet and user is not None:
        raise click.UsageError("-u is for ssh, and -n waits for telnet")
    from imaging.cli.runs import RunSite, run_operation
    from imaging.feedback.results import Detail, Results, availability_line
    from imaging.operations.preflight import plan_wait
    from imaging.operations.wait import WaitPlan, wait

    def prepare(site: RunSite) -> WaitPlan:
        return plan_wait(
            site.settings,
            selection.nodes(site),
            telnet=telnet,
            user=user,
            backoff_s=backoff,
            uptime_below=uptime_below,
        )

    line = partial(availability_line, what="telnet" if telnet else "ssh")
    context.exit(
        run_operation(
            "imaging-wait",
            options,
            prepare,
            wait,
            lambda settings: settings.wait.timeout_s,
            Results(as_finished=line, at_end=lambda _: [], detail=Detail.BAR),
            only_reads=True,
        )
    )
