"""The selector: examples, errors, and properties against a naive model."""

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from imaging.errors import ConfigurationError
from imaging.site.inventory import Interface, Inventory, Node
from imaging.site.selection import format_selection, select


def node(number: int, prefix: str = "fit", width: int = 2) -> Node:
    control, cmc, data = (
        Interface(f"{name}{number:0{width}}", f"10.{net}.0.{number}", f"02:0{net}:{number:02x}")
        for net, name in enumerate((prefix, "reboot", "data"), start=1)
    )
    return Node(control, cmc, data)


SITE = Inventory(tuple(node(n) for n in range(1, 38)))
HOLES = Inventory(tuple(node(n) for n in (1, 2, 4, 5, 9)))


def numbers(spec: str, site: Inventory = SITE, **options: object) -> list[int]:
    selection = select(spec.split(), site, **options)  # type: ignore[arg-type]
    return [n.number or 0 for n in selection.nodes]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("1", [1]),
        ("004", [4]),
        ("fit15", [15]),
        ("fit015", [15]),
        ("FIT15", [15]),
        ("reboot18", [18]),
        ("data2", [2]),
        ("3 1 2 3", [1, 2, 3]),
        ("1-3", [1, 2, 3]),
        ("1-1", [1]),
        ("1-10-2", [1, 3, 5, 7, 9]),
        ("1-10-100", [1]),
        ("fit01-fit04-3", [1, 4]),
        ("fit15-reboot18", [15, 16, 17, 18]),
        ("1,3-5", [1, 3, 4, 5]),
        ("1-12 fit15-reboot18 ~4-6", [1, 2, 3, 7, 8, 9, 10, 11, 12, 15, 16, 17, 18]),
        ("1-5 ~2,4", [1, 3, 5]),
        ("1-5 ~fit2-4", [1, 5]),
        ("1-3 ~2 2", [1, 2, 3]),
        ("1-3 ~7", [1, 2, 3]),
    ],
)
def test_examples(spec: str, expected: list[int]) -> None:
    assert numbers(spec) == expected


def test_holes_in_a_range_are_skipped_but_its_ends_must_exist() -> None:
    assert numbers("1-9", HOLES) == [1, 2, 4, 5, 9]
    with pytest.raises(ConfigurationError, match="'3' .in '3-9'. is not a node"):
        numbers("3-9", HOLES)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("99", "'99' is not a node .nodes are numbered from 1 to 37"),
        ("1-99", "'99' .in '1-99'. is not a node"),
        ("~99 1", "removes from nothing"),
        ("1 ~99", "'99' is not a node"),
        ("~4", "use -a"),
        ("5-1", "reversed .did you mean 1-5"),
        ("1-5-0", "step '0'"),
        ("1-5-x", "step 'x'"),
        ("1-5-2-2", "4 parts"),
        ("1,,2", "missing in the list"),
        ("~", "removes from nothing"),
        ("1 ~", "missing in the list"),
        ("1-", "'1-' is not a node"),
        ("-1", "'-1' is not a node"),
        ("fit", "'fit' is not a node"),
        ("fitfitfit2", "'fitfitfit2' is not a node"),
        ("ftt02", "did you mean fit02"),
        ("1 ~1", "leaves no node"),
        ("fedora-21", "'fedora-21' is not a node. Did you mean -i fedora-21"),
        ("fedora-21.ndz", "Did you mean -i fedora-21.ndz"),
        ("9999999999999999999", "is not a node"),
    ],
)
def test_errors(spec: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        numbers(spec, image_names=["fedora-21"])


def test_without_arguments_the_variable_is_used() -> None:
    selection = select([], SITE, nodes_variable="fit01 fit02\n3")
    assert (selection.names, selection.origin) == (("fit01", "fit02", "fit03"), "$NODES")
    for variable in (None, "", "  "):
        with pytest.raises(ConfigurationError, match=r"set \$NODES"):
            select([], SITE, nodes_variable=variable)


def test_all_is_the_variable_else_the_setting_else_the_inventory() -> None:
    assert numbers("", use_all=True, all_variable="1-3", all_setting="1-2") == [1, 2, 3]
    assert numbers("", use_all=True, all_variable="", all_setting="1-2") == [1, 2]
    assert numbers("", HOLES, use_all=True) == [1, 2, 4, 5, 9]
    assert numbers("~4 ~5-9", HOLES, use_all=True) == [1, 2]
    assert numbers("~4 4", HOLES, use_all=True) == [1, 2, 4, 5, 9]
    assert numbers("~1", use_all=True, nodes_variable="7", all_variable="1-3") == [2, 3]


def test_all_and_more_nodes_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="-a selects all nodes already"):
        numbers("5", use_all=True)


