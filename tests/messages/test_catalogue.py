"""Every message has a test that provokes it, and reads as it should.

That the tests still do provoke them is seen when they run: see the plugin beside this.
"""

import subprocess
import sys

import pytest

from tests.messages.catalogue import Entry, load
from tests.messages.exempt import EXEMPT, is_exempt
from tests.messages.page import PAGE, current, room
from tests.messages.rules import objections
from tests.messages.sites import ROOT, sites

ENTRIES = load()
RECORD = "run the test that provokes it with: pytest --record-messages TEST"


def test_every_place_that_makes_a_message_has_a_test() -> None:
    keys = {site.key: site for site in sites()}
    assert len(keys) > 600
    missing = [
        f"imaging/{site.file}:{site.lines[0]}: {site.text}"
        for key, site in keys.items()
        if key not in ENTRIES and not is_exempt(site.file, site.function, site.text)
    ]
    assert missing == [], RECORD


def test_nothing_is_exempt_that_is_not_there_or_has_a_test() -> None:
    exempt = [site for site in sites() if is_exempt(site.file, site.function, site.text)]
    met = {key for key in EXEMPT for site in exempt if site.text.startswith(key[2])}
    assert met == set(EXEMPT)
    assert [site for site in exempt if site.key in ENTRIES] == []


def test_the_catalogue_has_no_message_of_a_place_that_is_no_more() -> None:
    keys = {site.key: site for site in sites()}
    assert [entry for key, entry in ENTRIES.items() if key not in keys] == [], RECORD
    for key, entry in ENTRIES.items():
        assert (ROOT / entry.test.partition("::")[0]).exists(), entry
        assert not keys[key].is_clear or keys[key].pattern.search(entry.message), entry


def test_every_test_that_the_catalogue_names_is_there() -> None:
    named = {entry.test for entry in ENTRIES.values()}
    files = sorted({test.partition("::")[0] for test in named})
    words = ["-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"]
    listed = subprocess.run(
        [sys.executable, *words, *files], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert named - set(listed.stdout.splitlines()) == set(), RECORD


@pytest.mark.parametrize(
    "name", sorted({entry.file.partition("/")[0] for entry in ENTRIES.values()})
)
def test_every_message_reads_as_it_should(name: str) -> None:
    bad = [
        f"{entry.message!r} {objection} (imaging/{entry.file}, {entry.function})"
        for entry in ENTRIES.values()
        if room(entry) == name
        for objection in objections(entry)
    ]
    assert bad == []


def test_the_page_is_that_of_the_catalogue() -> None:
    assert PAGE.read_text() == current(), "make messages writes it anew"


@pytest.mark.parametrize(
    ("kind", "message", "words"),
    [
        ("ConfigurationError", "cannot do: [Errno 2] (see x)", "says 'Errno'"),
        ("ConfigurationError", "it is None (see x)", "says 'None'"),
        ("ConfigurationError", "not done in 5s (see x)", "glues '5s'"),
        ("ConfigurationError", "it has failed (see x).", "ends with a full stop"),
        ("ConfigurationError", "It has failed (see x)", "begins with a capital"),
        ("ConfigurationError", "it has failed", "does not say what to do"),
        ("NodeError", "no answer (see x)", "does not begin with its node"),
        ("ImagingError", "a\nb\nc\nd (see x)", "has too many lines"),
    ],
)
def test_a_bad_message_is_found(kind: str, message: str, words: str) -> None:
    entry = Entry("site/x.py", "f", kind, message, message, "tests/test_x.py::test")
    assert words in list(objections(entry))
