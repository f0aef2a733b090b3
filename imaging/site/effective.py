"""The effective settings as a flat list: each value with its origin, secrets masked. Pure."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import get_type_hints

import msgspec

from imaging.errors import ConfigurationError
from imaging.site.setting_types import MASK, is_secret


class EffectiveValue(msgspec.Struct, frozen=True):
    """One setting; the value is as JSON would have it."""

    section: str
    key: str
    value: str | int | float | bool | None
    origin: str

    @property
    def name(self) -> str:
        """``section.key``."""
        return f"{self.section}.{self.key}"

    @property
    def text(self) -> str:
        """The value as a settings file would have it."""
        match self.value:
            case None:
                return ""
            case bool():
                return str(self.value).lower()
            case float():
                return f"{self.value:.15g}"
            case _:
                return str(self.value)


def effective_values(
    settings: msgspec.Struct, origins: Mapping[str, str]
) -> tuple[EffectiveValue, ...]:
    """Every value of every section, in the schema's order.

    A secret is masked, but for an empty one: that none is set is worth knowing.
    """
    found = []
    for section in settings.__struct_fields__:
        values = getattr(settings, section)
        kinds = get_type_hints(type(values), include_extras=True)
        for key in values.__struct_fields__:
            value = getattr(values, key)
            if value and is_secret(kinds[key]):
                value = MASK
            elif isinstance(value, Path):
                value = str(value)
            found.append(EffectiveValue(section, key, value, origins[f"{section}.{key}"]))
    return tuple(found)


def choose_values(
    values: Sequence[EffectiveValue], words: Sequence[str]
) -> tuple[EffectiveValue, ...]:
    """Those that the words mean, each ``SECTION`` or ``SECTION.KEY``; all when there is none.

    Raises ConfigurationError for a word that is neither, with the nearest that is.
    """
    for word in words:
        if not any(word in (value.section, value.name) for value in values):
            raise _unknown(word, values)
    return tuple(
        value for value in values if not words or value.section in words or value.name in words
    )


def _unknown(word: str, values: Sequence[EffectiveValue]) -> ConfigurationError:
    sections = list(dict.fromkeys(value.section for value in values))
    near = [value.name for value in values if value.key == word]  # the section was forgotten
    if not near:
        names = [value.name for value in values]
        import difflib  # only for who has mistyped

        near = difflib.get_close_matches(word, [*sections, *names], n=1)
    hint = f"did you mean {' or '.join(near)}?" if near else f"sections are {', '.join(sections)}"
    return ConfigurationError(f"{word!r} is no section and no key of the settings", hint=hint)
