"""The inventory is validated whole, and each error names its place."""

import copy
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaging.errors import ConfigurationError
from imaging.site.inventory import SIZE_LIMIT, load_inventory, parse_inventory

SAMPLE = Path(__file__).parent.parent / "etc/imaging-inventory.json"


@pytest.fixture
def rows() -> list[dict[str, Any]]:
    loaded: list[dict[str, Any]] = json.loads(SAMPLE.read_text())
    return loaded


def test_the_sample_is_read() -> None:
    inventory = load_inventory(SAMPLE)
    assert [node.name for node in inventory] == ["fit01", "fit02", "fit03"]
    first = inventory.nodes[0]
    assert (first.number, first.control.ip, first.cmc.hostname) == (1, "192.168.3.1", "reboot01")
    assert inventory.nodes[2].data is None
    assert inventory.named("REBOOT02") is inventory.nodes[1]
    assert inventory.prefixed("data", 1) is first


def test_macs_come_in_any_spelling(rows: list[dict[str, Any]]) -> None:
    rows[0]["control"]["mac"] = "00-03-1D-0E-03-19"
    inventory = parse_inventory(json.dumps(rows).encode())
    assert inventory.nodes[0].control.mac == "00:03:1d:0e:03:19"


def test_a_card_may_be_of_another_model(rows: list[dict[str, Any]]) -> None:
    rows[1]["cmc"] |= {"model": "redfish", "system": "1"}
    inventory = parse_inventory(json.dumps(rows).encode())
    assert [(n.model, n.system) for n in inventory] == [(None, ""), ("redfish", "1"), (None, "")]
    assert [node.as_row() for node in inventory] == rows


def test_the_systems_of_one_bmc_share_its_address(rows: list[dict[str, Any]]) -> None:
    shared = {key: rows[0]["cmc"][key] for key in ("ip", "mac")} | {"model": "redfish"}
    for number, row in enumerate(rows[:2], start=1):
        row["cmc"] |= {**shared, "system": str(number)}
    inventory = parse_inventory(json.dumps(rows).encode())
    assert [(n.cmc.ip, n.system) for n in inventory][:2] == [
        ("192.168.1.1", "1"),
        ("192.168.1.1", "2"),
    ]
    assert [node.as_row() for node in inventory] == rows


@pytest.mark.parametrize("systems", [("1", "1"), ("1", ""), ("", "1")])
def test_two_nodes_are_never_one_system(
    rows: list[dict[str, Any]], systems: tuple[str, str]
) -> None:
    for system, row in zip(systems, rows, strict=False):
        row["cmc"] |= {"ip": "192.168.1.1", "system": system}
    with pytest.raises(ConfigurationError, match=r"is there already, at \[0\]\.cmc\.ip"):
        parse_inventory(json.dumps(rows).encode())


def test_a_bmc_with_systems_shares_no_address_with_a_node(rows: list[dict[str, Any]]) -> None:
    rows[0]["cmc"]["system"] = "1"
    rows[1]["control"]["ip"] = rows[0]["cmc"]["ip"]
    with pytest.raises(ConfigurationError, match=r"is there already, at \[0\]\.cmc\.ip"):
        parse_inventory(json.dumps(rows).encode())


def test_a_misspelt_key_of_a_row_without_a_name_is_told(rows: list[dict[str, Any]]) -> None:
    rows[1] = {"cmc": {**rows[1]["cmc"], "modell": "ipmi"}}
    with pytest.raises(ConfigurationError, match="lacks the interface control"):
        parse_inventory(json.dumps(rows).encode())


