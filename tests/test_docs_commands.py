"""Every command that the pages show exists, with the options that it is given there."""

import re
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path

import click
import pytest

from tests.documented_commands import (
    OURS,
    ROOT,
    Invocation,
    blocks,
    invocations,
    pages,
    shell_lines,
    spans,
)

PAGES = pages()


def command_of(name: str) -> object:
    """What a console script runs: click's command, or a function of the data plane."""
    (entry,) = entry_points(group="console_scripts", name=name)
    return entry.load()


def refuse_unknown(invocation: Invocation) -> None:
    """Parse the arguments as the command itself does. Raises click's errors, or AssertionError."""
    command = command_of(invocation.name)
    if isinstance(command, click.Command):
        parse(command, list(invocation.arguments))
    else:
        usage = import_module(getattr(command, "__module__", "")).USAGE
        known = set(re.findall(r"(?<=[ ,])(-{1,2}[a-zA-Z0-9]+)", usage))
        asked = {word for word in invocation.arguments if re.match("--?[a-zA-Z]", word)}
        asked = {word if word.startswith("--") else word[:2] for word in asked}
        assert asked <= known, f"{invocation.name} does not know {asked - known}"


def parse(command: click.Command, arguments: list[str]) -> None:
    """Options, their values and words, without running anything or looking at files."""
    context = command.context_class(command, info_name=command.name, **command.context_settings)
    options, rest, _ = command.make_parser(context).parse_args(list(arguments))
    for parameter in command.params:
        value = options.get(parameter.name or "")
        if (
            isinstance(value, str)
            and "$" not in value
            and not isinstance(parameter.type, click.Path)
        ):
            parameter.type_cast_value(context, value)
    if isinstance(command, click.Group) and rest:
        chosen = command.get_command(context, rest[0])
        assert chosen is not None, f"{command.name} has no command {rest[0]}"
        parse(chosen, rest[1:])


def shown(page: Path) -> list[Invocation]:
    """The invocations in the blocks of a page."""
    return [
        invocation
        for block in blocks(page.read_text())
        for line in shell_lines(block)
        for invocation in invocations(line)
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_is_to_be_typed_exists(page: Path) -> None:
    for invocation in shown(page):
        try:
            refuse_unknown(invocation)
        except click.ClickException as error:
            pytest.fail(f"{invocation}: {error.format_message()}")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_is_named_between_words_exists(page: Path) -> None:
    """Options at least: values are often left out, or stand for others."""
    for span in spans(page.read_text()):
        name, *words = re.sub(r"[\[\]]", " ", span).split()
        name = name.partition("|")[0]
        assert name in OURS, span
        known = options_of(command_of(name), words)
        asked = {word.partition("=")[0] for word in words if re.match("--?[a-zA-Z]", word)}
        if known is not None:
            assert asked <= known, span


def options_of(command: object, words: Sequence[str]) -> set[str] | None:
    """All options of a command and of the commands in it that the words name."""
    if not isinstance(command, click.Command):
        return None
    context = click.Context(command)
    known = {option for parameter in command.get_params(context) for option in parameter.opts}
    if isinstance(command, click.Group):
        for word in words:
            for name in word.split("|"):
                if chosen := command.get_command(context, name):
                    known |= options_of(chosen, words) or set()
    return known


def test_the_readme_has_every_command() -> None:
    readme = (ROOT / "README.md").read_text()
    named = re.findall(r"^\| .*?`imaging-([a-z]+(?:\\\|[a-z]+)*)", readme, re.MULTILINE)
    named += re.findall(r"^\| `[^`]*`, `imaging-([a-z]+)`", readme, re.MULTILINE)
    verbs = {f"imaging-{verb}" for words in named for verb in words.split("\\|")}
    assert verbs >= OURS - {"imaging"}


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("imaging-load -i a 1 || imaging-load -i a $(cat ko)", ["load", "load"]),
        ('eval "$(imaging-nodes -a --on --export)"', ["nodes"]),
        ("NODES=1-3 imaging-wait | tee log; imaging-off -a > /dev/null", ["wait", "off"]),
        ("if ! /opt/imaging/bin/imaging-load 4; then iwait 4; fi", ["load", "wait"]),
        ('imaging-load -i "$(imaging-list --resolve fedora)" 1-12  # and more', ["list", "load"]),
        ("timeout -s INT 3 imaging-load -a; sudo imaging-wait 4", ["load", "wait"]),
        ("systemctl start imaging-monitor", []),
        ("export A=/opt/imaging/bin", []),
    ],
)
def test_commands_are_found(line: str, names: list[str]) -> None:
    assert [found.name for found in invocations(line)] == [f"imaging-{name}" for name in names]


@pytest.mark.parametrize(
    "line",
    [
        "imaging-load --no-such-option 1",
        "imaging-load --on-failure explode 1",
        "imaging-load -t soon 1",
        "imaging-image destroy sample",
        "imaging-testbed up here --nodes",
        "imaging-frisbeed -X image",
    ],
)
def test_what_does_not_exist_is_found(line: str) -> None:
    (invocation,) = invocations(line)
    with pytest.raises((click.ClickException, AssertionError)):
        refuse_unknown(invocation)


def test_a_name_in_a_strange_place_is_not_passed_over() -> None:
    with pytest.raises(AssertionError, match="is not run"):
        list(invocations("strange-wrapper imaging-load --no-such-option"))
