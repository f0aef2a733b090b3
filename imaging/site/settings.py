"""Loading the settings: packaged defaults, then three layers of files.

Within a file, ``key.HOST`` beats ``key`` on that host; a later file beats both. The layers are
``/etc/imaging.conf``, ``~/.imaging.conf`` and ``./imaging.conf``; each needs to hold only what it
changes. ``$IMAGING_CONF`` names one file that replaces the three. Where root runs a command for
somebody to whom ``/etc/imaging.conf`` gives no rights of root's, that file alone counts: all else
is of the caller's choosing.
"""

import os
import stat
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import get_type_hints

import msgspec

from imaging.errors import ConfigurationError
from imaging.site.ini import Entry, parse_ini
from imaging.site.inventory import open_nonblocking
from imaging.site.schema import Settings
from imaging.site.setting_types import MASK, is_secret
from imaging.site.user import is_restricted

SYSTEM_FILE = Path("/etc/imaging.conf")
SIZE_LIMIT = 1024 * 1024  # bytes; no honest settings file is larger
DEFAULT_ORIGIN = "default"
FILES = "settings are read from /etc, your home and here, or else from $IMAGING_CONF"

_QUOTES = "\"'"


class LoadedSettings(msgspec.Struct, frozen=True):
    """The effective settings, and where each ``section.key`` comes from (``file:line``)."""

    settings: Settings
    origins: Mapping[str, str]


def load_settings(
    *,
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
    home: Path | None = None,
    system_file: Path = SYSTEM_FILE,
    hostname: str | None = None,
    user_id: int | None = None,
) -> LoadedSettings:
    """Read all layers; what is not given is taken from the process and its host.

    Raises ConfigurationError naming file and line.
    """
    environment = os.environ if environment is None else environment
    user_id = os.geteuid() if user_id is None else user_id
    hostname = os.uname().nodename if hostname is None else hostname
    if user_id == 0 and environment.get("SUDO_USER") and os.path.lexists(system_file):
        site = _load([system_file], hostname, user_id)
        if is_restricted(site.settings.leases.privileged_logins, environment, user_id):
            return site
    named = environment.get("IMAGING_CONF")
    if named:
        return _load([Path(named)], hostname, user_id)
    try:
        home = home or Path.home()
    except RuntimeError:
        home = None  # no HOME and no such user: as if the file did not exist
    layers = [system_file, home and home / ".imaging.conf", directory_file(directory)]
    present = [layer for layer in layers if layer is not None and os.path.lexists(layer)]
    return _load(present, hostname, user_id)


def _load(files: Iterable[Path], hostname: str, user_id: int) -> LoadedSettings:
    chosen: dict[tuple[str, str], Entry] = {}
    bases: dict[tuple[str, str], Path] = {}
    for file in files:
        for entry in _effective(parse_ini(_read(file, user_id), str(file)), hostname):
            _check_known(entry)
            chosen[entry.section, entry.key] = entry
            bases[entry.section, entry.key] = file.absolute().parent
    return _build(chosen, bases)


def directory_file(directory: Path | None) -> Path:
    """The settings file of a directory; the current one when None.

    Raises ConfigurationError when that one is gone.
    """
    try:
        return (directory or Path.cwd()) / "imaging.conf"
    except FileNotFoundError as error:
        raise ConfigurationError("the current directory is gone", hint="cd elsewhere") from error


