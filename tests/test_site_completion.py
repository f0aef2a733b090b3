"""Half-typed selections: examples, and what comes out is a selection again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaging.errors import ConfigurationError
from imaging.site.completion import complete_selection
from imaging.site.inventory import Interface, Inventory, Node
from imaging.site.selection import select


def node(name: str, number: int) -> Node:
    """A node with a card."""
    return Node(
        Interface(name, f"10.1.0.{number}", f"02:01:{number:02x}"),
        Interface(f"reboot{number:02}", f"10.2.0.{number}", f"02:02:{number:02x}"),
    )


SITE = Inventory(tuple(node(f"fit{number:02}", number) for number in range(1, 13)))
ODD = Inventory((node("rack-1", 1), node("rack-2", 2), node("gateway", 3), node("pc4", 4)))


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("fit1", "fit10 fit11 fit12"),
        ("rebo", " ".join(f"reboot{number:02}" for number in range(1, 13))),
        ("reboot1", "reboot10 reboot11 reboot12"),
        ("1", "1 10 11 12"),
        ("0", "01 02 03 04 05 06 07 08 09"),
        ("~fit1", "~fit10 ~fit11 ~fit12"),
        ("~12", "~12"),
        ("1,fit1", "1,fit10 1,fit11 1,fit12"),
        ("~1,3-1", "~1,3-10 ~1,3-11 ~1,3-12"),
        ("fit09-", "fit09-fit10 fit09-fit11 fit09-fit12"),
        ("fit09-fit12", "fit09-fit12"),
        ("9-", "9-10 9-11 9-12"),
        ("009-", "009-10 009-11 009-12"),
        ("12-", ""),
        ("fit09-fit12-", ""),
        ("fedora", ""),
        ("99-", ""),
    ],
)
def test_examples(word: str, expected: str) -> None:
    assert complete_selection(word, SITE) == expected.split()


def test_no_word_is_every_node() -> None:
    assert complete_selection("", SITE) == [node.name for node in SITE]


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("rack", ["rack-1", "rack-2"]),
        ("rack-", ["rack-1", "rack-2"]),  # no range: names have a dash
        ("rack-1-", []),
        ("gateway-", []),  # has no number
        ("4", ["4"]),
    ],
)
def test_names_that_are_not_as_usual(word: str, expected: list[str]) -> None:
    assert complete_selection(word, ODD) == expected


@given(st.text("~,-0123456789fitreboGAWYrackpc", max_size=12), st.sampled_from([SITE, ODD]))
def test_what_is_offered_goes_on_from_the_word_and_names_nodes(word: str, site: Inventory) -> None:
    """Also when the half-typed word is none: then only its last item has been looked at."""
    for offered in complete_selection(word, site):
        assert offered.startswith(word)
        last = offered.removeprefix("~").rpartition(",")[2]
        try:
            select([last], site)
        except ConfigurationError as error:
            pytest.fail(f"{offered}: {error}")
