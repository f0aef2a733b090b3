"""Notes which messages are made while a test runs, and from which lines of the code.

They are noted where they are made, in this process and in the commands that a test starts. Of
commands that run as somebody else, only what they print is known: a message is found by its words.
"""

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import click

from tests.messages.sites import PARTS, PHRASE, ROOT, Site, sites
from tests.messages.startup.sitecustomize import VARIABLE, Place, listen, places

STARTUP = Path(__file__).with_name("startup")


@dataclass(slots=True)
class Told:
    """What was told during one test; commands append to ``file``, when there is one."""

    file: Path | None = None
    made: dict[str, set[Place]] = field(default_factory=dict)
    heard: list[str] = field(default_factory=list)

    def message_of(self, site: Site) -> str | None:
        """A message that has come from a place; None when there was none."""
        first, last = site.lines
        if site.kind != PHRASE:
            here = [
                message
                for message, places in self.made.items()
                if any(site.file == file and first <= line <= last for file, line in places)
            ]
            if here:  # others may have been made on the way to it
                return next((one for one in here if site.pattern.search(one)), here[0])
        if not site.is_clear:
            return None
        texts = [*self.made, *self.heard] if site.kind in PARTS else self.heard
        lines = (line for text in texts for line in text.splitlines())
        return next((line for line in lines if site.pattern.search(line)), None)

    def note(self, message: str, found: set[Place]) -> None:
        """Note one message."""
        if found:
            self.made.setdefault(message, set()).update(found)

    def read(self) -> None:
        """Note what the commands have made."""
        if self.file is not None and self.file.exists():
            for line in self.file.read_text().splitlines():
                row = json.loads(line)
                self.note(row["message"], {(file, number) for file, number in row["places"]})


_told = Told()


@contextmanager
def listening(file: Path | None) -> Iterator[Told]:
    """Note what is told while the block runs; by commands, when there is a file for it."""
    global _told  # noqa: PLW0603 - one test at a time
    before, environment = _told, dict(os.environ)
    _told = Told(file)
    os.environ.update(overheard(environment))
    try:
        yield _told
    finally:
        for name in (VARIABLE, "PYTHONPATH"):
            os.environ.pop(name, None)
            os.environ.update({name: environment[name]} if name in environment else {})
        _told.read()
        _told = before


def heard(*texts: str) -> None:
    """Note what a command has printed."""
    _told.heard.extend(text for text in texts if text)


def overheard(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of a command whose messages are to be noted."""
    if _told.file is None:
        return dict(environment)
    path = os.pathsep.join(filter(None, [str(STARTUP), str(ROOT), environment.get("PYTHONPATH")]))
    return {**environment, "PYTHONPATH": path, VARIABLE: str(_told.file)}


def install() -> None:
    """Have all errors and all lines on standard error noted, in this process, from now on."""

    def note(message: str, where: set[Place]) -> None:
        _told.note(message, where)  # that of the test which runs now

    listen(note)
    make_usage = click.ClickException.__init__

    def refuse(self: click.ClickException, message: str) -> None:
        make_usage(self, message)
        note(message, places(sys._getframe(1)))

    click.ClickException.__init__ = refuse  # type: ignore[method-assign]


def found(told: Told) -> dict[Site, str]:
    """The places whose messages were told, with a message of each."""
    messages = ((site, told.message_of(site)) for site in sites())
    return {site: message for site, message in messages if message is not None}
