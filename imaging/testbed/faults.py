"""What can be wrong with a virtual node: one table, and the text of ``faults.json``. Pure.

The file says which node misbehaves, in which kind of its behaviour, how, and how many times::

    {"fit03": {"cmc": "hang"}, "fit04": {"cmc": "ignore-reset*2+http-500", "telnet": "silent"}}

Of what ``+`` joins, each acts where it can, the first one first; ``*2`` acts twice and is gone.
"""

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from imaging.errors import ConfigurationError

TIMES_LIMIT = 1_000_000
SECONDS_LIMIT = 86400


@dataclass(frozen=True, slots=True)
class Argument:
    """The number after the colon: whole, or seconds; it must be given when there is no default."""

    name: str
    lowest: float
    highest: float
    default: float | None = None
    whole: bool = True


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong; ``times`` is None when it always does."""

    word: str
    argument: float | None = None
    times: int | None = None

    def __str__(self) -> str:
        argument = "" if self.argument is None else f":{self.argument:.16g}"
        return f"{self.word}{argument}" + ("" if self.times is None else f"*{self.times}")


Faults = Mapping[str, Mapping[str, tuple[Fault, ...]]]
"""By node and kind."""

_SECONDS = Argument("SECONDS", 0, SECONDS_LIMIT, whole=False)
_STATUS = Argument("STATUS", 1, 255, default=1)

KINDS: Mapping[str, Mapping[str, tuple[str, Argument | None]]] = {
    "cmc": {
        "refuse": ("the connection is reset as soon as it is made", None),
        "hang": ("the request is taken and never answered", None),
        "late": ("the request is obeyed, and answered seconds later", _SECONDS),
        "garbage": ("binary noise instead of HTTP", None),
        "http-500": ("the request is not obeyed, the answer is HTTP 500", None),
        "slow-drip": ("the answer comes a byte every half second", None),
        "wrong-status": ("the answer to status is `maybe`", None),
        "ignore-reset": ("says ok to reset, and does nothing", None),
        "ignore-on": ("says ok to on, and does nothing", None),
        "ignore-off": ("says ok to off, and does nothing", None),
    },
    "boot": {
        "never": ("the machine stays in its firmware", None),
        "old-system": ("the disk is booted in spite of the nextboot link", None),
        "slow": ("the boot takes seconds more", _SECONDS),
        "old-ramdisk": ("what boots says that it is up since a day, as if never reset", None),
    },
    "telnet": {
        "silent": ("the connection is made, and nothing is ever said", None),
        "no-negotiation": ("telnet asks its questions and never goes on to a shell", None),
        "login": ("a login: prompt that lets nobody in", None),
        "drop": ("the connection is closed midway in the client's or imagezip's work", None),
        "drop-after": (
            "the connection is closed when so much was sent",
            Argument("BYTES", 0, 1 << 40),
        ),
        "flood": ("endless text", None),
        "garbage": ("binary noise, telnet commands included", None),
    },
    "disk": {
        "missing": ("there is no disk", None),
        "small": ("the disk has this size", Argument("BYTES", 512, 1 << 50)),
        "error": ("I/O error when half of it is written or read", None),
    },
    "client": {
        "missing": ("there is no frisbee client: status 127", None),
        "fail": ("ends midway with last words and this status", _STATUS),
        "stall": ("makes no progress any more midway, and stays", None),
        "old-dialect": ("says `Progress: N%` on standard output, as OMF's client does", None),
        "garbage": ("prints binary noise, then works", None),
        "garbage-fail": ("prints binary noise, then ends with this status", _STATUS),
        "killed": ("dies of SIGKILL midway", None),
    },
    "ssh": {
        "refuse": ("the connection is reset as soon as it is made", None),
        "hang": ("the connection is made, and nothing is ever said", None),
        "wrong-key": ("no key is accepted", None),
        "closes": ("the connection is closed after the login", None),
        "garbage": ("binary noise instead of ssh", None),
    },
    "power": {
        "cut": ("the power goes midway in the client's or imagezip's work, without a FIN", None),
    },
    "imagezip": {
        "fail": ("ends midway with last words and this status", _STATUS),
        "slow": ("the image takes so many seconds", replace(_SECONDS, default=3)),
        "truncated": ("the image ends within its last chunk, the status is 0", None),
        "corrupted": ("some bytes of the image are flipped, the status is 0", None),
        "silent": ("nothing is sent, and it does not end", None),
    },
    "leases": {
        "down": ("the connection is reset as soon as it is made", None),
        "hang": ("the request is taken and never answered", None),
        "slow": ("the answer comes seconds later", _SECONDS),
        "http-500": ("the request is not obeyed, the answer is HTTP 500", None),
        "garbage": ("binary noise instead of HTTP", None),
        "no-json": ("a page of a proxy instead of JSON", None),
        "flood": ("an answer that never ends", None),
        "redirect": ("the answer is a redirect to another service", None),
        "redirect-nonsense": ("the answer is a redirect to what is no host", None),
        "expired-token": ("every token has expired; a login gives a new one", None),
        "wrong-types": ("the leases have texts for numbers", None),
        "no-zone": ("the times of the leases have no zone", None),
        "pages": ("the leases come in pages of so many", Argument("LEASES", 1, 1000)),
    },
}
"""What can go wrong, by kind and word: what it means, and its argument."""

NOT_SIMULATED: Mapping[str, frozenset[str]] = {
    "telnet": frozenset({"drop-after"}),
    "disk": frozenset({"error"}),
    "client": frozenset({"old-dialect", "garbage", "garbage-fail"}),
    "imagezip": frozenset(KINDS["imagezip"]),
}
"""What simulated nodes cannot do, by kind: their ramdisks have no processes."""

SITE_KINDS = ("leases",)
SITE = "testbed"
"""These kinds are not of a node, but of the whole testbed, whose name stands for a node's."""

