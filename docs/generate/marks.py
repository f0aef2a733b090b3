"""Which words of a text are to be typed as they stand: commands, options, settings, files."""

import re
from collections.abc import Iterator
from enum import Enum, auto

TYPED = re.compile(
    r"""
      ``(?P<double>[^`]+)`` | `(?P<single>[^`]+)`
    | (?<![\w/-])--[a-z][a-z-]*                     # --option
    | (?<![\w/-])-[a-zA-Z0-9](?![\w-])              # -o
    | \$[A-Z][A-Z0-9_]*                             # $VARIABLE
    | \bimaging-[a-z]+\b
    | \[[a-z_]+\](?:[ ][a-z_]+\b)?                  # [section] key
    | \b[a-z0-9]+(?:_[a-z0-9]+)+\b                  # a_key
    | (?<![\w/~.])(?:~|\.{1,2})?/[\w.<>/-]*[\w>]    # /a/file
    | \b[A-Z]+\.(?:json|xml|ndz)\b                  # NAME.json
    | \b\d{4}-\d\d-\d\dT\d\d:\d\d\b | \b\d\d:\d\d\b | (?<!\S)\+\d+h\w*   # times
    | (?:~\d+(?:-\d+)?|\b[a-z]*\d+-[a-z]*\d+)(?:[ ]~?[a-z]*\d+(?:-[a-z]*\d+)?)*\b  # 1-12 ~4-6
    | (?<!\S)~(?=[ ]removes) | (?<!\S)-(?=[ ]is[ ])
    """,
    re.VERBOSE,
)


class Mark(Enum):
    """What a piece of text is."""

    PROSE = auto()
    TYPED = auto()
    FILLED = auto()
    """A name that stands for what the user fills in."""


def pieces(text: str, names: frozenset[str] = frozenset()) -> Iterator[tuple[Mark, str]]:
    """The pieces of a text, where ``names`` are those that the user fills in."""
    end = 0
    for found in TYPED.finditer(text):
        yield from _filled(text[end : found.start()], names)
        yield Mark.TYPED, found["double"] or found["single"] or found[0]
        end = found.end()
    yield from _filled(text[end:], names)


def _filled(text: str, names: frozenset[str]) -> Iterator[tuple[Mark, str]]:
    """The pieces of a text in which nothing is typed."""
    for word in re.split(r"(\b[A-Z][A-Z_]+\b)", text):
        if word:
            yield (Mark.FILLED if word in names else Mark.PROSE), word


def names_in(forms: str) -> frozenset[str]:
    """The names to be filled in of a synopsis, or of an option."""
    return frozenset(re.findall(r"\b[A-Z][A-Z_]+\b", forms)) - {"OPTIONS", "ARGS"}
