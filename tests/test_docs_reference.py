"""What is made from the code is as the code is now, and nothing is missing in it."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import click
import pytest

from docs.generate import prose
from docs.generate.commands import Command, all_commands
from docs.generate.marks import Mark, pieces
from docs.generate.written import made_before, written
from imaging.cli.umbrella import command as umbrella
from imaging.errors import Reason
from imaging.feedback.scripts.schemas import SCHEMAS
from imaging.site.schema import Settings

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
NOT_FOR_USERS = {"PATH", "SUDO_USER", "TERM"}
"""Variables of the environment that mean here what they mean everywhere."""


@pytest.fixture(scope="module")
def made() -> dict[str, str]:
    return written()


def test_what_is_made_from_the_code_is_current(made: dict[str, str]) -> None:
    there = {file.relative_to(DOCS).as_posix(): file.read_text("utf-8") for file in made_before()}
    assert there.keys() == made.keys(), "make reference writes them anew"
    assert [place for place in made if made[place] != there[place]] == [], "make reference"


def test_every_command_has_a_page_and_a_manual(made: dict[str, str]) -> None:
    scripts = set(PROJECT["scripts"])
    assert {Path(place).stem for place in made if place.endswith(".1")} == scripts
    pages = {Path(place).stem for place in made if place.startswith("reference/commands/")}
    assert pages == scripts
    assert set(re.findall(r"\(commands/(.*?)\.md\)", made["reference/commands.md"])) == scripts


def click_options(command: click.Command, name: str) -> list[tuple[str, str]]:
    """The page's name and each long or short option that is shown to users."""
    found = [
        (name, option)
        for parameter in command.params
        if isinstance(parameter, click.Option) and not parameter.hidden
        for option in parameter.opts
    ]
    if isinstance(command, click.Group):
        for word in command.list_commands(click.Context(command)):
            member = command.get_command(click.Context(command), word)
            assert member is not None
            found += click_options(member, f"imaging-{word}" if name == "imaging" else name)
    return found


def test_every_option_is_on_the_page_of_its_command(made: dict[str, str]) -> None:
    options = click_options(umbrella, "imaging")
    assert len(options) > 150
    for name, option in options:
        page, manual = made[f"reference/commands/{name}.md"], made[f"man/{name}.1"]
        assert re.search(rf"^\| .*`{re.escape(option)}\b", page, re.MULTILINE), name
        assert f"\\fB{option.replace('-', chr(92) + '-')}\\fR" in manual, (name, option)


@pytest.mark.parametrize("command", all_commands(), ids=lambda command: command.name)
def test_whoever_reads_of_a_command_finds_what_is_usual(
    command: Command, made: dict[str, str]
) -> None:
    manual = made[f"man/{command.name}.1"]
    sections = re.findall(r"^\.SH (.*)$", manual, re.MULTILINE)
    wanted = ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "SEE ALSO"]
    if not prose.is_tool(command):
        wanted += ["ENVIRONMENT", "FILES"]
    assert set(wanted) <= set(sections)
    assert sections == sorted(sections, key=sections.index)
    assert len(sections) == len(set(sections))
    assert prose.examples(command), "an example says more than a synopsis"
    for shown in (command, *command.members):
        assert shown.summary.endswith(".")
        assert all(option.meaning.endswith((".", "?")) for option in shown.options)
        assert all(not option.meaning.startswith("Default") for option in shown.options)


def test_every_setting_is_there_with_its_default(made: dict[str, str]) -> None:
    page, manual = made["reference/settings.md"], made["man/imaging.conf.5"]
    for section in Settings.__struct_fields__:
        table = page.partition(f"## \\[{section}\\]\n")[2].partition("\n## ")[0]
        keys = getattr(Settings(), section).__struct_fields__
        assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == list(keys)
        assert not re.search(r"\|  *\|$", table, re.MULTILINE), "each has a meaning"
        part = manual.partition(f".SH [{section}]\n")[2].partition("\n.SH")[0]
        assert re.findall(r"^\.TP\n\\fB(\w+)\\fR", part, re.MULTILINE) == list(keys)
    assert "| `reset_grace_s` | `60` | seconds, more than 0, up to 86400 |" in page