SERVERS: Mapping[str, str] = {
    "frisbeed-refuses-port": "every port is taken: exit status 98",
    "frisbeed-silent": "never says that it is ready",
    "frisbeed-ignores": "says that it is ready, and answers no client",
    "frisbeed-hangs": "serves slowly, and stops midway without ending",
    "frisbeed-dies": "serves slowly, and ends midway with last words and status 1",
}
"""Frisbee servers that fail, for ``[multicast] server``: scripts in the testbed's faults/."""

_FAULT = re.compile(r"([a-z0-9-]+)(?::([0-9.]{1,20}))?(?:\*([0-9]{1,7}))?")
_NODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


def spelling(word: str, argument: Argument | None) -> str:
    """How a fault is written, as the table has it."""
    if argument is None:
        return word
    return f"{word}:{argument.name}" if argument.default is None else f"{word}[:{argument.name}]"


def parse_what(kind: str, text: str) -> tuple[Fault, ...]:
    """The faults of one kind, in order. Raises ConfigurationError."""
    if kind not in KINDS:
        raise ConfigurationError(f"no kind of fault is {kind!r}", hint=f"one of {', '.join(KINDS)}")
    return tuple(_parse_fault(kind, part.strip()) for part in text.split("+"))


def _parse_fault(kind: str, text: str) -> Fault:
    words = KINDS[kind]
    found = _FAULT.fullmatch(text)
    if found is None or found[1] not in words:
        known = ", ".join(spelling(word, argument) for word, (_, argument) in words.items())
        raise ConfigurationError(f"{kind} cannot be {text!r}", hint=f"one of {known}")
    word, number, times = found.groups()
    if times is not None and not 1 <= int(times) <= TIMES_LIMIT:
        raise ConfigurationError(f"{kind} {text!r}: must act once to {TIMES_LIMIT} times")
    argument = words[word][1]
    if argument is None and number is not None:
        raise ConfigurationError(f"{kind} {text!r}: {word} takes no argument")
    value = None if argument is None else _parse_argument(f"{kind} {text!r}", argument, number)
    return Fault(word, value, None if times is None else int(times))


