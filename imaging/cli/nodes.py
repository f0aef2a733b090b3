"""imaging-nodes."""

import shlex
from collections.abc import Callable, Sequence

import click

from imaging.cli.options import (
    CONTEXT,
    SelectionWords,
    node_selection,
    timeout_option,
    version_option,
)
from imaging.cli.session import Site, run
from imaging.cli.wishes import CommonOptions


@click.command("imaging-nodes", context_settings=CONTEXT)
@node_selection
@click.option("--on", "only_on", is_flag=True, help="Only those that are on, say their cards.")
@click.option("--off", "only_off", is_flag=True, help="Only those that are off.")
@click.option("--export", is_flag=True, help="Print a line for the shell: export NODES='...'.")
@timeout_option
@version_option
@click.pass_context
def command(
    context: click.Context,
    selection: SelectionWords,
    only_on: bool,
    only_off: bool,
    export: bool,
    timeout: float | None,
) -> None:
    """Print the nodes that a selection means, one name per line. Nothing is changed.

    With --on or --off the power cards are asked; when one does not answer, its node is named on
    standard error, and the exit code is 1.

    \b
    Examples:
      imaging-nodes 1-12 ~4-6
      eval "$(imaging-nodes -a --on --export)"
    """
    if only_on and only_off:
        raise click.UsageError("--on and --off exclude each other")
    power = "on" if only_on else "off" if only_off else None

    def lines(names: Sequence[str]) -> list[str]:
        return [f"export NODES={shlex.quote(' '.join(names))}"] if export else list(names)

    if power is None:

        def body(site: Site) -> int:
            for line in lines([node.name for node in selection.nodes(site)]):
                print(line)
            return 0

        context.exit(run("imaging-nodes", body))
    else:
        context.exit(_by_power(selection, power, timeout, lines))


def _by_power(
    selection: SelectionWords,
    wanted: str,
    timeout: float | None,
    lines: Callable[[Sequence[str]], list[str]],
) -> int:
    """Print the nodes whose cards say ``wanted``, on or off; gives the exit code."""
    from imaging.cli.runs import RunSite, run_operation
    from imaging.feedback.outcomes import RunReport
    from imaging.feedback.results import Detail, Results
    from imaging.operations.power import PowerPlan, Verb, power
    from imaging.operations.preflight import plan_power

    def prepare(site: RunSite) -> PowerPlan:
        nodes = selection.nodes(site)
        return plan_power(site.settings, nodes, Verb.STATUS, authorization=site.authorization)

    def matching(report: RunReport) -> list[str]:
        answers = [outcome for outcome in report.outcomes if outcome.ok]
        # no answer at all is no empty selection: whoever evaluates this keeps what he has
        return lines([o.node for o in answers if o.detail == wanted]) if answers else []

    return run_operation(
        "imaging-nodes",
        CommonOptions(timeout=timeout),
        prepare,
        power,
        lambda settings: settings.power.timeout_s,
        Results(at_end=matching, detail=Detail.FAILURES, names_failures=False),
        only_reads=True,
    )
