"""What scripts read, as values: the JSON Schemas taken apart."""

import inspect
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from imaging.errors import Reason
from imaging.feedback.events import Event
from imaging.feedback.outcomes import Step
from imaging.feedback.scripts.schemas import events_schema, report_schema
from imaging.monitor.observations import Power, Ramdisk, Ssh
from imaging.monitor.schema import monitor_schema
from imaging.monitor.testbed import Condition

Schema = Mapping[str, Any]
REFERENCE = "#/$defs/"
# in the order in which they are meant, which a schema has not
WORDS: Mapping[str, Iterable[str]] = {
    kind.__name__: kind for kind in (Condition, Power, Ramdisk, Reason, Ssh, Step)
}
NOUNS = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
}


@dataclass(frozen=True, slots=True)
class Member:
    """One field of an object: its type in words, ``[Name]`` where that is another object."""

    name: str
    kind: str


@dataclass(frozen=True, slots=True)
class Shape:
    """One type of object, or of words; ``event`` is the word of a line, "" for what is inside."""

    name: str
    event: str
    description: str
    members: tuple[Member, ...]
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Format:
    """All that one schema describes, what comes first being first."""

    title: str
    shapes: tuple[Shape, ...]


def report_format() -> Format:
    """The report of a run."""
    return _format(json.loads(report_schema()))


def events_format() -> Format:
    """The lines of ``--events``."""
    return _format(json.loads(events_schema()))


def monitor_format() -> Format:
    """The lines of the monitor's ``--events``."""
    return _format(json.loads(monitor_schema()))


def untold_events() -> tuple[tuple[str, str], ...]:
    """The events that have no line: their words, and what they are."""
    told = {shape.event for shape in events_format().shapes}
    documents = ((kind.__name__, inspect.getdoc(kind) or "") for kind in get_args(Event))
    found = {_kebab(name): text.partition("\n\n")[0] for name, text in documents}
    return tuple((word, text) for word, text in found.items() if word not in told)


def _kebab(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", name).lower()


def _format(schema: Schema) -> Format:
    definitions: Mapping[str, Schema] = schema["$defs"]
    events = {
        place.removeprefix(REFERENCE): word
        for word, place in schema.get("discriminator", {}).get("mapping", {}).items()
    }
    first = list(events) or [schema["$ref"].removeprefix(REFERENCE)]
    order = [*first, *(name for name in definitions if name not in first)]
    return Format(
        schema["title"],
        tuple(_shape(name, events.get(name, ""), definitions[name]) for name in order),
    )


def _shape(name: str, event: str, schema: Schema) -> Shape:
    members = [Member(key, _kind(part)) for key, part in schema.get("properties", {}).items()]
    return Shape(
        name=name,
        event=event,
        description=schema.get("description", ""),
        members=tuple(member for member in members if not (event and member.name == "event")),
        words=tuple(WORDS.get(name, schema.get("enum", ()))),
    )


def _kind(schema: Schema) -> str:
    """A type in words."""
    return ", or ".join(_kinds(schema))


def _kinds(schema: Schema) -> Iterator[str]:
    if "anyOf" in schema:
        for part in schema["anyOf"]:
            yield from _kinds(part)
    elif "$ref" in schema:
        yield f"[{schema['$ref'].removeprefix(REFERENCE)}]"
    elif "enum" in schema:
        yield from (f"`{word}`" for word in schema["enum"])
    elif schema["type"] == "null":
        yield "null"
    elif schema["type"] == "array":
        yield f"list of {_kind(schema['items'])}"
    elif schema["type"] == "object":
        yield f"object, each value a {_kind(schema['additionalProperties'])}"
    elif schema.get("format") == "date-time":
        yield f"time, {schema['description']}"
    else:
        yield NOUNS[schema["type"]]
