"""Choosing images by patterns."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaging.images.catalogue import Entry, Kind
from imaging.images.patterns import choose, matches

NAMES = ["debian-12", "Fedora-40", "fedora-41", "ubuntu"]
names = st.text(st.sampled_from("abAB01-._+"), min_size=1, max_size=12)


def entry(name: str) -> Entry:
    return Entry(name=name, kind=Kind.IMAGE, path=Path(name), file=Path(name))


def chosen(*patterns: str, every: bool = False) -> tuple[list[str], list[str]]:
    found, in_vain = choose(map(entry, NAMES), patterns, every=every)
    return [one.name for one in found], in_vain


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("dora", "Fedora-40", True),
        ("DORA", "Fedora-40", True),
        ("Fedora-40.ndz", "fedora-40", True),
        ("fedora*", "Fedora-40", True),
        ("dora*", "fedora-40", False),
        ("*-4?", "fedora-40", True),
        ("*-4[1-3]", "fedora-40", False),
        ("ndz", "fedora-40", False),
        ("", "fedora-40", True),
        ("[", "fedora-40", False),
    ],
)
def test_patterns(pattern: str, name: str, fits: bool) -> None:
    assert matches(pattern, name) is fits


@given(names, names, names)
def test_a_part_fits_and_so_does_its_glob(before: str, part: str, after: str) -> None:
    name = before + part + after
    assert matches(part, name)
    assert matches(f"*{part}*", name)
    assert matches("?" * len(name), name)
    assert not matches("?" * (len(name) + 1), name)


def test_any_pattern_or_every_one() -> None:
    assert chosen() == (NAMES, [])
    assert chosen(every=True) == (NAMES, [])
    assert chosen("fedora", "12") == (["debian-12", "Fedora-40", "fedora-41"], [])
    assert chosen("fedora", "41", every=True) == (["fedora-41"], [])


def test_patterns_in_vain_are_named() -> None:
    assert chosen("ubuntu", "suse", "*x") == (["ubuntu"], ["suse", "*x"])
    assert chosen("ubuntu", "fedora", every=True) == ([], ["ubuntu and fedora"])


@given(st.lists(names, max_size=4), st.lists(names, max_size=3))
def test_every_is_a_part_of_any(stems: list[str], patterns: list[str]) -> None:
    entries = [entry(stem) for stem in stems]
    every, _ = choose(entries, patterns, every=True)
    some, _ = choose(entries, patterns, every=False)
    assert [one for one in some if one in every] == every
