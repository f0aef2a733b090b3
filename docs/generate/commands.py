"""What the commands say of themselves, as values: their help, whatever makes it."""

import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib import import_module

import click

from imaging.cli.umbrella import command as umbrella

WIDTH = 1000  # columns: nothing is wrapped here
FRISBEE_TOOLS = ("frisbeed", "frisbee", "imagezip", "imageunzip")
EXIT_CODE = re.compile(r"(The exit code is .*)$")  # to the end of its paragraph


@dataclass(frozen=True, slots=True)
class Option:
    """One option: how it is written, ``-t, --timeout SECONDS``, and what it means."""

    form: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Command:
    """One command, or one of the commands of a group.

    ``synopsis`` is what follows its name, ``summary`` one line, ``exit_status`` what its help says
    of that, "" for nothing. ``members`` are the commands of a group.
    """

    name: str
    summary: str
    synopsis: str
    description: tuple[str, ...]
    exit_status: str
    options: tuple[Option, ...]
    examples: tuple[str, ...]
    members: tuple["Command", ...] = ()

    @property
    def takes_nodes(self) -> bool:
        """Whether it, or one of its group, works on a selection of nodes."""
        return "NODE_SPEC" in self.synopsis or any(one.takes_nodes for one in self.members)


def all_commands() -> tuple[Command, ...]:
    """Every command of the package, the umbrella first."""
    context = click.Context(umbrella)
    names = umbrella.list_commands(context)
    return (
        _umbrella(names),
        *(_click_command(f"imaging-{name}", _member(umbrella, context, name)) for name in names),
        *(frisbee_tool(name) for name in FRISBEE_TOOLS),
    )


def _umbrella(names: list[str]) -> Command:
    read = _click_command("imaging", umbrella)
    members = (
        replace(member, name=f"imaging {name}")
        for member, name in zip(read.members, names, strict=True)
    )
    return replace(read, members=tuple(members))


def _member(group: click.Group, context: click.Context, name: str) -> click.Command:
    found = group.get_command(context, name)
    assert found is not None
    return found


def _click_command(
    name: str, command: click.Command, parent: click.Context | None = None
) -> Command:
    """What a command of click's says of itself."""
    shared = {**command.context_settings, "max_content_width": WIDTH}
    context = click.Context(command, info_name=name, parent=parent, **shared)
    summary, description, examples = _sections(inspect.cleandoc(command.help or ""))
    members: list[Command] = []
    if isinstance(command, click.Group):
        members += (
            _click_command(f"{name} {word}", _member(command, context, word), context)
            for word in command.list_commands(context)
        )
    description, exit_status = _exit_status(description)
    return Command(
        name=name,
        summary=summary,
        synopsis=" ".join(command.collect_usage_pieces(context)),
        description=tuple(description),
        exit_status=exit_status,
        options=tuple(_options(command, context)),
        examples=tuple(examples),
        members=tuple(members),
    )


def _sections(text: str) -> tuple[str, list[str], list[str]]:
    """First paragraph, the others, and the lines of the examples of a help text."""
    paragraphs, examples = [], []
    for paragraph in text.split("\n\n"):
        if paragraph.startswith("\b\nExamples:\n"):
            examples = [line.strip() for line in paragraph.splitlines()[2:]]
        else:
            paragraphs.append(" ".join(paragraph.split()))
    return paragraphs[0], paragraphs[1:], examples


def _exit_status(paragraphs: list[str]) -> tuple[list[str], str]:
    """The paragraphs without what they say of the exit code, and that."""
    found = [words for paragraph in paragraphs for words in EXIT_CODE.findall(paragraph)]
    rest = (EXIT_CODE.sub("", paragraph).strip() for paragraph in paragraphs)
    return [paragraph for paragraph in rest if paragraph], " ".join(found)


def _options(command: click.Command, context: click.Context) -> Iterator[Option]:
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None and isinstance(parameter, click.Option):
            form, meaning = record
            yield Option(form.replace("INTEGER RANGE", "N"), _in_words(meaning))


def _in_words(meaning: str) -> str:
    """A meaning whose end, as in ``[default: 8; x>=1]``, is said in words."""
    found = re.fullmatch(r"(.*?)\s*\[([^\[\]]+)\]", meaning)
    if found is None:
        return meaning
    notes = [_note_in_words(note) for note in found[2].split("; ")]
    return " ".join(filter(None, [found[1], *notes]))


def _note_in_words(note: str) -> str:
    if note == "required":
        return "Required."
    if note.startswith("default: "):
        return f"Default: {note.removeprefix('default: ')}."
    found = re.fullmatch(r"(?:(\d+)<=)?x(>=|>|<=)(\d+)", note)
    if found is None:
        raise ValueError(f"what does click mean by {note!r}?")
    if found[2] == "<=":
        return f"{found[1]} to {found[3]}."
    return f"{'At least' if found[2] == '>=' else 'More than'} {found[3]}."


def frisbee_tool(name: str) -> Command:
    """What one of the four tools of the data plane says of itself."""
    usage = import_module(f"imaging.frisbee.commands.{name}").USAGE
    first, *lines = usage.rstrip("\n").split("\n")
    found = re.fullmatch(r"usage: (\S+) (.*)", first)
    assert found is not None, first
    prose: list[str] = []
    options: list[Option] = []
    notes: list[str] = []
    for line in lines:
        option = re.fullmatch(r" {1,2}(-\S.*?) {2,}(\S.*)", line)
        if option is not None:
            options.append(Option(option[1], option[2]))
        elif re.match(r" {1,2}-", line):
            notes.append(f"{line.strip()}.")
        elif line.startswith("   "):
            last = options.pop()
            options.append(replace(last, meaning=f"{last.meaning} {line.strip()}"))
        else:
            prose.append(line)
    document = inspect.getdoc(import_module(f"imaging.frisbee.commands.{name}")) or ""
    about = document.partition("\n")[0].partition(": ")[2].rstrip(".")
    sentences = " ".join(prose)
    return Command(
        name=found[1],
        summary=f"{about[0].upper()}{about[1:]}.",
        synopsis=found[2],
        description=(*([sentences] if sentences else []), *notes),
        exit_status="",
        options=tuple(
            Option(option.form, f"{option.meaning[0].upper()}{option.meaning[1:]}.")
            for option in options
        ),
        examples=(),
    )