def test_every_reason_has_a_meaning_and_a_cure(made: dict[str, str]) -> None:
    rows = re.findall(
        r"^\| `([a-z-]+)` \| (.+) \| (.+) \|$", made["reference/reasons.md"], re.MULTILINE
    )
    assert [word for word, _, _ in rows] == list(Reason)
    assert all(reason.cure.endswith(".") and reason.meaning for reason in Reason)
    assert len({reason.cure for reason in Reason}) == len(Reason)
    manual = made["man/imaging.1"].partition(".SH REASONS\n")[2].partition("\n.SH")[0]
    words = re.findall(r"^\.TP\n\\fB(.*)\\fR$", manual, re.MULTILINE)
    assert [word.replace("\\-", "-") for word in words] == list(Reason)


@pytest.mark.parametrize(
    ("page", "schema"),
    [
        ("report", "report.schema.json"),
        ("events", "events.schema.json"),
        ("monitor-events", "monitor.schema.json"),
    ],
)
def test_every_event_and_type_of_a_schema_is_there(
    page: str, schema: str, made: dict[str, str]
) -> None:
    text = made[f"reference/{page}.md"]
    described = (DOCS / schema).read_text()
    titles = set(re.findall(r"^## (.*)$", text, re.MULTILINE))
    events = set(re.findall(r'"([a-z-]+)": "#/\$defs/', described))
    types = set(re.findall(r'"title": "(\w+)",\n', described))
    assert events or page == "report"
    assert events <= titles
    assert {name for name in types if not name.endswith("Line")} <= titles
    assert set(re.findall(r'^        "(\w+)": \{$', described, re.MULTILINE)) - {"event"} <= set(
        re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)
    )


def test_every_schema_has_a_page(made: dict[str, str]) -> None:
    for name in (*SCHEMAS, "monitor.schema.json"):
        assert any(f"(../{name})" in text for text in made.values())


def test_every_variable_that_is_read_is_explained() -> None:
    files = (ROOT / "imaging").rglob("*.py")
    source = "".join(file.read_text() for file in files if file.parent.name != "testbed")
    read = set(re.findall(r'environ(?:ment)?\.get\(\s*"([A-Z_]+)"', source))
    explained = {name for place in prose.ENVIRONMENT for name in place.name.split(", ")}
    assert {"NODES", "IMAGING_CONF"} < read
    assert read - NOT_FOR_USERS <= explained
    assert all(f'"{name}"' in source for name in explained)


@pytest.mark.skipif(shutil.which("groff") is None, reason="needs groff")
def test_groff_has_nothing_to_say_about_the_manuals() -> None:
    manuals = sorted(DOCS.glob("man/*"))
    assert len(manuals) > 20
    for manual in manuals:
        ended = subprocess.run(
            ["groff", "-man", "-Tutf8", "-ww", "-z", manual],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.skipif(shutil.which("groff") is None, reason="needs groff")
def test_what_is_typed_can_be_copied_from_a_manual() -> None:
    ended = subprocess.run(
        ["groff", "-man", "-Tutf8", "-P-cbou", DOCS / "man/imaging-load.1"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "--on-failure [leave|off]" in ended.stdout
    assert "imaging-load -i fedora-21 1-12 ~4-6\n" in ended.stdout


def test_what_is_typed_is_told_from_prose() -> None:
    told = list(pieces("-t limits NODE_SPEC, see [power] port and ~/.x", frozenset({"NODE_SPEC"})))
    assert told == [
        (Mark.TYPED, "-t"),
        (Mark.PROSE, " limits "),
        (Mark.FILLED, "NODE_SPEC"),
        (Mark.PROSE, ", see "),
        (Mark.TYPED, "[power] port"),
        (Mark.PROSE, " and "),
        (Mark.TYPED, "~/.x"),
    ]
