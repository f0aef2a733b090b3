"""The options that several commands share, spelled once."""

import dataclasses
import functools
import math
import os
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

import click

from imaging.cli.session import Site
from imaging.cli.wishes import REPORT_SUFFIXES, STANDARD_OUTPUT, CommonOptions, OutputOptions
from imaging.errors import ConfigurationError
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

    def nodes_or_all(self, site: Site) -> tuple[Node, ...]:
        """The nodes meant; where nothing says which, those of the whole inventory."""
        if self.words or self.use_all or os.environ.get("NODES"):
            return self.nodes(site)
        return site.inventory.nodes


def node_selection(function: F) -> F:
    """Add ``NODE_SPEC...`` and ``-a``."""
    function = click.option(
        "-a",
        "--all",
        "use_all",
        is_flag=True,
        help="All nodes: $ALL_NODES, else all_nodes of the settings, else all there are.",
    )(function)
    return click.argument("node_spec", nargs=-1, metavar="[NODE_SPEC]...")(function)


def timeout_option(function: F) -> F:
    """Add ``-t``."""
    return click.option(
        "-t",
        "--timeout",
        type=click.FloatRange(min=0, min_open=True),
        metavar="SECONDS",
        help="Hard limit for the whole command; else that of the settings.",
    )(function)


def wait_lock_option(function: F) -> F:
    """Add ``--wait-lock``."""
    return click.option(
        "--wait-lock",
        type=click.FloatRange(min=0),
        metavar="SECONDS",
        help="Wait so long for a node that another command works on; else it is busy.",
    )(function)


def strict_lease_option(function: F) -> F:
    """Add ``--strict-lease``."""
    return click.option(
        "--strict-lease",
        is_flag=True,
        help="Refuse, and not only warn, when your lease may end before the run.",
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


def output_options(function: F) -> F:
    """Add what scripts want to have of a run; the function gets it as ``outputs``."""

    @functools.wraps(function)
    def gathered(*arguments: Any, **options: Any) -> Any:
        names = (field.name for field in dataclasses.fields(OutputOptions))
        outputs = OutputOptions(**{name: options.pop(name) for name in names})
        if outputs.json and outputs.events == STANDARD_OUTPUT:
            raise click.UsageError("--json and --events - exclude each other: both are for stdout")
        if outputs.report is not None and outputs.report.suffix not in REPORT_SUFFIXES:
            raise click.UsageError("--report wants a name that ends in .json or .xml")
        return function(*arguments, **options, outputs=outputs)

    file = click.Path(dir_okay=False, path_type=Path)
    for option in (
        click.option(
            "--ko", "ko_file", type=file, metavar="FILE", help="Write those of the others."
        ),
        click.option(
            "--ok", "ok_file", type=file, metavar="FILE", help="Write the names of the fine nodes."
        ),
        click.option(
            "--report",
            type=file,
            metavar="FILE",
            help="At the end, write a report: NAME.json, or JUnit's NAME.xml. "
            "There is none when nothing was done because something was wrong from the start.",
        ),
        click.option(
            "--events",
            metavar="FILE|-",
            help="Write each event as it happens, a line of JSON each; - is standard output.",
        ),
        click.option("--json", is_flag=True, help="Print the result as JSON, and nothing else."),
    ):
        gathered = option(gathered)
    return cast(F, gathered)


def operation_options(function: F) -> F:
    """Add the options of all commands that change nodes."""
    for option in (
        timeout_option,
        live_option,
        click.option("-q", "--quiet", is_flag=True, help="Tell failures only."),
        click.option("-v", "--verbose", is_flag=True, help="Tell every step of every node."),
        click.option("--dry-run", is_flag=True, help="Make all checks, say what would be done."),
        strict_lease_option,
    ):
        function = option(function)
    return function


def common_options(
    *,
    timeout: float | None,
    live: bool,
    quiet: bool,
    verbose: bool,
    dry_run: bool,
    strict_lease: bool,
    outputs: OutputOptions,
) -> CommonOptions:
    """The parsed common options. Raises click.UsageError when they contradict each other."""
    if quiet and verbose:
        raise click.UsageError("-q and -v exclude each other")
    if quiet and live:
        raise click.UsageError("-q and -c exclude each other")
    return CommonOptions(
        timeout=timeout,
        live=live,
        quiet=quiet,
        verbose=verbose,
        dry_run=dry_run,
        strict_lease=strict_lease,
        outputs=outputs,
    )


QuorumOf = Callable[[int], int]
"""How many nodes must be fine, given how many there are."""


def read_quorum(
    _context: click.Context, _parameter: click.Parameter, value: str | None
) -> QuorumOf | None:
    """A click callback for ``N`` or ``N%``."""
    if value is None:
        return None
    found = re.fullmatch("([0-9]{1,6})(%?)", value)
    if found is None or (found[2] and int(found[1]) > 100):
        raise click.BadParameter(f"{value!r} is no number of nodes (30) and no percentage (90%)")
    number = int(found[1])
    if number == 0:
        raise click.BadParameter("a quorum of no node is always reached")
    if found[2]:
        return lambda total: math.ceil(total * number / 100)
    return partial(_at_least, number)


def _at_least(number: int, total: int) -> int:
    if number > total:
        raise ConfigurationError(f"at least {number} nodes cannot be fine: there are {total}")
    return number
