"""imaging-nodes."""

import click

from imaging.cli.options import CONTEXT, SelectionWords, node_selection
from imaging.cli.session import Site, run


@click.command("imaging-nodes", context_settings=CONTEXT)
@node_selection
@click.pass_context
def command(context: click.Context, node_spec: tuple[str, ...], use_all: bool) -> None:
    """Print the nodes that a selection means, one name per line. Nothing is touched.

    \b
    Examples:
      imaging-nodes 1-12 ~4-6
      imaging-nodes -a ~fit04
    """

    def body(site: Site) -> int:
        for node in SelectionWords(node_spec, use_all).nodes(site):
            print(node.name)
        return 0

    context.exit(run("imaging-nodes", body))
