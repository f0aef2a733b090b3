"""imaging-list."""

import json
import shutil
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import click
import msgspec

from imaging.cli.completion import complete_image_names, complete_images
from imaging.cli.image_table import render
from imaging.cli.options import CONTEXT, version_option
from imaging.cli.session import run_with_settings
from imaging.feedback.wording import printable
from imaging.images.catalogue import Entry, catalogue
from imaging.images.library import ImageLibrary
from imaging.images.patterns import choose
from imaging.images.provenance import SidecarState
from imaging.images.verification import fault_of
from imaging.site.settings import LoadedSettings

NAME = "imaging-list"
_LONG_AGO = datetime.min.replace(tzinfo=UTC)

SORT_KEYS: dict[str, Callable[[Entry], Any]] = {
    "name": lambda entry: (entry.name.lower(), entry.name, entry.private),
    "size": lambda entry: entry.size or 0,
    "date": lambda entry: entry.date or _LONG_AGO,
}


class ListOptions(msgspec.Struct, frozen=True):
    """What the user wants to see, and how."""

    patterns: tuple[str, ...]
    every: bool
    sort: str
    reverse: bool
    as_json: bool


@click.command(NAME, context_settings=CONTEXT)
@click.argument("patterns", nargs=-1, metavar="[PATTERN]...", shell_complete=complete_image_names)
@click.option("--and", "every", is_flag=True, help="Images that fit all patterns, not any.")
@click.option(
    "--sort",
    type=click.Choice(list(SORT_KEYS)),
    default="name",
    help="In which order: by name, the smallest first, or the oldest first.",
)
@click.option("-r", "--reverse", is_flag=True, help="The other way round.")
@click.option("--json", "as_json", is_flag=True, help="A JSON list of objects; see above.")
@click.option(
    "--resolve",
    metavar="NAME",
    shell_complete=complete_images,
    help="Print the one file that imaging-load would take, and why.",
)
@click.option(
    "--check", is_flag=True, help="Read the images whole: OK or BROKEN, with the reason, for each."
)
@version_option
@click.pass_context
def command(
    context: click.Context,
    patterns: tuple[str, ...],
    every: bool,
    sort: str,
    reverse: bool,
    as_json: bool,
    resolve: str | None,
    check: bool,
) -> None:
    """List the images of the site: size, how much of a disk they cover, date, author, comment.

    A PATTERN with * ? [] must fit the whole name, any other a part of it; case does not matter.
    Aliases are shown as name -> target. What is partial, broken, unreadable or dangling is shown
    as what it is, and is never loaded. The exit code is 1 when a pattern fits nothing, or --check
    finds something that is not fine.

    A name given to imaging-load is a path when it has a slash; else NAME.ndz in the images
    directory, alias or not; else NAME.ndz in the private directory; else the newest complete
    image whose radical (what follows the last __) is NAME. --resolve prints the file on stdout,
    the reason and what else it could have been on stderr.

    JSON keys: name, kind (image, alias, partial, broken, unreadable, dangling), path, file (behind
    aliases), private, target, aliases, size, covered_bytes, minimum_disk_size (bytes), date (UTC),
    node, author, comment, parent, sha256, sidecar (fine, missing, malformed, other-size), growing
    (being saved now), problem; null is unknown.

    \b
    Examples:
      imaging-list --sort date 'fedora*' debian
      imaging-load -i "$(imaging-list --resolve fedora)" 1-12
    """
    options = ListOptions(patterns, every, sort, reverse, as_json)
    if resolve is not None and (patterns or check or as_json or every):
        raise click.UsageError("--resolve NAME takes nothing else")
    if check and as_json:
        raise click.UsageError("--check and --json exclude each other")

    def body(loaded: LoadedSettings) -> int:
        library = ImageLibrary.of(loaded.settings.images)
        if resolve is not None:
            return _resolve(library, resolve)
        return _list(library, options, check=check)

    context.exit(run_with_settings(NAME, body))


def _resolve(library: ImageLibrary, name: str) -> int:
    """Print the file that a name stands for; all the rest is for people."""
    found = library.resolve(name)
    print(found.image.path, flush=True)
    print(f"{name}: {printable(found.why)}", file=sys.stderr)
    for loser in found.losers:
        print(printable(f"not {loser.path}: {loser.why}"), file=sys.stderr)
    return 0


def _list(library: ImageLibrary, options: ListOptions, *, check: bool) -> int:
    """Show, or check, the images that fit."""
    everything = catalogue(library)
    entries, in_vain = choose(everything, options.patterns, every=options.every)
    entries.sort(key=SORT_KEYS[options.sort], reverse=options.reverse)
    fine = True
    if check:
        fine = _check(entries)
    elif options.as_json:
        print(json.dumps([_as_object(entry) for entry in entries], indent=2))
    elif entries:
        columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        print("\n".join(render(entries, columns)))
    sys.stdout.flush()
    for pattern in in_vain:
        print(f"{NAME}: no image fits {printable(pattern)}", file=sys.stderr)
    if not everything:
        places = " or ".join(str(directory) for directory in library.directories)
        print(f"{NAME}: there are no images in {places}", file=sys.stderr)
    return 0 if fine and not in_vain else 1


def _check(entries: Sequence[Entry]) -> bool:
    """Read images whole, with a line for each; whether all are fine. A file is read once."""
    faults: dict[object, str | None] = {}
    fine = True
    for entry in entries:
        name = printable(entry.name)
        if entry.target is not None:
            name += f" -> {printable(entry.target)}"
        if entry.growing:
            print(f"SAVING {name}", flush=True)  # to be checked when it is there
            continue
        key = entry.file if entry.usable else entry.path
        if key not in faults:
            faults[key] = fault_of(entry)
        fault = faults[key]
        fine = fine and fault is None
        if fault is not None:
            print(f"BROKEN {name}: {printable(fault)}", flush=True)
        elif entry.sidecar_state is SidecarState.MISSING:
            print(f"OK {name} (no sidecar to compare with)", flush=True)
        else:
            print(f"OK {name}", flush=True)
    return fine


def _as_object(entry: Entry) -> dict[str, object]:
    """The keys that the help promises."""
    sidecar = entry.sidecar
    return {
        "name": entry.name,
        "kind": entry.kind,
        "path": str(entry.path),
        "file": str(entry.file),
        "private": entry.private,
        "target": entry.target,
        "aliases": list(entry.aliases),
        "size": entry.size,
        "covered_bytes": entry.covered_bytes,
        "minimum_disk_size": entry.minimum_disk_size,
        "date": f"{entry.date:%Y-%m-%dT%H:%M:%SZ}" if entry.date else None,
        "node": sidecar and sidecar.node,
        "author": sidecar and sidecar.user,
        "comment": sidecar and sidecar.comment,
        "parent": sidecar and sidecar.parent,
        "sha256": sidecar and sidecar.sha256,
        "sidecar": entry.sidecar_state,
        "growing": entry.growing,
        "problem": entry.problem,
    }
