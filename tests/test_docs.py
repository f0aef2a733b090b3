"""What is documented of reports and events is what the code does."""

import json
import re

import jsonschema
import pytest

from imaging.feedback.outcomes import Step
from imaging.feedback.scripts.reports import AttemptDocument
from imaging.feedback.scripts.schemas import SCHEMAS
from tests.report_samples import DOCS, validated, validated_lines

PAGE = (DOCS / "reports.md").read_text()


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_schemas_are_those_of_the_types(name: str) -> None:
    text = (DOCS / name).read_bytes()
    assert text == SCHEMAS[name](), "make schemas writes them anew"
    jsonschema.Draft202012Validator.check_schema(json.loads(text))


def test_every_step_and_field_is_on_the_page() -> None:
    words = set(re.findall(r"`([a-z_-]+)`", PAGE))
    assert set(Step) <= words
    assert set(AttemptDocument.__struct_fields__) <= words


def test_the_examples_keep_to_the_schemas() -> None:
    (report,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    (lines,) = re.findall(r"```jsonl\n(.*?)```", PAGE, re.DOTALL)
    assert validated(report, "report")["command"] == "imaging-load"
    assert validated_lines(lines)[-1]["event"] == "run-finished"
