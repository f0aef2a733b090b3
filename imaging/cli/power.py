"""imaging-status, imaging-on, imaging-off, imaging-reset and imaging-info: the power cards."""

import click

from imaging.cli.options import CONTEXT, SelectionWords, node_selection, run_options, version_option
from imaging.cli.wishes import CommonOptions

ABOUT = {
    "status": "Ask the power cards whether the selected nodes are on.",
    "on": "Switch the selected nodes on, and see that their cards say so.",
    "off": "Cut the power of the selected nodes, and see that their cards say so.",
    "reset": "Reset the selected nodes, which must be on.",
    "info": "Print what the power cards of the selected nodes say about themselves.",
}
MORE = {"reset": " That a node has booted since, imaging-wait --uptime-below 20 proves."}
READING = ("status", "info")
FORCE = "Also nodes that another command works on."
HELP = """{about}

All cards are asked at the same time; the answers come in the order of the nodes.{more} The exit
code is 0 when all cards have answered and done it, and 1 when any did not.

\b
Examples:
  imaging-{verb} 1-12 ~4
  imaging-{verb} -a --json
"""


def _verb_command(verb: str) -> click.Command:
    """The command of one verb: they differ in nothing else."""

    @click.command(
        f"imaging-{verb}",
        context_settings=CONTEXT,
        help=HELP.format(about=ABOUT[verb], more=MORE.get(verb, ""), verb=verb),
        short_help=ABOUT[verb],
    )
    @node_selection
    @click.option("--force", is_flag=True, hidden=verb in READING, help=FORCE)
    @run_options(
        quiet_help="Print nothing but failures.",
        verbose_help="Tell each answer as it comes.",
        only_reads=verb in READING,
    )
    @version_option
    @click.pass_context
    def command(
        context: click.Context, selection: SelectionWords, options: CommonOptions, force: bool
    ) -> None:
        from imaging.cli.runs import RunSite, run_operation
        from imaging.feedback.results import Detail, Results, answer_lines, answer_objects
        from imaging.operations.power import PowerPlan, Verb, power
        from imaging.operations.preflight import plan_power

        def prepare(site: RunSite) -> PowerPlan:
            nodes = selection.nodes(site)
            return plan_power(
                site.settings, nodes, Verb(verb), force=force, authorization=site.authorization
            )

        context.exit(
            run_operation(
                f"imaging-{verb}",
                options,
                prepare,
                power,
                lambda settings: settings.power.timeout_s,
                Results(at_end=answer_lines, as_json=answer_objects, detail=Detail.BAR),
                only_reads=verb in READING,
            )
        )

    return command


status = _verb_command("status")
on = _verb_command("on")
off = _verb_command("off")
reset = _verb_command("reset")
info = _verb_command("info")
