"""The settings as values: each with its default, its unit and limits, and its meaning."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files

import msgspec.inspect
from msgspec.inspect import (
    Field,
    FloatType,
    IntType,
    LiteralType,
    NoneType,
    StrType,
    Type,
    UnionType,
)

from imaging.site.effective import effective_values
from imaging.site.schema import Settings

UNITS = {
    "_s": "seconds",
    "_mibps": "Mibit/s",
    "_days": "days",
    "_mib": "MiB",
    "_per_s": "per second",
}
"""What the names of settings end in; the longest ending counts."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting; ``default`` is as a file has it, ``kind`` says unit and limits in words."""

    section: str
    key: str
    default: str
    kind: str
    meaning: str


def all_settings() -> tuple[Setting, ...]:
    """Every setting, in the order of the schema."""
    meanings = dict(_meanings())
    kinds = {
        (section.encode_name, field.encode_name): field
        for section in _fields(msgspec.inspect.type_info(Settings))
        for field in _fields(section.type)
    }
    return tuple(
        Setting(
            section=value.section,
            key=value.key,
            default=value.text,
            kind=_kind(value.key, kinds[value.section, value.key]),
            meaning=meanings[value.section, value.key],
        )
        for value in effective_values(Settings(), defaultdict(str))
    )


def _fields(kind: Type) -> tuple[Field, ...]:
    assert isinstance(kind, msgspec.inspect.StructType)
    return kind.fields


def _meanings() -> Iterator[tuple[tuple[str, str], str]]:
    """What the comments of the packaged file say of each key; one is for all keys below it."""
    comment: list[str] = []
    section, is_open = "", False
    for line in (files("imaging.site") / "imaging.conf").read_text("utf-8").splitlines():
        if line.startswith("#"):
            comment = [*(comment if is_open else ()), line.removeprefix("#").strip()]
        elif line.startswith("["):
            section = line.strip("[]")
        elif "=" in line:
            yield (section, line.partition("=")[0].strip()), " ".join(comment)
        is_open = line.startswith("#")


def _kind(key: str, field: Field) -> str:
    """The unit and the limits of a setting, in words."""
    kind = field.type
    if isinstance(kind, msgspec.inspect.Metadata):
        kind = kind.type
    if isinstance(kind, UnionType):
        (kind,) = (part for part in kind.types if not isinstance(part, NoneType))
    words = [_noun(key, kind), *_limits(kind)]
    return ", ".join(word for word in words if word)


def _noun(key: str, kind: Type) -> str:
    if isinstance(kind, LiteralType):
        return ", ".join(f"`{value}`" for value in kind.values)
    endings = sorted((ending for ending in UNITS if key.endswith(ending)), key=len)
    if endings and isinstance(kind, IntType | FloatType):
        return UNITS[endings[-1]]
    if isinstance(kind, IntType):
        return "number"
    return "text" if isinstance(kind, StrType) else "path"


def _limits(kind: Type) -> Iterator[str]:
    if not isinstance(kind, IntType | FloatType):
        return
    if kind.ge is not None and kind.le is not None:
        yield f"{kind.ge:.15g} to {kind.le:.15g}"
    elif kind.gt is not None and kind.le is not None:
        yield f"more than {kind.gt:g}, up to {kind.le:.15g}"