def _parse_argument(where: str, argument: Argument, text: str | None) -> float:
    if text is None:
        if argument.default is None:
            raise ConfigurationError(f"{where}: needs :{argument.name}")
        return argument.default
    try:
        value = int(text) if argument.whole else float(text)
    except ValueError:
        raise ConfigurationError(f"{where}: {text} must be a number of {argument.name}") from None
    if not argument.lowest <= value <= argument.highest:
        span = f"{argument.lowest:.15g} to {argument.highest:.15g}"
        raise ConfigurationError(f"{where}: {argument.name} must be {span}")
    return value


def parse_faults(data: bytes) -> Faults:
    """Read the text of ``faults.json``. Raises ConfigurationError."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"faults: not JSON: {error}") from None
    if not isinstance(document, dict):
        raise ConfigurationError("faults: must be an object with a member per node")
    return {node: _parse_node(node, kinds) for node, kinds in document.items()}


def _parse_node(node: str, kinds: object) -> dict[str, tuple[Fault, ...]]:
    if not _NODE.fullmatch(node):
        raise ConfigurationError(f"faults: {node[:80]!r} is not the name of a node")
    if not isinstance(kinds, dict):
        raise ConfigurationError(f"faults: {node}: must be an object with a member per kind")
    found = {}
    for kind, what in kinds.items():
        if not isinstance(what, str):
            raise ConfigurationError(f"faults: {node}: {kind}: must be a string")
        try:
            found[kind] = parse_what(kind, what)
        except ConfigurationError as error:
            raise ConfigurationError(f"faults: {node}: {error.message}", hint=error.hint) from None
    return found


def format_what(faults: tuple[Fault, ...]) -> str:
    """The faults of one kind as they are written."""
    return "+".join(map(str, faults))


def format_faults(faults: Faults) -> bytes:
    """The text of ``faults.json``, a line per node."""
    rows = [
        f" {json.dumps(node)}: "
        + json.dumps({kind: format_what(what) for kind, what in kinds.items()})
        for node, kinds in faults.items()
    ]
    return ("{\n" + ",\n".join(rows) + "\n}\n" if rows else "{}\n").encode()


def find(faults: Faults, node: str, kind: str, among: Collection[str]) -> Fault | None:
    """The first fault of a node's kind that is one of these words."""
    for fault in faults.get(node, {}).get(kind, ()):
        if fault.word in among:
            return fault
    return None


def count_down(faults: Faults, node: str, kind: str, fault: Fault) -> Faults:
    """The faults that are left after this one has acted."""
    if fault.times is None:
        return faults
    left = [] if fault.times == 1 else [replace(fault, times=fault.times - 1)]
    what = list(faults[node][kind])
    place = what.index(fault)
    what[place : place + 1] = left
    return with_kind(faults, node, kind, tuple(what))


def with_kind(faults: Faults, node: str, kind: str, what: tuple[Fault, ...]) -> Faults:
    """The faults with another kind of a node's; nothing of it when ``what`` is empty."""
    kinds = {name: value for name, value in faults.get(node, {}).items() if name != kind}
    if what:
        kinds[kind] = what
    others = {name: value for name, value in faults.items() if name != node}
    return {**others, node: kinds} if kinds else others


def table_lines() -> list[str]:
    """The table as the manual and ``--kinds`` have it: Markdown."""
    lines = ["| kind | fault | what happens |", "|---|---|---|"]
    for kind, words in KINDS.items():
        for word, (meaning, argument) in words.items():
            lines.append(f"| `{kind}` | `{spelling(word, argument)}` | {meaning} |")
    return lines


def server_lines() -> list[str]:
    """The servers that fail, as the manual has them: Markdown."""
    rows = [f"| `faults/{name}` | {meaning} |" for name, meaning in SERVERS.items()]
    return ["| `[multicast] server` | what happens |", "|---|---|", *rows]
