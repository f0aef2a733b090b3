"""The inventory: which nodes there are, with the addresses of their interfaces and power cards.

JSON, a list of nodes; ``cmc`` is the power card, ``control`` the interface the node boots from,
``data`` is optional and not needed::

    [{"cmc":     {"hostname": "reboot01", "ip": "192.168.1.1", "mac": "02:00:00:00:00:01"},
      "control": {"hostname": "fit01",    "ip": "192.168.3.1", "mac": "00:03:1d:0e:03:19"}}]

``cmc`` may also have ``model``, how this card is spoken to when it is not as ``[power] model``
says; ``system``, the name of the node's system where a Redfish BMC has several, whose nodes share
its address; ``user`` and ``password_file``, who logs in on this BMC when it is not whom the
settings name. Other keys are errors: a misspelt one would be one that is not there.
"""

import ipaddress
import json
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import cast, get_args

import msgspec

from imaging.errors import ConfigurationError
from imaging.site.power_schema import BMC_USER, PowerModel

SIZE_LIMIT = 64 * 1024 * 1024  # bytes
_HOSTNAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}")
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
_NUMBERED = re.compile(r"(.*?)([0-9]{1,9})")
_INTERFACE_KEYS = ("hostname", "ip", "mac")
_KINDS = {
    "cmc": (*_INTERFACE_KEYS, "model", "system", "user", "password_file"),
    "control": _INTERFACE_KEYS,
    "data": _INTERFACE_KEYS,
}
"""The interfaces of a node, and what each may have."""


def split_name(name: str) -> tuple[str, int] | None:
    """What comes before the number that ends a name, and that number: fit and 4 for fit04."""
    found = _NUMBERED.fullmatch(name)
    return (found[1], int(found[2])) if found else None


def number_of(name: str) -> int | None:
    """The number that ends a name, if any: 4 for fit04."""
    found = split_name(name)
    return found[1] if found else None


class Interface(msgspec.Struct, frozen=True):
    """A network interface; the MAC is in lower case with colons."""

    hostname: str
    ip: str
    mac: str


class Node(msgspec.Struct, frozen=True):
    """A node: its own interface, its power card, and perhaps a data interface.

    ``model`` is how its card is spoken to, None what the settings say; ``system`` is which of the
    systems of a Redfish BMC it is, "" the only one. ``user`` and ``password_file`` are the login of
    this BMC alone; None is that of the settings.
    """

    control: Interface
    cmc: Interface
    data: Interface | None = None
    model: PowerModel | None = None
    system: str = ""
    user: str | None = None
    password_file: Path | None = None

    @property
    def name(self) -> str:
        """The node's name: its control interface's hostname."""
        return self.control.hostname

    @property
    def number(self) -> int | None:
        """The number that ends the name, if any: 4 for fit04."""
        return number_of(self.name)

    @property
    def prefix(self) -> str:
        """What comes before the number, in lower case: fit for fit04."""
        found = split_name(self.name)
        return (found[0] if found else self.name).lower()

    @property
    def hostnames(self) -> tuple[str, ...]:
        """All names that stand for this node."""
        names = [self.control.hostname, self.cmc.hostname]
        return (*names, self.data.hostname) if self.data else tuple(names)

    def as_row(self) -> dict[str, dict[str, str]]:
        """The node as the inventory's file has it."""
        interfaces = {"cmc": self.cmc, "control": self.control, "data": self.data}
        row = {
            kind: msgspec.structs.asdict(found)
            for kind, found in interfaces.items()
            if found is not None
        }
        row["cmc"] |= {"model": self.model} if self.model else {}
        row["cmc"] |= {"system": self.system} if self.system else {}
        row["cmc"] |= {"user": self.user} if self.user is not None else {}
        row["cmc"] |= {"password_file": str(self.password_file)} if self.password_file else {}
        return row


