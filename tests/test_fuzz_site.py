"""Whatever stands in settings, inventories, selections, locks and fault files: ours or refused."""

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imaging.errors import ConfigurationError
from imaging.site.inventory import Interface, Inventory, Node, parse_inventory
from imaging.site.locks import LockDirectory
from imaging.site.schema import Settings
from imaging.site.selection import select
from imaging.site.settings import LoadedSettings, load_settings
from imaging.testbed.faults import KINDS, format_faults, parse_faults

SECTIONS = [*Settings.__struct_fields__, "nothing", "[", ""]
KEYS = sorted(
    {
        key
        for name in Settings.__struct_fields__
        for key in getattr(Settings(), name).__struct_fields__
    }
)
VALUES = st.sampled_from(
    [
        "",
        "nan",
        "inf",
        "-1",
        "1e400",
        "9" * 5000,
        "0x10",
        "\u0661",
        "~",
        "~nobody/x",
        "'a b'",
        "'",
        "239.0.0.0/8",
        "1-2",
        "0-99999",
        "/dev/sda",
        "/\x03",
        "a\rb",
        "a\x1b[6nb",
        "true",
        "cmc",
    ]
) | st.text(max_size=20)
LINES = st.one_of(
    st.sampled_from(SECTIONS).map("[{}]".format),
    st.builds("{} = {}".format, st.sampled_from(KEYS), VALUES),
    st.builds("{}.{} = {}".format, st.sampled_from(KEYS), st.text(max_size=5), VALUES),
    st.text(max_size=20),
)


def loaded(directory: Path, data: bytes) -> LoadedSettings:
    file = directory / "imaging.conf"
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(data)
    return load_settings(environment={"IMAGING_CONF": str(file)}, hostname="here")


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


@settings(deadline=None)
@given(st.lists(LINES, max_size=8))
def test_any_settings_are_settings_or_refused(directory: Path, lines: list[str]) -> None:
    text = "\n".join(lines)
    try:
        found = loaded(directory, text.encode()).settings
    except ConfigurationError as error:
        assert str(error)
        return
    for section in Settings.__struct_fields__:
        for key in getattr(found, section).__struct_fields__:
            value = getattr(getattr(found, section), key)
            assert not isinstance(value, float) or 0 <= value <= 1_000_000
            assert not isinstance(value, str) or not any(c < " " or c == "\x7f" for c in value)


@given(data=st.binary(max_size=60))
def test_any_bytes_are_settings_or_refused(directory: Path, data: bytes) -> None:
    try:
        loaded(directory, data)
    except ConfigurationError as error:
        assert "imaging.conf" in str(error)


@pytest.mark.parametrize("value", ["a\rreboot", "a\x03b", "a\tb", "a\x1b[6nb", "a\x7fb", "a\x9bb"])
def test_what_a_terminal_would_obey_is_no_setting(directory: Path, value: str) -> None:
    """Commands are typed at a terminal: its line discipline does not know of quotes."""
    with pytest.raises(ConfigurationError, match="client holds a control character"):
        loaded(directory, f"[ramdisk]\nclient = {value}\n".encode())


TEXTS = st.text(st.characters(), max_size=12) | st.sampled_from(
    [
        "fit01",
        "FIT01",
        "reboot01",
        "10.0.0.1",
        "010.0.0.1",
        "02:00:00:00:00:01",
        "02-00-00-00-00-0A",
        "\ud800",
        "server",
        "fit\u0661",
        "9" * 300,
        "fit01\n",
        "../x",
        "-x",
    ]
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXTS, inner, max_size=2),
    max_leaves=4,
)
INTERFACES = st.fixed_dictionaries({"hostname": TEXTS, "ip": TEXTS, "mac": TEXTS}) | ANYTHING
ROWS = st.lists(
    st.fixed_dictionaries(
        {"cmc": INTERFACES, "control": INTERFACES}, optional={"data": INTERFACES, "x": INTERFACES}
    )
    | ANYTHING,
    max_size=3,
)


