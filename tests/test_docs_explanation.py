"""What the pages say of code and settings is there."""

import re
from pathlib import Path

import pytest

from imaging.errors import Reason
from imaging.feedback.outcomes import Step
from imaging.site.schema import Settings
from tests.documented_commands import ROOT, blocks, pages

CONCURRENCY = (ROOT / "docs/explanation/concurrency.md").read_text()
LIFE = (ROOT / "docs/explanation/life-of-a-load.md").read_text()
STEPS = LIFE.partition("## The steps of a node\n")[2].partition("\n### ")[0]


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_setting_that_is_named_exists(page: Path) -> None:
    named = re.findall(r"`\[([a-z_]+)\]\s+([a-z_]+)`", page.read_text())
    planned = ("multicast", "servers")  # scaling.md says that it is a plan
    for section, key in named:
        if (section, key) == planned and page.name == "scaling.md":
            continue
        if page.name == "migrating.md" and not hasattr(getattr(Settings(), section, None), key):
            continue  # rhubarbe's: see the test of that page
        assert hasattr(getattr(Settings(), section), key), f"[{section}] {key}"


def test_the_settings_that_rhubarbes_become_exist() -> None:
    page = (ROOT / "docs/how-to/migrating.md").read_text()
    rows = page.partition("| rhubarbe | here |\n|---|---|\n")[2].partition("\n\n")[0]
    for row in rows.splitlines():
        _, _, ours, _ = row.split("|")
        section = None
        for word in re.findall(r"`([^`]+)`", re.sub(r"\([^)]*\)", "", ours)):
            named = re.fullmatch(r"(?:\[(\w+)\](?: |$))?([a-z_]*)(?: = \w+)?", word)
            if named:
                section = named[1] or section
                assert section is not None, row
                assert not named[2] or hasattr(getattr(Settings(), section), named[2]), row


def test_the_code_on_the_page_is_the_codes() -> None:
    source = (ROOT / "imaging/operations/load.py").read_text()
    shown = [block for block in blocks(CONCURRENCY) if block.kind == "text"]
    assert len(shown) == 2
    for block in shown:
        place = 0
        for line in block.lines:
            words = line.strip().removesuffix("...").rstrip()
            place = source.index(words, place)


def test_the_steps_are_those_of_a_load() -> None:
    rows = re.findall(r"^\| ([a-z]+) \|", STEPS, re.MULTILINE)[1:]
    ours = [step for step in Step if step not in (Step.STORE, Step.TELNET)]
    assert rows == [step.value for step in ours]


def test_the_reasons_are_words_of_ours() -> None:
    last = [row.rpartition("|")[0].rpartition("|")[2] for row in STEPS.splitlines() if "`" in row]
    words = {word for cell in last for word in re.findall(r"`([a-z-]+)`", cell)}
    assert len(words) > 10
    assert words <= set(Reason)