def _read(file: Path, user_id: int) -> str:
    """The text of a settings file, unless somebody else could have written it."""
    try:
        with open(file, "rb", opener=open_nonblocking) as stream:
            status = os.fstat(stream.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise ConfigurationError(f"{file}: is not a regular file", hint=FILES)
            if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                raise ConfigurationError(
                    f"{file}: others may write it, so it is not read", hint=f"chmod go-w {file}"
                )
            if status.st_uid not in (0, user_id):
                raise ConfigurationError(
                    f"{file}: belongs to uid {status.st_uid}, so it is not read",
                    hint="settings must belong to root or to you",
                )
            data = stream.read(SIZE_LIMIT + 1)
    except OSError as error:
        raise ConfigurationError(f"{file}: cannot be read: {error.strerror}", hint=FILES) from error
    if len(data) > SIZE_LIMIT:
        raise ConfigurationError(f"{file}: is larger than {SIZE_LIMIT} bytes", hint=FILES)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ConfigurationError(f"{file}:{line}: is not UTF-8 text") from error


def _effective(entries: Iterable[Entry], hostname: str) -> list[Entry]:
    """The entries of one file for this host: ``key.HOST`` beats ``key``; others' are dropped."""
    hostname = hostname.lower()
    names = (hostname, hostname.partition(".")[0])
    plain, specific = [], []
    for entry in entries:
        if entry.host is None:
            plain.append(entry)
        else:
            _check_known(entry)
            if entry.host.lower() in names:
                specific.append(entry)
    specific.sort(key=lambda entry: len(entry.host or ""))  # the full name beats the short one
    return plain + specific


def _check_known(entry: Entry) -> None:
    """Refuse an unknown section or key, with the nearest known one."""
    sections = {field.name: field.type for field in msgspec.structs.fields(Settings)}
    if entry.section not in sections:
        raise ConfigurationError(
            f"{entry.origin}: unknown section [{entry.section}]{_nearest(entry.section, sections)}"
        )
    keys = sections[entry.section].__struct_fields__
    if entry.key not in keys:
        raise ConfigurationError(
            f"{entry.origin}: unknown key {entry.key!r} in [{entry.section}]"
            f"{_nearest(entry.key, keys)}"
        )


def _nearest(word: str, known: Iterable[str]) -> str:
    import difflib  # only for who has mistyped

    near = difflib.get_close_matches(word, list(known), n=1)
    asked = f"; did you mean {near[0]!r}?" if near else ""
    return f"{asked}; known are {', '.join(sorted(known))}"


def _build(
    chosen: Mapping[tuple[str, str], Entry], bases: Mapping[tuple[str, str], Path]
) -> LoadedSettings:
    """Convert the texts, a section at a time, to the schema's types."""
    changed = {name for name, _ in chosen}
    sections: dict[str, msgspec.Struct] = {}
    origins: dict[str, str] = {}
    for section in msgspec.structs.fields(Settings):
        defaults = section.default
        values: dict[str, object] = {}
        types = get_type_hints(section.type) if section.name in changed else {}
        for key in section.type.__struct_fields__:
            entry = chosen.get((section.name, key))
            origins[f"{section.name}.{key}"] = entry.origin if entry else DEFAULT_ORIGIN
            if entry is not None:
                base = bases[section.name, key]
                values[key] = _convert(entry, types[key], section.type, base)
        try:
            sections[section.name] = msgspec.structs.replace(defaults, **values)
        except ValueError as error:
            entry = chosen.get((section.name, str(error).partition(":")[0]))
            place = entry.origin if entry else DEFAULT_ORIGIN
            raise ConfigurationError(f"{place}: [{section.name}] {error}") from error
    return LoadedSettings(Settings(**sections), origins)  # type: ignore[arg-type]


def _convert(entry: Entry, kind: object, struct: type[msgspec.Struct], base: Path) -> object:
    """One text as its type; paths are relative to the directory of their file."""
    value = entry.value
    annotation = struct.__annotations__[entry.key]
    shown = MASK if is_secret(annotation) else value
    if len(value) > 1 and value[0] in _QUOTES and value[0] == value[-1]:
        raise ConfigurationError(
            f"{entry.origin}: {entry.key} = {shown}: quotes would be part of the value",
            hint="remove them",
        )
    if "\0" in value:
        raise ConfigurationError(f"{entry.origin}: {entry.key} holds a NUL byte")
    if any(unicodedata.category(char) == "Cc" for char in value):
        # some values are typed at a terminal, where no quotes protect them
        raise ConfigurationError(f"{entry.origin}: {entry.key} holds a control character")
    if kind in (Path, Path | None):
        if not value and kind is Path:
            raise ConfigurationError(f"{entry.origin}: {entry.key} is empty")
        if not value:
            return None
        try:
            return base / Path(value).expanduser()
        except RuntimeError as error:
            raise ConfigurationError(
                f"{entry.origin}: {entry.key} = {value}: there is no such user"
            ) from error
    try:
        return msgspec.convert(value, annotation, strict=False)
    except msgspec.ValidationError as error:
        from imaging.site.setting_words import wanted

        raise ConfigurationError(
            f"{entry.origin}: {entry.key} = {shown}: must be {wanted(annotation)}"
        ) from error