def test_an_exact_name_wins_over_a_range() -> None:
    site = Inventory((node(1, "rack-1-"), node(2, "rack-1-"), node(7, "x")))
    assert [n.name for n in select(["rack-1-01"], site).nodes] == ["rack-1-01"]


def test_a_number_that_several_nodes_have_is_ambiguous() -> None:
    control, cmc, data = (
        Interface(f"b{k}1", f"10.9.9.{n}", f"02:00:0{n}") for n, k in enumerate(("", "c", "d"))
    )
    site = Inventory((node(1, "a"), Node(control, cmc, data)))
    with pytest.raises(ConfigurationError, match="1 could be a01, b1"):
        numbers("1", site)
    assert [n.name for n in select(["a01", "b1"], site).nodes] == ["a01", "b1"]


ITEMS = st.tuples(st.integers(1, 37), st.integers(1, 37), st.integers(1, 5), st.booleans()).map(
    lambda t: (min(t[:2]), max(t[:2]), t[2], t[3])
)


@given(st.lists(ITEMS, min_size=1, max_size=8))
def test_a_selection_is_what_sets_say(items: list[tuple[int, int, int, bool]]) -> None:
    expected: set[int] = set()
    words = []
    for index, (low, high, step, removes) in enumerate(items):
        removed = removes and index > 0
        values = set(range(low, high + 1, step))
        expected = expected - values if removed else expected | values
        words.append(f"{'~' * removed}fit{low:02}-{high}-{step}")
    assume(expected)
    assert numbers(" ".join(words)) == sorted(expected)


@given(st.sets(st.integers(1, 37), min_size=1))
def test_the_short_form_reads_back(chosen: set[int]) -> None:
    nodes = [n for n in SITE if n.number in chosen]
    spec = format_selection(nodes)
    assert select(spec.split(), SITE).nodes == tuple(nodes)


def test_the_short_form_is_short() -> None:
    nodes = [n for n in SITE if n.number in (1, 2, 3, 4, 7, 9, 10)]
    assert format_selection(nodes) == "fit01-fit04 fit07 fit09 fit10"


@given(st.lists(st.text(alphabet="0123456789-~,fitreboot ", max_size=12)), st.booleans())
def test_any_words_are_a_selection_or_a_clear_error(words: list[str], use_all: bool) -> None:
    try:
        selection = select(words, SITE, use_all=use_all)
    except ConfigurationError as error:
        assert str(error)
    else:
        assert selection.nodes


TWO_FAMILIES = Inventory(
    tuple(
        Node(
            Interface(f"{name}{n:02}", f"10.{net}.0.{n}", f"02:0{net}:{n:02x}"),
            Interface(f"cmc-{name}{n:02}", f"10.{net}.1.{n}", f"02:1{net}:{n:02x}"),
        )
        for net, name in enumerate(("fit", "pc"), start=1)
        for n in range(1, 6)
    )
)


def test_a_range_of_names_stays_in_its_family() -> None:
    assert select(["fit02-fit04"], TWO_FAMILIES).names == ("fit02", "fit03", "fit04")
    with pytest.raises(ConfigurationError, match="could be fit01, pc01"):
        select(["1-3"], TWO_FAMILIES)


@given(st.sets(st.sampled_from(TWO_FAMILIES.nodes), min_size=1))
def test_the_short_form_reads_back_among_two_families(chosen: set[Node]) -> None:
    nodes = tuple(n for n in TWO_FAMILIES if n in chosen)
    assert set(select(format_selection(nodes).split(), TWO_FAMILIES).nodes) == set(nodes)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"nodes_variable": "~4 1-3"}, r"in \$NODES: '~4' removes from nothing"),
        ({"nodes_variable": "99"}, r"in \$NODES: '99' is not a node"),
        ({"use_all": True, "all_variable": "~4 1-3"}, r"in \$ALL_NODES: '~4' removes"),
        ({"use_all": True, "all_setting": "99"}, r"in \[inventory\] all_nodes: '99'"),
        ({"use_all": True, "all_setting": "1 ~1"}, r"\[inventory\] all_nodes leaves no node"),
    ],
)
def test_what_is_wrong_in_a_variable_names_it(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        numbers("", **options)


def test_an_argument_is_not_blamed_on_the_variable() -> None:
    with pytest.raises(ConfigurationError, match="^'~99'|^'99'"):
        numbers("~99", use_all=True, all_variable="1-3")


@pytest.mark.parametrize("image", ["fit1-7", "ubuntu14-2", "a,b"])
def test_a_forgotten_i_is_told_also_when_the_image_reads_like_a_range(image: str) -> None:
    with pytest.raises(ConfigurationError, match=f"Did you mean -i {image}"):
        select([image], HOLES, image_names=[image])
