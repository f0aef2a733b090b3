"""The lines of a monitor are documented as they are."""

import json
import re

import jsonschema

from imaging.monitor.schema import FILE, monitor_schema
from imaging.monitor.testbed import Condition
from tests.monitored import SCHEMA
from tests.report_samples import DOCS


def test_the_schema_is_that_of_the_types() -> None:
    assert (DOCS / FILE).read_bytes() == monitor_schema(), "make schemas writes it anew"


def test_the_example_keeps_to_the_schema() -> None:
    (lines,) = re.findall(r"```jsonl\n(.*?)```", (DOCS / "monitor.md").read_text(), re.DOTALL)
    for line in lines.splitlines():
        jsonschema.validate(json.loads(line), SCHEMA)


def test_all_conditions_are_documented() -> None:
    page = (DOCS / "monitor.md").read_text()
    for condition in Condition:
        assert f"| `{condition}` |" in page
