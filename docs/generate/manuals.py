"""The manual pages, for man(1): pure functions of what the code says.

The language is that of man(7), so that groff and mandoc read them alike. A page has no date: it is
that of a version.
"""

import re
import textwrap
from collections.abc import Iterator, Sequence
from itertools import groupby

import imaging
from docs.generate import prose
from docs.generate.commands import Command
from docs.generate.marks import Mark, names_in, pieces
from docs.generate.settings import Setting, all_settings
from imaging.errors import Reason

NO_NAMES: frozenset[str] = frozenset()
WIDTH = 75  # columns of the source
ESCAPES = {"\\": "\\e", "~": "\\(ti", "^": "\\(ha", "`": "\\(ga", "'": "\\(aq"}


def all_manuals(commands: Sequence[Command]) -> dict[str, str]:
    """Every manual page by its place under ``docs``."""
    return {
        **{f"man/{command.name}.1": command_manual(command) for command in commands},
        "man/imaging.conf.5": settings_manual(all_settings()),
    }


def literal(words: str) -> str:
    """Text that is shown as it stands; hyphens stay such that can be typed."""
    escaped = "".join(ESCAPES.get(letter, letter) for letter in words)
    return escaped.replace("-", "\\-")


def text(words: str, names: frozenset[str] = NO_NAMES) -> str:
    """A paragraph: what is typed as it stands is bold, what the user fills in is italic."""
    found = []
    for mark, piece in pieces(words, names):
        if mark is Mark.PROSE:
            found.append(piece.replace("\\", "\\e").replace("~", "\\(ti"))
        else:
            font = "B" if mark is Mark.TYPED else "I"
            found.append(f"\\f{font}{literal(piece)}\\fR".replace(" ", "\\~"))  # one line
    lines = textwrap.wrap("".join(found), WIDTH, break_long_words=False, break_on_hyphens=False)
    return "\n".join(f"\\&{line}" if line[0] in ".'" else line for line in lines)


def form(words: str) -> str:
    """How an option or a command is written."""
    found = []
    for word in re.split(r"((?<![\w-])--?[A-Za-z0-9][a-z-]*|[A-Z][A-Z_]+)", words):
        font = "B" if word.startswith("-") and word != "-" else "I" if word.isupper() else "R"
        found.append(f"\\f{font}{literal(word)}\\fR" if font != "R" else literal(word))
    return "".join(found)


def _titled(name: str, section: int, summary: str) -> Iterator[str]:
    yield f'.\\" {prose.MADE}'
    yield f'.TH {literal(name.upper())} {section} "" "imaging {imaging.__version__}" "imaging"'
    yield ".nr HY 0\n.nh\n.ad l"  # options and files are not hyphenated
    yield ".SH NAME"
    yield f"{literal(name)} \\- {summary}"


def _summary(command: Command) -> str:
    """One line without markup: mandb(8) and apropos(1) read it."""
    summary = command.summary.rstrip(".")
    return f"{summary[0].lower()}{summary[1:]}".replace("\\", "\\e").replace("~", "\\(ti")


def _joined(lines: Iterator[str]) -> str:
    return "\n".join(lines) + "\n"


def command_manual(command: Command) -> str:
    """The manual page of a command."""
    return _joined(_command_lines(command))


def _command_lines(command: Command) -> Iterator[str]:
    names = _names(command)
    yield from _titled(command.name, 1, _summary(command))
    yield ".SH SYNOPSIS"
    yield f"\\fB{literal(command.name)}\\fR {form(command.synopsis)}"
    yield ".SH DESCRIPTION"
    for number, paragraph in enumerate([command.summary, *command.description]):
        yield from ([".PP"] if number else [])
        yield text(paragraph, names)
    yield ".SH OPTIONS"
    yield from _options(command, names)
    if command.members:
        yield ".SH COMMANDS"
        yield from _members(command)
    yield ".SH EXIT STATUS"
    yield text(prose.exit_status(command))
    if command.name == "imaging":
        yield from _reasons()
    elif prose.has_run(command):
        yield ".PP"
        yield text("A node that is not done has a reason, a word that imaging(1) explains.")
    yield from _places("ENVIRONMENT", prose.ENVIRONMENT, command)
    yield from _places("FILES", prose.FILES, command)
    examples = prose.examples(command)
    if examples:
        yield ".SH EXAMPLES"
        yield ".EX"
        yield from (literal(line) for line in examples)
        yield ".EE"
    yield from _see_also(command)