class Inventory:
    """All nodes of the site, by number and name, and the file they come from."""

    def __init__(self, nodes: tuple[Node, ...], path: Path | None = None) -> None:
        """Index the nodes; names have been checked to be unique."""
        self.nodes = nodes
        self.path = path
        self._by_name = {name.lower(): node for node in nodes for name in node.hostnames}
        self._by_number: dict[int, list[Node]] = {}
        for node in nodes:
            if node.number is not None:
                self._by_number.setdefault(node.number, []).append(node)

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes)

    def __len__(self) -> int:
        return len(self.nodes)

    def named(self, name: str) -> Node | None:
        """The node with this name, whichever of its interfaces it is; case does not matter."""
        return self._by_name.get(name.lower())

    def numbered(self, number: int) -> list[Node]:
        """The nodes with this number: one, in a site whose nodes share one prefix."""
        return self._by_number.get(number, [])

    def prefixed(self, prefix: str, number: int) -> Node | None:
        """The node that has an interface of this prefix and number, leading zeros or not."""
        for node in self.numbered(number) if prefix == "" else self.nodes:
            for name in node.hostnames:
                found = split_name(name)
                if found and (found[0].lower(), found[1]) == (prefix.lower(), number):
                    return node
        return None


def open_nonblocking(path: str, flags: int) -> int:
    """An ``opener``: opening a FIFO would otherwise wait for a writer, for ever."""
    return os.open(path, flags | os.O_NONBLOCK)


def load_inventory(path: Path) -> Inventory:
    """Read and check an inventory, whole. Raises ConfigurationError naming the place."""
    return parse_inventory(_read(path), path)


def inventory_problems(path: Path) -> tuple[int, list[str]]:
    """How many nodes an inventory has, and all that is wrong with it, each with its place.

    Raises ConfigurationError when it is no list of nodes at all.
    """
    reader = _reader(_read(path), path)
    return reader.rows, reader.problems


def _read(path: Path) -> bytes:
    try:
        with open(path, "rb", opener=open_nonblocking) as stream:
            regular = stat.S_ISREG(os.fstat(stream.fileno()).st_mode)
            data = stream.read(SIZE_LIMIT + 1) if regular else None
    except OSError as error:
        raise ConfigurationError(
            f"inventory {path}: cannot be read: {error.strerror}", hint="see [inventory] file"
        ) from error
    if data is None:
        raise ConfigurationError(f"inventory {path}: is not a regular file")
    if len(data) > SIZE_LIMIT:
        raise ConfigurationError(f"inventory {path}: is larger than {SIZE_LIMIT} bytes")
    return data


def parse_inventory(data: bytes, path: Path | None = None) -> Inventory:
    """Check an inventory's text. Raises ConfigurationError naming the place."""
    reader = _reader(data, path)
    if reader.problems:
        raise ConfigurationError(reader.problems[0])
    nodes = sorted(
        reader.nodes, key=lambda node: (node.number is None, node.number or 0, node.name)
    )
    return Inventory(tuple(nodes), path)


def _reader(data: bytes, path: Path | None) -> "_Reader":
    """Have all rows read. Raises ConfigurationError when there are none."""
    where = f"inventory {path or ''}".rstrip()
    try:
        rows = json.loads(data.decode())
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{where}: is not UTF-8 text (byte {error.start})") from error
    except json.JSONDecodeError as error:
        raise ConfigurationError(
            f"{where}:{error.lineno}: is not JSON: {error.msg} (column {error.colno})"
        ) from error
    except ValueError as error:  # json's own limit on the digits of a number
        raise ConfigurationError(f"{where}: holds a number too long to read") from error
    except RecursionError as error:
        raise ConfigurationError(f"{where}: is nested too deeply") from error
    if not isinstance(rows, list) or not rows:
        raise ConfigurationError(f"{where}: must be a list of at least one node")
    reader = _Reader(where, path.parent if path else Path())
    for row in rows:
        reader.read(row)
    return reader


