"""imaging-wait."""

from functools import partial

import click

from imaging.cli.options import (
    CONTEXT,
    SelectionWords,
    live_option,
    node_selection,
    output_options,
    timeout_option,
)
from imaging.cli.wishes import CommonOptions, OutputOptions


@click.command("imaging-wait", context_settings=CONTEXT)
@node_selection
@click.option("-n", "--telnet", is_flag=True, help="Wait for the ramdisk's telnet instead of ssh.")
@click.option("-u", "--user", metavar="NAME", help="User to log in as, for ssh.")
@click.option(
    "-b",
    "--backoff",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Time between two attempts on one node.",
)
@click.option(
    "--uptime-below",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="Accept only a system that booted at most so long before the command, or since.",
)
@output_options
@timeout_option
@live_option
@click.option(
    "-s", "--silent", "-q", "--quiet", "silent", is_flag=True, help="Print nothing: see exit code."
)
@click.option("-v", "--verbose", is_flag=True, help="Tell what each attempt meets.")
@click.option("--dry-run", is_flag=True, help="Make all checks, say what would be done.")
@click.pass_context
def command(
    context: click.Context,
    node_spec: tuple[str, ...],
    use_all: bool,
    telnet: bool,
    user: str | None,
    backoff: float | None,
    uptime_below: float | None,
    timeout: float | None,
    live: bool,
    silent: bool,
    verbose: bool,
    dry_run: bool,
    outputs: OutputOptions,
) -> None:
    """Wait until all selected nodes are there: until ssh has run a command on each.

    Prints a line per node, as soon as it is known. The exit code is 0 when all of them are there,
    and 1 when some are not at the end of the timeout.

    \b
    Examples:
      imaging-wait -t 120 1-12
      imaging-reset 4 && imaging-wait --uptime-below 20 4
    """
    from imaging.cli.runs import RunSite, run_operation
    from imaging.feedback.results import Detail, Results, availability_line
    from imaging.operations.preflight import plan_wait
    from imaging.operations.wait import WaitPlan, wait

    def prepare(site: RunSite) -> WaitPlan:
        return plan_wait(
            site.settings,
            SelectionWords(node_spec, use_all).nodes(site),
            telnet=telnet,
            user=user,
            backoff_s=backoff,
            uptime_below=uptime_below,
        )

    if silent and verbose:
        raise click.UsageError("-s and -v exclude each other")
    if silent and live:
        raise click.UsageError("-s and -c exclude each other")
    if telnet and user is not None:
        raise click.UsageError("-u is for ssh, and -n waits for telnet")
    what = "telnet" if telnet else "ssh"
    context.exit(
        run_operation(
            "imaging-wait",
            CommonOptions(
                timeout=timeout,
                live=live,
                quiet=silent,
                verbose=verbose,
                dry_run=dry_run,
                outputs=outputs,
            ),
            prepare,
            wait,
            lambda settings: settings.wait.timeout_s,
            Results(
                as_finished=partial(availability_line, what=what),
                at_end=lambda _: [],
                detail=Detail.BAR,
            ),
            only_reads=True,
        )
    )
