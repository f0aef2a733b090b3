"""The settings' file format, with the line of every value: pure text in, entries out.

The standard library's configparser reads the same format but forgets the lines, and an error
that does not name its line sends the user searching.
"""

import re
from collections.abc import Iterator

import msgspec

from imaging.errors import ConfigurationError

_SECTION = re.compile(r"\[([^\[\]]+)\]")


class Entry(msgspec.Struct, frozen=True):
    """One line ``key = value`` and where it stands."""

    section: str
    key: str
    host: str | None
    value: str
    origin: str


def parse_ini(text: str, source: str) -> Iterator[Entry]:
    """Read sections, ``key = value``, ``key.HOST = value`` and full-line comments (# or ;).

    Raises ConfigurationError naming ``source`` and the line.
    """
    section: str | None = None
    seen: dict[tuple[str, str, str | None], int] = {}
    for number, raw in enumerate(text.split("\n"), start=1):  # lines as editors count them
        origin, line = f"{source}:{number}", raw.strip()
        if not line or line[0] in "#;":
            continue
        if line.startswith("["):
            found = _SECTION.fullmatch(line)
            if found is None:
                raise ConfigurationError(f"{origin}: {line!r} is not a section header")
            section = found[1].strip()
            continue
        key, equals, value = line.partition("=")
        if not equals or not key.strip():
            raise ConfigurationError(f"{origin}: {line!r} is not of the form key = value")
        if section is None:
            raise ConfigurationError(f"{origin}: {line!r} comes before any [section]")
        name, dot, host = key.strip().partition(".")
        if dot and not host:
            raise ConfigurationError(f"{origin}: {key.strip()!r} has no hostname after the dot")
        identity = (section, name, host or None)
        if identity in seen:
            raise ConfigurationError(
                f"{origin}: {key.strip()} is set a second time (first on line {seen[identity]})"
            )
        seen[identity] = number
        yield Entry(section, name, host or None, value.strip(), origin)
