"""imaging-nextboot."""

import json
import sys
import time
from collections.abc import Sequence

import click

from imaging.cli.columns import aligned
from imaging.cli.options import CONTEXT, SelectionWords, node_selection, version_option
from imaging.cli.session import Site, run
from imaging.feedback.wording import age_text
from imaging.node.nextboot import NextbootDirectory
from imaging.operations.nextboot import (
    Action,
    NextbootLink,
    clean_links,
    list_links,
    longest_need_s,
)
from imaging.site.locks import LockDirectory
from imaging.site.user import is_root_itself

NAME = "imaging-nextboot"


@click.command(NAME, context_settings=CONTEXT)
@node_selection
@click.option("--clean", is_flag=True, help="Remove the links that no command can need any more.")
@click.option("--any-age", is_flag=True, help="With --clean: also young ones of unknown MACs.")
@click.option("--dry-run", is_flag=True, help="With --clean: only say what would be removed.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list, an object per link.")
@version_option
@click.pass_context
def command(
    context: click.Context,
    selection: SelectionWords,
    clean: bool,
    any_age: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """List the nextboot links, or clean them up.

    A nextboot link makes its node boot the imaging ramdisk. The commands remove the links that
    they make; one that has stayed behind, say after a power cut of this host, sends its node into
    the ramdisk at each boot. --clean removes those whose nodes no command works on; of a MAC that
    is not in the inventory, those that are too old for a running command to need them. What is no
    link to the ramdisk is foreign, and never touched.

    Without NODE_SPEC, these are the links of all nodes, and of MACs that the inventory does not
    know. The exit code is 1 when a link could not be removed.

    \b
    Examples:
      imaging-nextboot
      imaging-nextboot --clean --dry-run 1-12
    """
    if (any_age or dry_run) and not clean:
        raise click.UsageError("--any-age and --dry-run go with --clean")

    def body(site: Site) -> int:
        nextboot = site.settings.nextboot
        directory = NextbootDirectory(nextboot.directory, nextboot.ramdisk)
        locks = LockDirectory(site.settings.locks.directory)
        links = list_links(directory, site.inventory, locks, time.time())
        if selection.is_given:
            names = {node.name for node in selection.nodes(site)}
            links = [link for link in links if link.node in names]
        if clean:
            locks.check()
            if not dry_run:
                _authorize(site, links)
            age = 0.0 if any_age else longest_need_s(site.settings)
            links = clean_links(directory, links, locks, stale_after_s=age, dry_run=dry_run)
        _tell(links, clean=clean, as_json=as_json)
        return 1 if any(link.action is Action.FAILED for link in links) else 0

    context.exit(run(NAME, body))


def _authorize(site: Site, links: Sequence[NextbootLink]) -> None:
    """Raise ImagingError unless the user may change the nodes that have a link of ours.

    Root itself may: a link that no command needs is nobody's, and when the host boots, nobody
    has a lease, or the leases cannot be asked for yet.
    """
    nodes = [link.node for link in links if link.ours and link.node is not None]
    if not nodes or site.settings.leases.backend == "none" or is_root_itself():
        return
    from imaging.operations.authorization import ask_at_once

    notice = ask_at_once(site.settings.leases, nodes)
    if notice is not None:
        print(f"{NAME}: {notice}", file=sys.stderr)


def _tell(links: Sequence[NextbootLink], *, clean: bool, as_json: bool) -> None:
    """The links on stdout, in the form wanted; what failed on stderr as well."""
    if as_json:
        print(json.dumps([as_object(link) for link in links], indent=2))
    elif not links:
        print("no nextboot links")
    elif clean:
        lines = [cleaned(link) for link in links if link.action is not Action.FAILED]
        print("".join(f"{line}\n" for line in lines), end="")
    else:
        print("\n".join(aligned(table(links))))
    sys.stdout.flush()
    for link in links:
        if link.error is not None:
            print(f"{NAME}: {link.error}", file=sys.stderr)


def table(links: Sequence[NextbootLink]) -> list[list[str]]:
    """The links as rows of cells, under a header."""
    rows = [["NODE", "AGE", "OWNER", "TARGET", "NEEDED BY"]]
    for link in links:
        target = link.entry.target or ""
        shown = target if link.ours else f"foreign: {link.entry.what}"
        needed = str(link.holder) if link.holder else "-"
        rows.append([link.name, age_text(link.age_s), link.owner, shown, needed])
    return rows


def cleaned(link: NextbootLink) -> str:
    """What became of one link, in a line."""
    what = f"{link.name}: link of {link.owner}, {age_text(link.age_s)} old"
    match link.action:
        case Action.REMOVED:
            return f"{what}: removed"
        case Action.WOULD_REMOVE:
            return f"{what}: would be removed"
        case Action.GONE:
            return f"{what}: is gone meanwhile"
        case _ if link.holder is not None:
            return f"{what}: left: {link.holder} needs it"
        case _ if link.ours:
            return f"{what}: left (its MAC is in no inventory; --any-age)"
        case _:
            return f"{link.name}: foreign: {link.entry.what}: left alone"


def as_object(link: NextbootLink) -> dict[str, object]:
    """One link with the keys of --json; ``action`` is null unless there was a --clean."""
    return {
        "node": link.node,
        "mac": link.entry.mac,
        "kind": link.entry.occupant.value,
        "target": link.entry.target,
        "owner": link.owner,
        "age_s": round(link.age_s, 3),
        "needed_by": str(link.holder) if link.holder else None,
        "action": link.action.value if link.action else None,
    }
