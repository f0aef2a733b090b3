"""The part of pytest that holds the tests to the catalogue of messages."""

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.messages import recorder
from tests.messages.catalogue import Entry, Key, load, save, sites_of

if TYPE_CHECKING:
    from tests.messages.sites import Site

OPTION = "--record-messages"
TEMPORARY = re.compile(r"/tmp/pytest-of-[\w.-]+/pytest-\d+/[\w.-]+")


def pytest_addoption(parser: pytest.Parser) -> None:
    """The option that writes the catalogue."""
    parser.addoption(OPTION, action="store_true", help="write tests/messages/catalogue.json")


def pytest_configure(config: pytest.Config) -> None:
    """Listen to all that is told from now on."""
    recorder.install()
    config.pluginmanager.register(_Catalogue(record=bool(config.getoption(OPTION))))


class _Catalogue:
    """Holds each test to its messages, or notes them."""

    def __init__(self, *, record: bool) -> None:
        self._record = record
        self._entries = load()
        self._wanted = sites_of(self._entries)
        self._met: dict[str, dict[Site, str]] = {}
        # not one for each test: it would be removed while what the test has patched is so still
        self._directory = tempfile.TemporaryDirectory(prefix="imaging-told-")
        self._count = 0

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Iterator[None]:
        """Run one test, and see what it has told."""
        wanted = self._wanted.get(item.nodeid, [])
        self._count += 1
        file = Path(self._directory.name) / f"{self._count}" if wanted or self._record else None
        with recorder.listening(file) as told:
            yield
        if self._record:
            if not getattr(getattr(item, "function", None), "is_hypothesis_test", False):
                self._met[item.nodeid] = recorder.found(told)
            return
        missing = [alike[0] for alike in wanted if not any(map(told.message_of, alike))]
        if missing:
            listed = "\n".join(f"  {site.file}: {site.text}" for site in missing)
            pytest.fail(f"the catalogue has these messages of this test:\n{listed}", pytrace=False)

    def pytest_sessionfinish(self) -> None:
        """Write what was met."""
        if self._record:
            self._save()
        self._directory.cleanup()

    def _save(self) -> None:
        ran = {test.partition("[")[0] for test in self._met}
        met: dict[Key, Entry] = {}
        for test, messages in self._met.items():
            for site, message in messages.items():
                tidy = TEMPORARY.sub("/site", message).strip().removeprefix("Error: ")
                entry, known = Entry(*site.key, tidy, test), self._entries.get(site.key)
                if known is not None and known.test != test:
                    is_gone = known.test.partition("[")[0] in ran and known.test not in self._met
                    if not is_gone:
                        continue
                elif known is not None and not _differ(known.message, tidy):
                    continue
                met.setdefault(site.key, entry)
        save({**self._entries, **met})


def _differ(one: str, other: str) -> bool:
    """Whether messages differ in more than ports, addresses and times."""
    return re.sub(r"[0-9a-f]*[0-9][0-9a-f]*", "", one) != re.sub(
        r"[0-9a-f]*[0-9][0-9a-f]*", "", other
    )
