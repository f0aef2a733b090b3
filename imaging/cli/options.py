"""The options that several commands share, spelled once."""

import os
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from imaging.cli.operation import CommonOptions
from imaging.cli.session import Site
from imaging.site.inventory import Node
from imaging.site.selection import Selection, select

F = TypeVar("F", bound=Callable[..., Any])

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


@dataclass(frozen=True, slots=True)
class SelectionWords:
    """What the user said about nodes."""

    words: tuple[str, ...]
    use_all: bool

    def resolve(self, site: Site, image_names: Collection[str] = ()) -> Selection:
        """The nodes meant, by arguments, -a, $NODES and $ALL_NODES. Raises ConfigurationError."""
        return select(
            self.words,
            site.inventory,
            nodes_variable=os.environ.get("NODES"),
            all_variable=os.environ.get("ALL_NODES"),
            all_setting=site.settings.inventory.all_nodes,
            use_all=self.use_all,
            image_names=image_names,
        )

    def nodes(self, site: Site, image_names: Collection[str] = ()) -> tuple[Node, ...]:
        """The nodes meant, in order."""
        return self.resolve(site, image_names).nodes


def node_selection(function: F) -> F:
    """Add ``NODE_SPEC...`` and ``-a``."""
    function = click.option(
        "-a", "--all", "use_all", is_flag=True, help="All nodes: $ALL_NODES, else the inventory."
    )(function)
    return click.argument("node_spec", nargs=-1, metavar="[NODE_SPEC]...")(function)


def timeout_option(function: F) -> F:
    """Add ``-t``."""
    return click.option(
        "-t",
        "--timeout",
        type=click.FloatRange(min=0, min_open=True),
        metavar="SECONDS",
        help="Hard limit for the whole command.",
    )(function)


def live_option(function: F) -> F:
    """Add ``-c``."""
    return click.option(
        "-c",
        "--curses",
        "--live",
        "live",
        is_flag=True,
        help="Show every node on the full screen, with keys.",
    )(function)


def operation_options(function: F) -> F:
    """Add the options of all commands that change nodes."""
    for option in (
        timeout_option,
        live_option,
        click.option("-q", "--quiet", is_flag=True, help="Tell failures only."),
        click.option("-v", "--verbose", is_flag=True, help="Tell every step of every node."),
        click.option("--dry-run", is_flag=True, help="Make all checks, say what would be done."),
    ):
        function = option(function)
    return function


def common_options(
    *, timeout: float | None, live: bool, quiet: bool, verbose: bool, dry_run: bool
) -> CommonOptions:
    """The parsed common options. Raises click.UsageError when they contradict each other."""
    if quiet and verbose:
        raise click.UsageError("-q and -v exclude each other")
    if quiet and live:
        raise click.UsageError("-q and -c exclude each other")
    return CommonOptions(timeout=timeout, live=live, quiet=quiet, verbose=verbose, dry_run=dry_run)
