"""The one way every command runs: its foreseeable errors are told in a line, with an exit code.

``run`` is for commands that only read, ``run_with_settings`` for those that do not even need the
inventory. What works on nodes is run by ``imaging.cli.runs``, in the same way. They all return the
exit code: 0 when all went fine for all subject nodes, 1 for anything that went wrong with them, 2
for what was found wrong before any node was touched.
"""

import errno
import sys
from collections.abc import Callable

import msgspec

from imaging.cli.streams import StandardOutput, prepare_streams
from imaging.errors import ImagingError, first_leaf
from imaging.site.inventory import Inventory, load_inventory
from imaging.site.schema import Settings
from imaging.site.settings import LoadedSettings, load_settings

OUTPUT_ERRORS = (errno.EPIPE, errno.ENOSPC, errno.EIO)  # of a print(), which names no file


class Site(msgspec.Struct, frozen=True):
    """What is known before anything happens: settings and inventory."""

    settings: Settings
    inventory: Inventory


def reporting(command: str, body: Callable[[], int]) -> int:
    """Run a command's body, and tell its foreseeable errors in one line each."""
    prepare_streams()
    output = StandardOutput(command)
    try:
        code = body()
        output.flush()
        return 1 if output.failed else code
    except ImagingError as error:
        print(f"{command}: {error}", file=sys.stderr)
        return error.exit_code
    except BaseExceptionGroup as group:
        ours, others = group.split(ImagingError)
        if ours is None or others is not None:
            raise
        print(f"{command}: {first_leaf(ours)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{command}: interrupted", file=sys.stderr)
        return 1
    except OSError as error:
        if error.filename is not None or error.errno not in OUTPUT_ERRORS:
            raise
        output.give_up(error)
        return 1


def run(command: str, body: Callable[[Site], int]) -> int:
    """Run a command that needs the site's settings and inventory."""

    def with_site() -> int:
        settings = load_settings().settings
        return body(Site(settings, load_inventory(settings.inventory.file)))

    return reporting(command, with_site)


def run_with_settings(command: str, body: Callable[[LoadedSettings], int]) -> int:
    """Run a command that needs the settings only: it works when the inventory does not."""
    return reporting(command, lambda: body(load_settings()))
