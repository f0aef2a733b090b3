"""imaging-status, imaging-on, imaging-off, imaging-reset and imaging-info: the power cards."""

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

ABOUT = {
    "status": "Ask the power cards whether the selected nodes are on.",
    "on": "Switch the selected nodes on, and see that their cards say so.",
    "off": "Cut the power of the selected nodes, and see that their cards say so.",
    "reset": "Reset the selected nodes, which must be on; imaging-wait --uptime-below 20 proves it",
    "info": "Print what the power cards of the selected nodes say about themselves.",
}
READING = ("status", "info")
FORCE = "Also nodes that another command works on."
STRICT = "Refuse, and not only warn, when your lease may end before the command."
HELP = """{about}

All cards are asked at the same time; the answers come in the order of the nodes. The exit code is
0 when all cards have answered and done it, and 1 when any did not.

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
        help=HELP.format(about=ABOUT[verb], verb=verb),
        short_help=ABOUT[verb],
    )
    @node_selection
    @output_options
    @timeout_option
    @live_option
    @click.option("--force", is_flag=True, hidden=verb in READING, help=FORCE)
    @click.option("-q", "--quiet", is_flag=True, help="Print nothing but failures.")
    @click.option("--strict-lease", is_flag=True, hidden=verb in READING, help=STRICT)
    @click.option("-v", "--verbose", is_flag=True, help="Tell each answer as it comes.")
    @click.option("--dry-run", is_flag=True, help="Make all checks, say what would be done.")
    @click.pass_context
    def command(
        context: click.Context,
        node_spec: tuple[str, ...],
        use_all: bool,
        timeout: float | None,
        live: bool,
        force: bool,
        quiet: bool,
        verbose: bool,
        dry_run: bool,
        strict_lease: bool,
        outputs: OutputOptions,
    ) -> None:
        from imaging.cli.runs import RunSite, run_operation
        from imaging.feedback.results import Detail, Results, answer_lines, answer_objects
        from imaging.operations.power import PowerPlan, Verb, power
        from imaging.operations.preflight import plan_power

        if quiet and (verbose or live):
            raise click.UsageError(f"-q and {'-v' if verbose else '-c'} exclude each other")

        def prepare(site: RunSite) -> PowerPlan:
            nodes = SelectionWords(node_spec, use_all).nodes(site)
            return plan_power(
                site.settings, nodes, Verb(verb), force=force, authorization=site.authorization
            )

        context.exit(
            run_operation(
                f"imaging-{verb}",
                CommonOptions(
                    timeout=timeout,
                    live=live,
                    quiet=quiet,
                    verbose=verbose,
                    dry_run=dry_run,
                    strict_lease=strict_lease,
                    outputs=outputs,
                ),
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
