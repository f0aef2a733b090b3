"""The JSON Schemas of what scripts read, made from the types: ``make schemas`` writes them."""

import inspect
import sys
from pathlib import Path
from typing import Any

import msgspec

from imaging.feedback.scripts.event_lines import AnyLine
from imaging.feedback.scripts.reports import ReportDocument

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def report_schema() -> bytes:
    """What the object of ``--json`` and ``--report`` is."""
    return schema_text("The report of a run of imaging", ReportDocument)


def events_schema() -> bytes:
    """What one line of ``--events`` is."""
    return schema_text("One line of the events of a run of imaging", AnyLine)


def schema_text(title: str, described: Any) -> bytes:
    """The schema of a type."""
    schema = {"$schema": DIALECT, "title": title, **msgspec.json.schema(described)}
    return msgspec.json.format(msgspec.json.encode(_unindented(schema)), indent=2) + b"\n"


def _unindented(value: Any) -> Any:
    """A schema with its docstrings as Python 3.13 has them: the same, whatever makes it."""
    if isinstance(value, dict):
        return {key: _unindented(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_unindented(inner) for inner in value]
    return inspect.cleandoc(value) if isinstance(value, str) else value


SCHEMAS = {"report.schema.json": report_schema, "events.schema.json": events_schema}


def write_schemas(directory: Path) -> None:
    """Write all schemas. Raises OSError."""
    for name, schema in SCHEMAS.items():
        (directory / name).write_bytes(schema())


if __name__ == "__main__":
    write_schemas(Path(sys.argv[1]))
