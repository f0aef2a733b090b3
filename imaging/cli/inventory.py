"""imaging-inventory."""

import json
import sys
from collections.abc import Sequence

import click

from imaging.cli.columns import aligned
from imaging.cli.options import CONTEXT, SelectionWords, node_selection, version_option
from imaging.cli.session import Site, run, run_with_settings
from imaging.node.power.readiness import model_of
from imaging.site.inventory import Node, inventory_problems
from imaging.site.schema import Settings
from imaging.site.settings import LoadedSettings

NAME = "imaging-inventory"


@click.command(NAME, context_settings=CONTEXT)
@node_selection
@click.option("--json", "as_json", is_flag=True, help="Print an inventory file of these nodes.")
@click.option("--check", is_flag=True, help="Print all that is wrong with the inventory.")
@version_option
@click.pass_context
def command(context: click.Context, selection: SelectionWords, as_json: bool, check: bool) -> None:
    """Print the nodes and their addresses.

    These are the addresses of the nodes and of their power cards (CMC), as the inventory has
    them, and the model of each card. Without NODE_SPEC, all of its nodes are printed. --check
    prints a line per problem, and exits with 2 when there is any.

    \b
    Examples:
      imaging-inventory 1-12 ~4-6
      imaging-inventory --check
    """
    if check and (as_json or selection.is_given):
        raise click.UsageError("--check is for the whole inventory, and takes nothing else")

    def body(site: Site) -> int:
        nodes = selection.nodes(site) if selection.is_given else site.inventory.nodes
        if as_json:
            print(json.dumps([node.as_row() for node in nodes], indent=2))
        else:
            print("\n".join(aligned(table(nodes, site.settings))))
        return 0

    context.exit(run_with_settings(NAME, _check) if check else run(NAME, body))


def table(nodes: Sequence[Node], settings: Settings) -> list[list[str]]:
    """The nodes as rows of cells, under a header; ``-`` is what a node does not have."""
    rows = [["NODE", "IP", "MAC", "CMC", "CMC IP", "MODEL", "DATA IP"]]
    for node in nodes:
        control, cmc = node.control, node.cmc
        data_ip = node.data.ip if node.data else "-"
        model = model_of(node, settings)
        rows.append([node.name, control.ip, control.mac, cmc.hostname, cmc.ip, model, data_ip])
    return rows


def _check(loaded: LoadedSettings) -> int:
    count, problems = inventory_problems(loaded.settings.inventory.file)
    for problem in problems:
        print(f"{NAME}: {problem}", file=sys.stderr)
    if problems:
        return 2
    print(f"{count} node{'s' * (count != 1)}, fine")
    return 0
