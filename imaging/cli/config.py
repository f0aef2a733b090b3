"""imaging-config."""

import json
import sys
from collections.abc import Sequence
from importlib.resources import files
from itertools import groupby

import click
import msgspec

from imaging.cli.completion import complete_settings
from imaging.cli.options import CONTEXT, version_option
from imaging.cli.session import reporting, run_with_settings
from imaging.site.effective import EffectiveValue, choose_values, effective_values
from imaging.site.settings import DEFAULT_ORIGIN, LoadedSettings

NAME = "imaging-config"
WIDEST_VALUE = 32  # columns; the origin of a longer value is not aligned with the others


@click.command(NAME, context_settings=CONTEXT)
@click.argument("words", nargs=-1, metavar="[SECTION[.KEY]]...", shell_complete=complete_settings)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list, an object per setting.")
@click.option("--check", is_flag=True, help="See that all that the settings name can be used.")
@click.option("--defaults", is_flag=True, help="Print a complete settings file, with comments.")
@version_option
@click.pass_context
def command(
    context: click.Context, words: tuple[str, ...], as_json: bool, check: bool, defaults: bool
) -> None:
    """Print the settings, and where each comes from.

    That is FILE:LINE, or default. Settings are read from /etc/imaging.conf, ~/.imaging.conf and
    ./imaging.conf, each overriding the one before; $IMAGING_CONF names one file that replaces
    the three. --check also looks at the files, directories and tools that they name: it prints a
    line per problem, and exits with 2 when there is any.

    \b
    Examples:
      imaging-config nextboot power.port
      imaging-config --defaults | less
    """
    if as_json + check + defaults > 1:
        raise click.UsageError("--json, --check and --defaults exclude each other")
    if words and (check or defaults):
        raise click.UsageError(f"{'--check' if check else '--defaults'} takes no SECTION")

    def body(loaded: LoadedSettings) -> int:
        if check:
            return _check(loaded)
        values = choose_values(effective_values(loaded.settings, loaded.origins), words)
        if as_json:
            print(json.dumps([msgspec.structs.asdict(value) for value in values], indent=2))
        else:
            print("\n".join(as_text(values)))
        return 0

    context.exit(reporting(NAME, _print_defaults) if defaults else run_with_settings(NAME, body))


def _print_defaults() -> int:
    """Print the packaged file; no other is read, so this works when theirs are broken."""
    text = (files("imaging.site") / "imaging.conf").read_text(encoding="utf-8")
    print(text, end="")
    return 0


def as_text(values: Sequence[EffectiveValue]) -> list[str]:
    """The values by section, with their origins, aligned as far as that is readable."""
    widest_key = max(len(value.key) for value in values)
    lengths = [len(value.text) for value in values]
    widest = max((length for length in lengths if length <= WIDEST_VALUE), default=0)
    lines: list[str] = []
    for section, members in groupby(values, key=lambda value: value.section):
        lines += ["", f"[{section}]"]
        lines += [f"{v.key:{widest_key}} = {v.text:{widest}}  {v.origin}" for v in members]
    return lines[1:]


def _check(loaded: LoadedSettings) -> int:
    from imaging.operations.site_check import site_problems

    problems = site_problems(loaded)
    for problem in problems:
        print(f"{NAME}: {problem}", file=sys.stderr)
    if problems:
        return 2
    print(f"{len(loaded.origins)} settings, fine: {_sources(loaded)}")
    return 0


def _sources(loaded: LoadedSettings) -> str:
    """Which files set how many of them."""
    set_in = [o.rpartition(":")[0] for o in loaded.origins.values() if o != DEFAULT_ORIGIN]
    counts = [f"{set_in.count(file)} set in {file}" for file in sorted(set(set_in))]
    return ", ".join(counts) or "all are the defaults"
