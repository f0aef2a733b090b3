"""imaging-testbed fault: what goes wrong with the nodes of a virtual testbed."""

from pathlib import Path

import click
import msgspec

from imaging.cli.columns import aligned
from imaging.cli.options import CONTEXT
from imaging.cli.session import reporting
from imaging.errors import ConfigurationError
from imaging.site.selection import select
from imaging.testbed.fault_file import FaultFile
from imaging.testbed.faults import (
    KINDS,
    NOT_SIMULATED,
    SERVERS,
    SITE,
    SITE_KINDS,
    Fault,
    Faults,
    format_what,
    parse_what,
    spelling,
    with_kind,
)
from imaging.testbed.layout import Layout


class Wishes(msgspec.Struct, frozen=True):
    """What the user wants; the words are nodes, and faults (``KIND=FAULT``)."""

    words: tuple[str, ...]
    clear: bool
    as_list: bool
    kinds: bool

    @property
    def faults(self) -> list[str]:
        """The words that say what is wrong."""
        return [word for word in self.words if "=" in word]

    @property
    def specs(self) -> list[str]:
        """The words that say with which nodes."""
        return [word for word in self.words if "=" not in word]

    def check(self) -> None:
        """Raises click.UsageError when they contradict each other."""
        faults, specs = self.faults, self.specs
        if self.clear + self.as_list + self.kinds + bool(faults) != 1:
            raise click.UsageError(
                "give either NODE_SPEC KIND=FAULT, or --clear, --list or --kinds"
            )
        if (self.as_list or self.kinds) and specs:
            raise click.UsageError("--list and --kinds take no nodes")
        of_nodes = [word for word in faults if word.partition("=")[0] not in SITE_KINDS]
        if of_nodes and not specs:
            raise click.UsageError(f"which nodes have {of_nodes[0]}?")
        if specs and faults and not of_nodes:
            raise click.UsageError(f"{faults[0]} is of the whole testbed: give no nodes")


@click.command("fault", context_settings=CONTEXT)
@click.argument("words", nargs=-1, metavar="[NODE_SPEC]... [KIND=FAULT]...")
@click.option(
    "-C",
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    help="The testbed's directory, when it is not the current one.",
)
@click.option("--clear", is_flag=True, help="Nothing is wrong any more: with these nodes, or all.")
@click.option("--list", "as_list", is_flag=True, help="Say what is set now.")
@click.option("--kinds", is_flag=True, help="Say all that can go wrong.")
@click.pass_context
def command(
    context: click.Context,
    words: tuple[str, ...],
    directory: Path,
    clear: bool,
    as_list: bool,
    kinds: bool,
) -> None:
    """Have nodes misbehave, as real ones do.

    A running testbed reads its faults when they matter, so they may change at any time. A number
    after * says how often a fault acts before it is gone; + joins faults of one kind: each acts
    where it can, the first one first.

    \b
    Examples:
      imaging-testbed fault fit03 cmc=hang
      imaging-testbed fault 4-6 'cmc=ignore-reset*2' telnet=silent
      imaging-testbed fault leases=down
      imaging-testbed fault -C /tmp/testbed --list
      imaging-testbed fault --clear fit03
    """
    wishes = Wishes(words, clear, as_list, kinds)
    wishes.check()

    def body() -> int:
        if kinds:
            _print_kinds()
        else:
            _act(wishes, directory)
        return 0

    context.exit(reporting("imaging-testbed", body))


def _act(wishes: Wishes, directory: Path) -> None:
    """Show or change the faults of a testbed. Raises ConfigurationError."""
    layout = Layout(directory.absolute())
    if not layout.inventory_file.is_file():
        raise ConfigurationError(
            f"{directory} is no testbed's directory", hint="see -C, and imaging-testbed up"
        )
    file = FaultFile(layout.faults_file)
    nodes = list(select(wishes.specs, layout.inventory()).names) if wishes.specs else []
    if wishes.as_list:
        _print_faults(file.read())
    elif wishes.clear and not nodes:
        file.clear()
    elif wishes.clear:
        file.change(lambda faults: {k: v for k, v in faults.items() if k not in nodes})
    else:
        chosen = dict(_parse_setting(word) for word in wishes.faults)
        if layout.simulated_file.exists():
            _refuse_not_simulated(chosen)
        file.change(lambda faults: _with_all(faults, nodes, chosen))


def _parse_setting(word: str) -> tuple[str, tuple[Fault, ...]]:
    kind, _, what = word.partition("=")
    return kind, parse_what(kind, what)


def _refuse_not_simulated(chosen: dict[str, tuple[Fault, ...]]) -> None:
    """Raise ConfigurationError for what would do nothing: better than to be waited for."""
    for kind, what in chosen.items():
        for fault in what:
            if fault.word in NOT_SIMULATED.get(kind, ()):
                raise ConfigurationError(
                    f"simulated nodes know no {kind}={fault.word}",
                    hint="imaging-testbed up without --simulate has nodes that do",
                )


def _with_all(faults: Faults, nodes: list[str], chosen: dict[str, tuple[Fault, ...]]) -> Faults:
    for kind, what in chosen.items():
        for node in [SITE] if kind in SITE_KINDS else nodes:
            faults = with_kind(faults, node, kind, what)
    return faults


def _print_faults(faults: Faults) -> None:
    for node, kinds in sorted(faults.items()):
        print(node, *(f"{kind}={format_what(what)}" for kind, what in kinds.items()))


def _print_kinds() -> None:
    rows = [
        [f"{kind}={spelling(word, argument)}", meaning]
        for kind, words in KINDS.items()
        for word, (meaning, argument) in words.items()
    ]
    print(
        "\n".join(aligned([*rows, *([f"faults/{name}", text] for name, text in SERVERS.items())]))
    )