def test_a_card_may_have_a_login_of_its_own(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    rows[0]["cmc"] |= {"user": "", "password_file": "/etc/bmc"}
    rows[1]["cmc"] |= {"user": "me", "password_file": "secrets/bmc"}
    inventory = parse_inventory(json.dumps(rows).encode(), tmp_path / "inventory.json")
    assert [(node.user, node.password_file) for node in inventory] == [
        ("", Path("/etc/bmc")),
        ("me", tmp_path / "secrets/bmc"),
        (None, None),
    ]
    again = json.dumps([node.as_row() for node in inventory]).encode()
    assert parse_inventory(again).nodes == inventory.nodes


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        (("cmc", "user"), "a:b", r"\[1\]\.cmc\.user: 'a:b' is not the name of a user"),
        (("cmc", "user"), 7, r"\[1\]\.cmc\.user: 7 is not the name of a user"),
        (("cmc", "user"), "a" * 65, r"\[1\]\.cmc\.user: 'aaa"),
        (("cmc", "password_file"), "", r"\[1\]\.cmc\.password_file: '' is not the path of a file"),
        (("cmc", "password_file"), "a\0b", r"\[1\]\.cmc\.password_file: 'a.*' is not the path"),
        (("cmc", "password_file"), [], r"\[1\]\.cmc\.password_file: \[\] is not the path"),
        (("control", "mac"), "00:03:1d:0e:03", r"\[1\]\.control\.mac: .* is not a MAC"),
        (("control", "mac"), 7, r"\[1\]\.control\.mac must be a text"),
        (("control", "ip"), "192.168.3.300", r"\[1\]\.control\.ip: .* is not an IPv4"),
        (("cmc", "hostname"), "re boot", r"\[1\]\.cmc\.hostname: .* is not a hostname"),
        (("cmc", "hostname"), "../x", r"\[1\]\.cmc\.hostname"),
        (("control", "hostname"), "FIT01", r"FIT01 is there already, at \[0\]\.control\.hostname"),
        (("control", "ip"), "192.168.1.1", r"192.168.1.1 is there already, at \[0\]\.cmc\.ip"),
        (("data", "mac"), "00:03:1D:0E:03:19", r"is there already, at \[0\]\.control\.mac"),
        (("control",), None, r"\[1\]\.control must be an object"),
        (("cmc", "model"), "ilo", r"\[1\]\.cmc\.model: 'ilo' is none of cmc, redfish, ipmi, com"),
        (("cmc", "model"), [], r"\[1\]\.cmc\.model: \[\] is none of"),
        (("cmc", "system"), "../1", r"\[1\]\.cmc\.system: '../1' is not the name of a system"),
        (("other",), {}, r"\[1\]: unknown interface 'other'"),
        (
            ("cmc", "modell"),
            "ipmi",
            r"\[1\]\.cmc of 'fit02': unknown key 'modell', it may have .*model",
        ),
        (("cmc", "pasword_file"), "x", r"\[1\]\.cmc of 'fit02': unknown key 'pasword_file'"),
        (("control", "model"), "ipmi", r"\[1\]\.control of 'fit02': unknown key 'model', it may"),
        (("data", "vlan"), 3, r"\[1\]\.data of 'fit02': unknown key 'vlan'"),
    ],
)
def test_errors_name_the_place(
    rows: list[dict[str, Any]], place: tuple[str, ...], value: object, words: str
) -> None:
    target: Any = rows[1]
    for key in place[:-1]:
        target = target[key]
    target[place[-1]] = value
    with pytest.raises(ConfigurationError, match=words):
        parse_inventory(json.dumps(rows).encode())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"[\n{]", ":2: is not JSON"),
        (b"\xff", "not UTF-8"),
        (b"{}", "must be a list"),
        (b"[]", "at least one node"),
        (b"[1]", r"\[0\] must be an object"),
        (b"[{}]", r"\[0\]: lacks the interface cmc"),
        (b"[" * 100_000, "nested too deeply|not JSON"),
    ],
)
def test_what_is_no_inventory_is_refused(text: bytes, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        parse_inventory(text)


def test_a_file_too_large_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "inventory.json").open("wb") as stream:
        stream.truncate(SIZE_LIMIT + 1)
    with pytest.raises(ConfigurationError, match=f"is larger than {SIZE_LIMIT} bytes"):
        load_inventory(tmp_path / "inventory.json")


def test_a_missing_file_says_which_setting() -> None:
    with pytest.raises(ConfigurationError, match=r"\[inventory\] file"):
        load_inventory(Path("/nowhere/inventory.json"))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["cmc", "control", "hostname", "ip", "mac", "system"]), inner
        )
    ),
    max_leaves=20,
)


@given(JSON)
def test_any_json_is_an_inventory_or_a_clear_error(value: Any) -> None:
    try:
        inventory = parse_inventory(json.dumps(copy.deepcopy(value)).encode())
    except ConfigurationError as error:
        assert str(error).startswith("inventory")
    else:
        assert len(inventory) > 0


@given(st.binary())
def test_any_bytes_are_an_inventory_or_a_clear_error(data: bytes) -> None:
    with pytest.raises(ConfigurationError):
        parse_inventory(data)


def test_a_number_of_many_digits_is_a_clear_error() -> None:
    with pytest.raises(ConfigurationError, match="number too long"):
        parse_inventory(b"[" + b"1" * 5000 + b"]")


def test_a_pipe_is_refused_without_waiting_for_its_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "inventory.json")
    with pytest.raises(ConfigurationError, match="not a regular file"):
        load_inventory(tmp_path / "inventory.json")
