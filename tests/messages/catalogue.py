"""The catalogue: for each place that makes a message, one of its messages and the test that has
provoked it.

``pytest --record-messages FILE...`` (without ``-n``) adds the places that the tests of that run
have met. In every other run, a test that is named here fails when it does not provoke its messages
any more. Who adds a message writes a test that provokes it, records that test, and commits both;
``make messages`` then writes the page, and follows tests that have moved to another file.
"""

import json
import re
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from tests.messages.sites import ROOT, Site, sites

FILE = Path(__file__).with_name("catalogue.json")

Key = tuple[str, str, str, str]


@dataclass(frozen=True, order=True)
class Entry:
    """One message, the place that it comes from, and the test that provokes it."""

    file: str
    function: str
    kind: str
    text: str
    message: str
    test: str

    @property
    def key(self) -> Key:
        """That of its place."""
        return self.file, self.function, self.kind, self.text


def load() -> dict[Key, Entry]:
    """What is committed."""
    entries = [Entry(**row) for row in json.loads(FILE.read_text())] if FILE.exists() else []
    return {entry.key: entry for entry in entries}


def save(entries: dict[Key, Entry]) -> None:
    """Write it, in the order of the code; places that are no more are dropped."""
    order = list(dict.fromkeys(site.key for site in sites()))
    rows = [asdict(entries[key]) for key in order if key in entries]
    FILE.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n")


def sites_of(entries: dict[Key, Entry]) -> dict[str, list[list[Site]]]:
    """What each test has to provoke, by the test's name: of each message one of its places."""
    alike: dict[Key, list[Site]] = {}
    for site in sites():
        alike.setdefault(site.key, []).append(site)
    wanted: dict[str, list[list[Site]]] = {}
    for key, entry in entries.items():
        if key in alike:
            wanted.setdefault(entry.test, []).append(alike[key])
    return wanted


def relocate(entries: dict[Key, Entry]) -> dict[Key, Entry]:
    """Follow tests that have moved to another file, where only one has that name."""
    homes: dict[str, set[str]] = {}
    for file in sorted((ROOT / "tests").rglob("test_*.py")):
        for name in re.findall(r"^(?:async )?def (test_\w+)", file.read_text(), re.MULTILINE):
            homes.setdefault(name, set()).add(file.relative_to(ROOT).as_posix())

    def moved(entry: Entry) -> Entry:
        home, _, test = entry.test.partition("::")
        there = homes.get(test.partition("[")[0], set())
        return (
            replace(entry, test=f"{min(there)}::{test}") if there and home not in there else entry
        )

    return {key: moved(entry) for key, entry in entries.items()}