@given(ROWS)
def test_any_rows_are_an_inventory_or_refused(rows: list[Any]) -> None:
    try:
        inventory = parse_inventory(json.dumps(rows).encode())
    except ConfigurationError as error:
        assert str(error).isprintable()
        return
    for node in inventory:
        # names become those of files, and words of commands
        assert node.name.isascii()
        assert "/" not in node.name
        assert not node.name.startswith((".", "-"))


SITE = Inventory(
    tuple(
        Node(
            Interface(f"fit{number:02}", f"10.0.0.{number}", f"02:00:00:00:00:{number:02x}"),
            Interface(f"cmc{number:02}", f"10.0.1.{number}", f"02:00:00:00:01:{number:02x}"),
        )
        for number in (1, 2, 3, 7)
    )
)
ITEMS = st.sampled_from(
    [
        "fit01",
        "FIT1",
        "cmc07",
        "1",
        "0",
        "07",
        "-",
        "~",
        ",",
        "9" * 400,
        "999999999",
        "\u0661",
        "-a",
        "~~",
    ]
) | st.text(st.characters(), max_size=6)
SELECTIONS = st.lists(st.lists(ITEMS, max_size=5).map("".join), max_size=5)


@given(SELECTIONS, st.text(max_size=10) | st.none(), st.booleans())
def test_any_words_are_a_selection_or_refused(
    words: list[str], variable: str | None, use_all: bool
) -> None:
    try:
        found = select(words, SITE, nodes_variable=variable, all_variable=variable, use_all=use_all)
    except ConfigurationError as error:
        assert str(error)
    else:
        assert set(found.nodes) <= set(SITE)
        assert found.nodes


def test_a_range_without_end_takes_no_time() -> None:
    started = time.process_time()
    for word in ("1-999999999", "fit1-fit999999999-1", ",".join(["1-7"] * 5000)):
        try:
            select([word], SITE)
        except ConfigurationError as error:
            assert str(error)
    assert time.process_time() - started < 1


OWNERS = st.fixed_dictionaries(
    {"user": ANYTHING, "process": ANYTHING, "command": ANYTHING, "since": ANYTHING | st.floats()}
)


@pytest.fixture(scope="module")
def locks(directory: Path) -> LockDirectory:
    return LockDirectory(directory)


def owner_told(locks: LockDirectory, told: bytes) -> str:
    with locks.take("fit01", "x"):
        (locks.directory / "fit01.lock").write_bytes(told)
        return str(locks.holder("fit01"))


@given(told=OWNERS | ANYTHING)
def test_any_owner_of_a_lock_can_be_named(locks: LockDirectory, told: Any) -> None:
    words = owner_told(locks, json.dumps(told).encode())
    assert words.isprintable()
    assert len(words) < 2200


@pytest.mark.parametrize("since", ["1e300", "1e17", "-1e17", "NaN", "Infinity"])
def test_a_time_that_is_none_is_nobodys(locks: LockDirectory, since: str) -> None:
    told = f'{{"user": "eve", "process": 1, "command": "x", "since": {since}}}'
    assert owner_told(locks, told.encode()) == "a command of somebody"


WHATS = st.lists(
    st.sampled_from([word for words in KINDS.values() for word in words])
    | st.sampled_from([":", "*", "+", "1", "9" * 30, ".", "-1", "1e9", "\u0661", " "]),
    max_size=6,
).map("".join)


@given(
    st.dictionaries(
        TEXTS,
        st.dictionaries(st.sampled_from([*KINDS, "x"]), WHATS, max_size=3) | ANYTHING,
        max_size=3,
    )
)
def test_any_faults_are_faults_or_refused(told: dict[str, Any]) -> None:
    try:
        faults = parse_faults(json.dumps(told).encode())
    except ConfigurationError as error:
        assert str(error)
    else:
        assert parse_faults(format_faults(faults)) == faults
