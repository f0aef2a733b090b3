"""The reference pages, in Markdown: pure functions of what the code says."""

import re
import textwrap
from collections.abc import Iterator, Sequence
from itertools import groupby

from docs.generate import prose
from docs.generate.commands import Command
from docs.generate.formats import (
    Format,
    Shape,
    events_format,
    monitor_format,
    report_format,
    untold_events,
)
from docs.generate.marks import Mark, names_in, pieces
from docs.generate.settings import Setting, all_settings
from imaging.errors import Reason

NO_NAMES: frozenset[str] = frozenset()
WIDTH = 100  # columns of the source


def all_pages(commands: Sequence[Command]) -> dict[str, str]:
    """Every page by its place under ``docs/reference``."""
    return {
        "commands.md": commands_page(commands),
        **{f"commands/{command.name}.md": command_page(command) for command in commands},
        "settings.md": settings_page(all_settings()),
        "reasons.md": reasons_page(),
        "report.md": report_page(report_format()),
        "events.md": events_page(events_format()),
        "monitor-events.md": monitor_page(monitor_format()),
    }


def text(words: str, names: frozenset[str] = NO_NAMES) -> str:
    """Prose of a help text, as Markdown: what is typed as it stands is code."""
    found = []
    for mark, piece in pieces(words, names):
        found.append(_escaped(piece) if mark is Mark.PROSE else f"`{piece}`")
    return "".join(found)


def cell(markdown: str) -> str:
    """Something for a cell of a table."""
    return markdown.replace("|", "\\|").replace("\n", " ")


def wrapped(markdown: str) -> str:
    """A paragraph in lines."""
    return textwrap.fill(markdown, WIDTH, break_long_words=False, break_on_hyphens=False)


def _escaped(words: str) -> str:
    return re.sub(r"([\\`*<>\[\]~]|(?<!\w)_|_(?!\w))", r"\\\1", words)


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(titles)} |", f"|{'---|' * len(titles)}"]
    lines += [f"| {' | '.join(cell(column) for column in row)} |" for row in rows]
    return "\n".join(lines) + "\n"


def _page(title: str, *parts: str) -> str:
    return "\n".join(
        [
            f"<!-- {prose.MADE} -->\n",
            f"# {title}\n",
            *(f"{part.rstrip()}\n" for part in parts if part),
        ]
    )


def commands_page(commands: Sequence[Command]) -> str:
    """All commands, each in a line."""
    rows = [
        (f"[`{command.name}`](commands/{command.name}.md)", text(command.summary))
        for command in commands
    ]
    return _page(
        "Commands",
        "Each is also a manual page, and tells the same with `--help`.",
        _table(("command", "what it does"), rows),
        "```{toctree}\n:hidden:\n:glob:\n\ncommands/*\n```",
    )


def command_page(command: Command) -> str:
    """One command, with those of its group."""
    if command.name == "imaging":
        members = _table(
            ("command", "what it does"),
            [
                (f"[`{member.name}`]({member.name.replace(' ', '-')}.md)", text(member.summary))
                for member in command.members
            ],
        )
        sections = [f"## Commands\n\n{members}"]
    else:
        sections = [_member(member) for member in command.members]
    return _page(
        command.name,
        *_about(command, "##"),
        *sections,
        f"## Exit status\n\n{wrapped(text(prose.exit_status(command)))}",
        "A node that is not done has a [reason](../reasons.md)." if prose.has_run(command) else "",
        _places("Environment", prose.ENVIRONMENT, command),
        _places("Files", prose.FILES, command),
        _related(command),
    )


def _member(command: Command) -> str:
    return "\n\n".join([f"## {command.name}", *_about(command, "###")])


def _about(command: Command, heading: str) -> Iterator[str]:
    """What a command's help says."""
    names = names_in(" ".join([command.synopsis, *(option.form for option in command.options)]))
    yield text(command.summary, names)
    yield f"```text\n{command.name} {command.synopsis}\n```"
    yield from (wrapped(text(paragraph, names)) for paragraph in command.description)
    examples = prose.examples(command)
    if examples:
        lines = "\n".join(examples)
        yield f"{heading} Examples\n\n```text\n{lines}\n```"
    rows = [(_form(option.form), text(option.meaning, names)) for option in command.options]
    yield f"{heading} Options\n\n{_table(('option', 'meaning'), rows)}"


def _form(words: str) -> str:
    """How an option is written, each of its names apart: a line may end between them."""
    return ", ".join(f"`{name}`" for name in words.split(", "))