class _Reader:
    """Reads the rows of an inventory; goes on behind what is wrong, to find all of it."""

    def __init__(self, where: str, directory: Path) -> None:
        self.rows = 0
        self.nodes: list[Node] = []
        self.problems: list[str] = []
        self._where = where
        self._directory = directory
        # where each name and address is, by the system of a BMC
        self._seen: dict[tuple[str, str], dict[str, str]] = {}

    def read(self, row: object) -> None:
        """One row: a node, or at least one problem."""
        place = f"[{self.rows}]"
        self.rows += 1
        if not isinstance(row, dict):
            self._report(f"{place} must be an object with control and cmc")
            return
        for key in row:
            if key not in _KINDS:
                self._report(f"{place}: unknown interface {key!r}")
        for kind in ("cmc", "control"):
            if kind not in row:
                self._report(f"{place}: lacks the interface {kind}")
        found = {
            kind: self._interface(row[kind], f"{place}.{kind}", _name_in(row))
            for kind in _KINDS
            if kind in row
        }
        control, cmc = found.get("control"), found.get("cmc")
        if control is not None and cmc is not None:
            card = row["cmc"]
            node = Node(
                control,
                cmc,
                found.get("data"),
                model=self._model(card, f"{place}.cmc"),
                system=self._system(card, f"{place}.cmc"),
                user=self._user(card, f"{place}.cmc"),
                password_file=self._password_file(card, f"{place}.cmc"),
            )
            self.nodes.append(node)

    def _report(self, problem: str) -> None:
        self.problems.append(f"{self._where}: {problem}")

    def _model(self, card: dict[str, object], place: str) -> PowerModel | None:
        model, known = card.get("model"), get_args(PowerModel)
        if model is not None and model not in known:
            self._report(f"{place}.model: {model!r} is none of {', '.join(known)}")
        return cast(PowerModel | None, model)

    def _system(self, card: dict[str, object], place: str) -> str:
        system = card.get("system", "")
        if not isinstance(system, str) or (system and not _HOSTNAME.fullmatch(system)):
            self._report(f"{place}.system: {system!r} is not the name of a system")
        return str(system)

    def _user(self, card: dict[str, object], place: str) -> str | None:
        user = card.get("user")
        if user is not None and not (isinstance(user, str) and BMC_USER.fullmatch(user)):
            self._report(f"{place}.user: {user!r} is not the name of a user")
        return cast(str | None, user)

    def _password_file(self, card: dict[str, object], place: str) -> Path | None:
        """A path is relative to the inventory's directory, as those of settings are to theirs."""
        file = card.get("password_file")
        if file is None:
            return None
        if not isinstance(file, str) or not file or "\0" in file:
            self._report(f"{place}.password_file: {file!r} is not the path of a file")
            return None
        return self._directory / file

    def _interface(self, value: object, place: str, node: str) -> Interface | None:
        if not isinstance(value, dict):
            self._report(f"{place} must be an object with hostname, ip and mac")
            return None
        known = _KINDS[place.rpartition(".")[2]]
        for key in value:
            if key not in known:
                self._report(
                    f"{place} of {node}: unknown key {key!r}, it may have {', '.join(known)}"
                )
        readers = {"hostname": _hostname, "ip": _address, "mac": _mac}
        texts: dict[str, str] = {}
        for key, reader in readers.items():
            text = value.get(key)
            if not isinstance(text, str):
                self._report(f"{place}.{key} must be a text")
                continue
            try:
                texts[key] = reader(text)
            except ValueError as error:
                self._report(f"{place}.{key}: {error}")
                continue
            # the systems of one BMC share its addresses
            system = value.get("system", "") if "system" in known and key != "hostname" else ""
            self._note(key, texts[key], f"{place}.{key}", str(system))
        return Interface(**texts) if len(texts) == len(readers) else None

    def _note(self, key: str, text: str, place: str, system: str) -> None:
        """Keep where something is, which may be there once, or once for each system."""
        earlier = self._seen.setdefault((key, text.lower()), {})
        if earlier and (system in earlier or not system or "" in earlier):
            first = earlier.get(system) or next(iter(earlier.values()))
            self._report(f"{place}: {text} is there already, at {first}")
        earlier.setdefault(system, place)


def _name_in(row: dict[str, object]) -> str:
    """The node's name, for messages about a row that may be wrong."""
    control = row.get("control")
    name = control.get("hostname") if isinstance(control, dict) else None
    return repr(name) if isinstance(name, str) else "a node without a name"


def _hostname(text: str) -> str:
    if not _HOSTNAME.fullmatch(text):
        raise ValueError(f"{text!r} is not a hostname")
    return text


def _address(text: str) -> str:
    try:
        return str(ipaddress.IPv4Address(text))
    except ValueError:
        raise ValueError(f"{text!r} is not an IPv4 address") from None


def _mac(text: str) -> str:
    mac = text.lower().replace("-", ":")
    if not _MAC.fullmatch(mac):
        raise ValueError(f"{text!r} is not a MAC address")
    return mac
