"""The options that several commands share, spelled once."""

import functools
import math
import os
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

import click
import msgspec

import imaging
from imaging.cli.completion import complete_files, complete_nodes
from imaging.cli.session import Site
from imaging.cli.wishes import REPORT_SUFFIXES, STANDARD_OUTPUT, CommonOptions, OutputOptions
from imaging.errors import ConfigurationError
from imaging.site.inventory import Node
from imaging.site.selection import Selection, select

F = TypeVar("F", bound=Callable[..., Any])
Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class SelectionWords(msgspec.Struct, frozen=True):
    """What the user said about nodes."""

    words: tuple[str, ...]
    use_all: bool = False

    @property
    def is_given(self) -> bool:
        """Whether the command line itself says anything about nodes."""
        return bool(self.words) or self.use_all

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
        if self.is_given or os.environ.get("NODES"):
            return self.nodes(site)
        return site.inventory.nodes


def version_option(function: F) -> F:
    """Add ``--version``."""
    return click.version_option(imaging.__version__, message="imaging %(version)s")(function)


def node_spec_argument(function: F) -> F:
    """Add ``NODE_SPEC...``."""
    return click.argument(
        "node_spec", nargs=-1, metavar="[NODE_SPEC]...", shell_complete=complete_nodes
    )(function)


def node_selection(function: F) -> F:
    """Add ``NODE_SPEC...`` and ``-a``; the function gets them as ``selection``."""

    @functools.wraps(function)
    def gathered(*arguments: Any, **given: Any) -> Any:
        selection = SelectionWords(given.pop("node_spec"), given.pop("use_all"))
        return function(*arguments, **given, selection=selection)

    gathered = click.option(
        "-a",
        "--all",
        "use_all",
        is_flag=True,
        help="All nodes: $ALL_NODES, else all_nodes of the settings, else all there are.",
    )(gathered)
    return cast(F, node_spec_argument(gathered))


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


def run_options(
    *,
    quiet_flags: Sequence[str] = ("-q", "--quiet"),
    quiet_help: str = "Tell failures only.",
    verbose_help: str = "Tell every step of every node.",
    only_reads: bool = False,
) -> Callable[[F], F]:
    """Add the options of all commands that work on nodes; the function gets them as ``options``.

    Who ``only_reads`` needs no lease: ``--strict-lease`` is taken there, and not shown.
    """

    def decorate(function: F) -> F:
        @functools.wraps(function)
        def gathered(*arguments: Any, **given: Any) -> Any:
            options = _common_options(given, quiet_flags[0])
            return function(*arguments, **given, options=options)

        decorated: Callable[..., Any] = gathered
        # click shows first what is added last
        added: tuple[Decorator, ...] = (
            timeout_option,
            live_option,
            click.option(*quiet_flags, "quiet", is_flag=True, help=quiet_help),
            click.option("-v", "--verbose", is_flag=True, help=verbose_help),
            click.option(
                "--dry-run", is_flag=True, help="Make all checks, say what would be done."
            ),
            click.option(
                "--strict-lease",
                is_flag=True,
                hidden=only_reads,
                help="Refuse, and not only warn, when your lease may end before the run.",
            ),
            *_output_options(),
        )
        for add in added:
            decorated = add(decorated)
        return cast(F, decorated)

    return decorate


def _output_options() -> Iterator[Decorator]:
    """What scripts want to have of a run."""
    file = click.Path(dir_okay=False, path_type=Path)
    yield click.option(
        "--ko", "ko_file", type=file, metavar="FILE", help="Write the names of the others."
    )
    yield click.option(
        "--ok", "ok_file", type=file, metavar="FILE", help="Write the names of the fine nodes."
    )
    yield click.option(
        "--report",
        type=file,
        metavar="FILE",
        help="At the end, write a report: NAME.json, or JUnit's NAME.xml. "
        "There is none when nothing was done because something was wrong from the start.",
    )
    yield click.option(
        "--events",
        metavar="FILE|-",
        shell_complete=complete_files,
        help="Write each event as it happens, a line of JSON each; - is standard output.",
    )
    yield click.option("--json", is_flag=True, help="Print the result as JSON, and nothing else.")


def _common_options(given: dict[str, Any], quiet_flag: str) -> CommonOptions:
    """Take the common options out of those given. Raises click.UsageError for contradictions."""
    outputs = OutputOptions(**_taken(given, OutputOptions))
    options = CommonOptions(**_taken(given, CommonOptions), outputs=outputs)
    if outputs.json and outputs.events == STANDARD_OUTPUT:
        raise click.UsageError("--json and --events - exclude each other: both are for stdout")
    if outputs.report is not None and outputs.report.suffix not in REPORT_SUFFIXES:
        raise click.UsageError("--report wants a name that ends in .json or .xml")
    if options.quiet and (options.verbose or options.live):
        other = "-v" if options.verbose else "-c"
        raise click.UsageError(f"{quiet_flag} and {other} exclude each other")
    return options


def _taken(
    given: dict[str, Any], kind: type[OutputOptions] | type[CommonOptions]
) -> dict[str, Any]:
    names = [name for name in kind.__struct_fields__ if name in given]
    return {name: given.pop(name) for name in names}


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
        raise click.BadParameter("must be at least one node: none is always reached")
    if found[2]:
        return lambda total: math.ceil(total * number / 100)
    return partial(_at_least, number)


def _at_least(number: int, total: int) -> int:
    if number > total:
        raise ConfigurationError(
            f"at least {number} nodes cannot be fine: there are {total}", hint="see --min-ok"
        )
    return number