def _places(title: str, places: Sequence[prose.Place], command: Command) -> str:
    rows = [
        (", ".join(f"`{name}`" for name in place.name.split(", ")), _linked(place.meaning))
        for place in places
        if place.counts(command)
    ]
    return f"## {title}\n\n{_table(('what', 'meaning'), rows)}" if rows else ""


def _linked(words: str) -> str:
    return text(words).replace("imaging.conf(5)", "[the settings](../settings.md)")


def _related(command: Command) -> str:
    links = [f"[`{name}`]({name}.md)" for name in prose.related(command)]
    return f"## See also\n\n{wrapped(', '.join(links))}" if links else ""


def settings_page(settings: Sequence[Setting]) -> str:
    """All settings, a table per section."""
    parts = []
    for section, members in groupby(settings, key=lambda setting: setting.section):
        rows = [
            (
                f"`{setting.key}`",
                f"`{setting.default}`" if setting.default else "",
                setting.kind,
                re.sub(r"\bdocs/(\w+\.md)", r"[docs/\1](../\1)", text(setting.meaning)),
            )
            for setting in members
        ]
        table = _table(("key", "default", "what it is", "meaning"), rows)
        parts.append(f"## \\[{section}\\]\n\n{table}")
    return _page(
        "Settings",
        *(wrapped(text(paragraph)) for paragraph in prose.SETTINGS),
        "[`etc/imaging.conf`](../../etc/imaging.conf) is a complete file to begin with.",
        *parts,
    )


def reasons_page() -> str:
    """Every reason word, with what happened and what to do."""
    rows = [(f"`{reason}`", reason.meaning, reason.cure) for reason in Reason]
    return _page(
        "Reasons",
        "A node that is not done has one of these words: on the screen, in the report, in the "
        "events and in the\nhistory. They stay as they are; new ones may come. The message beside "
        "the word says what was seen.",
        _table(("reason", "what happened", "what to do"), rows),
        "Which fault leads to which of them is in [What happens when ...](../what-happens.md).",
    )


def report_page(described: Format) -> str:
    """The report of a run."""
    return _page(
        "The fields of a report",
        "What `--json` prints and `--report` writes, described by "
        "[`report.schema.json`](../report.schema.json).\n[What scripts get of a run]"
        "(../reports.md) has an example.",
        *_shapes(described),
    )


def events_page(described: Format) -> str:
    """The lines of the events."""
    untold = "\n".join(
        f"- `{word}`: {_documented(description)}" for word, description in untold_events()
    )
    return _page(
        "The events of a run",
        "What `--events` writes, a line each, described by "
        "[`events.schema.json`](../events.schema.json).\n[What scripts get of a run]"
        "(../reports.md#events) has an example.",
        *_shapes(described),
        "## Events without a line\n\nThe log and the transcripts are fed from the same events, and "
        f"from these, too:\n\n{untold}",
    )


def monitor_page(described: Format) -> str:
    """The lines of the monitor."""
    return _page(
        "The events of the monitor",
        "What `imaging-monitor --events` and `--sidecar` tell, a line each, described by\n"
        "[`monitor.schema.json`](../monitor.schema.json). [The monitor](../monitor.md) has more.",
        *_shapes(described),
    )


def _shapes(described: Format) -> Iterator[str]:
    """A section for each type of object."""
    for shape in described.shapes:
        yield f"## {shape.event or shape.name}\n\n{_documented(shape.description)}"
        if shape.words:
            yield _words(shape)
        if shape.members:
            rows = [
                (f"`{member.name}`", _with_links(member.kind, described))
                for member in shape.members
            ]
            yield _table(("field", "what it is"), rows)


def _words(shape: Shape) -> str:
    words = ", ".join(f"`{word}`" for word in shape.words)
    more = "; what to do is in [Reasons](reasons.md)" if shape.name == "Reason" else ""
    return wrapped(f"One of {words}{more}.")


def _with_links(kind: str, described: Format) -> str:
    """A type in words, its objects leading to their sections of the page."""
    known = {shape.name: shape for shape in described.shapes}

    def link(found: re.Match[str]) -> str:
        shape = known[found[1]]
        title = shape.event or shape.name
        return f"[{title}](#{title.lower()})"

    return re.sub(r"\[(\w+)\]", link, kind)


def _documented(description: str) -> str:
    """A docstring as Markdown."""
    return re.sub(r"``([^`]+)``", r"`\1`", description)
