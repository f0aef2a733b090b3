"""What shells offer when a word is half typed: nodes, images, settings and files.

The shells ask by way of click, as ``completion_scripts`` has them do. They are told what settings,
inventory and directories say, and nothing where these are not in order: a command line that is
being typed is no place for errors. No node is asked.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from imaging.errors import ImagingError
from imaging.site.completion import complete_selection
from imaging.site.inventory import load_inventory
from imaging.site.schema import Settings
from imaging.site.settings import load_settings

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem  # of no use to a command that runs


def complete_nodes(
    _context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[str]:
    """A word of a selection."""
    try:
        inventory = load_inventory(load_settings().settings.inventory.file)
    except ImagingError:
        return []
    return complete_selection(incomplete, inventory)


def complete_image_names(
    _context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[str]:
    """The name of an image of the library."""
    from imaging.images.library import ImageLibrary

    try:
        library = ImageLibrary.of(load_settings().settings.images)
    except ImagingError:
        return []
    return _beginning_with(incomplete, library.names())


def complete_images(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> "list[str] | list[CompletionItem]":
    """The name of an image; what has a slash is a path."""
    if "/" in incomplete:
        return complete_files(context, parameter, incomplete)
    return complete_image_names(context, parameter, incomplete)


def complete_files(
    _context: click.Context, _parameter: click.Parameter, incomplete: str
) -> "list[CompletionItem]":
    """Any file: the shell knows them best."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(incomplete, type="file")]


def complete_settings(
    _context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[str]:
    """A section of the settings; with its dot, its keys."""
    sections = Settings.__struct_fields__
    if "." not in incomplete:
        return _beginning_with(incomplete, sections)
    defaults = Settings()
    keys = (
        f"{name}.{key}" for name in sections for key in getattr(defaults, name).__struct_fields__
    )
    return _beginning_with(incomplete, keys)


def _beginning_with(incomplete: str, words: Iterable[str]) -> list[str]:
    return [word for word in words if word.startswith(incomplete)]