def _names(command: Command) -> frozenset[str]:
    return names_in(" ".join([command.synopsis, *(option.form for option in command.options)]))


def _options(command: Command, names: frozenset[str]) -> Iterator[str]:
    for option in command.options:
        yield ".TP"
        yield form(option.form)
        yield text(option.meaning, names)


def _members(command: Command) -> Iterator[str]:
    for member in command.members:
        if command.name == "imaging":
            yield ".TP"
            yield f"\\fB{literal(member.name)}\\fR"
            yield f"{text(member.summary)} See \\fB{literal(member.name.replace(' ', '-'))}\\fR(1)."
        else:
            names = _names(member)
            yield f".SS \\fB{literal(member.name)}\\fR {form(member.synopsis)}"
            for number, paragraph in enumerate([member.summary, *member.description]):
                yield from ([".PP"] if number else [])
                yield text(paragraph, names)
            yield from _options(member, names)
            if member.examples:
                yield ".PP"
                yield ".EX"
                yield from (literal(line) for line in member.examples)
                yield ".EE"


def _reasons() -> Iterator[str]:
    yield ".SH REASONS"
    yield text("A node that is not done has one of these words, also in reports and events.")
    for reason in Reason:
        yield ".TP"
        yield f"\\fB{literal(reason)}\\fR"
        yield text(f"{reason.meaning[0].upper()}{reason.meaning[1:]}. {reason.cure}")


def _places(title: str, places: Sequence[prose.Place], command: Command) -> Iterator[str]:
    counting = [place for place in places if place.counts(command)]
    if counting:
        yield f".SH {title}"
    for place in counting:
        yield ".TP"
        yield ", ".join(f"\\fI{literal(name)}\\fR" for name in place.name.split(", "))
        yield text(place.meaning)


def _see_also(command: Command) -> Iterator[str]:
    names = [*prose.related(command)]
    references = [f"\\fB{literal(name)}\\fR(1)" for name in names]
    if command.name != "imaging":
        references.append("\\fBimaging\\fR(1)")
    if not prose.is_tool(command):
        references.append("\\fBimaging.conf\\fR(5)")
    yield ".SH SEE ALSO"
    yield ",\n".join(references)


def settings_manual(settings: Sequence[Setting]) -> str:
    """The manual page of the settings file."""
    return _joined(_settings_lines(settings))


def _settings_lines(settings: Sequence[Setting]) -> Iterator[str]:
    yield from _titled("imaging.conf", 5, "settings of imaging")
    yield ".SH SYNOPSIS"
    yield f"\\fI{literal('/etc/imaging.conf')}\\fR,"
    yield f"\\fI{literal('~/.imaging.conf')}\\fR,"
    yield f"\\fI{literal('./imaging.conf')}\\fR"
    yield ".SH DESCRIPTION"
    for number, paragraph in enumerate(prose.SETTINGS):
        yield from ([".PP"] if number else [])
        yield text(paragraph)
    for section, members in groupby(settings, key=lambda setting: setting.section):
        yield f".SH [{section}]"
        for setting in members:
            default = f" = {setting.default}" if setting.default else ""
            yield ".TP"
            yield f"\\fB{literal(setting.key)}\\fR{literal(default)}"
            yield text(_setting_meaning(setting))
    yield ".SH EXAMPLES"
    yield ".EX"
    for line in ("[images]", "directory = /srv/images", "directory.backup = /mnt/images"):
        yield literal(line)
    yield ".EE"
    yield ".SH SEE ALSO"
    yield "\\fBimaging\\fR(1),\n\\fBimaging\\-config\\fR(1)"


def _setting_meaning(setting: Setting) -> str:
    """What a setting means, as sentences; that one is a text or a path is seen."""
    meaning = setting.meaning.rstrip(".")
    if not re.match(r"\w+:", meaning):
        meaning = f"{meaning[0].upper()}{meaning[1:]}"
    return f"{meaning}." if setting.kind in ("text", "path") else f"{meaning} ({setting.kind})."
