"""The table of faults, the text of faults.json, and the countdown: as functions."""

import contextlib
import json
import re
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaging.errors import ConfigurationError
from imaging.testbed.fault_file import FaultFile
from imaging.testbed.faults import (
    KINDS,
    Fault,
    count_down,
    find,
    format_faults,
    format_what,
    parse_faults,
    parse_what,
    server_lines,
    spelling,
    table_lines,
    with_kind,
)
from tests.report_samples import DOCS


def test_a_file_reads_as_it_says() -> None:
    faults = parse_faults(
        b'{"fit03": {"cmc": "hang"}, '
        b'"fit04": {"cmc": "ignore-reset*2+late:0.5", "disk": "small:512"}}'
    )
    assert faults == {
        "fit03": {"cmc": (Fault("hang"),)},
        "fit04": {
            "cmc": (Fault("ignore-reset", None, 2), Fault("late", 0.5)),
            "disk": (Fault("small", 512),),
        },
    }
    assert parse_faults(format_faults(faults)) == faults


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "must be an object"),
        (b'{"../x": {}}', "is not the name of a node"),
        (b'{"fit01": "hang"}', "fit01: must be an object"),
        (b'{"fit01": {"cmc": 1}}', "fit01: cmc: must be a string"),
        (b'{"fit01": {"toaster": "hang"}}', "fit01: no kind of fault is 'toaster'"),
        (b'{"fit01": {"cmc": "explode"}}', "cmc cannot be 'explode'"),
        (b'{"fit01": {"cmc": ""}}', "cmc cannot be ''"),
        (b'{"fit01": {"cmc": "hang+"}}', "cmc cannot be ''"),
        (b'{"fit01": {"cmc": "hang*0"}}', "must act once to"),
        (b'{"fit01": {"cmc": "hang*-1"}}', "cannot be"),
        (b'{"fit01": {"cmc": "hang:3"}}', "hang takes no argument"),
        (b'{"fit01": {"cmc": "late"}}', "needs :SECONDS"),
        (b'{"fit01": {"cmc": "late:1.2.3"}}', "must be a number of SECONDS"),
        (b'{"fit01": {"cmc": "late:999999"}}', "SECONDS must be 0 to 86400"),
        (b'{"fit01": {"client": "fail:0"}}', "STATUS must be 1 to 255"),
        (b'{"fit01": {"disk": "small:1.5"}}', "must be a number of BYTES"),
    ],
)
def test_what_is_no_fault_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(words)):
        parse_faults(data)


@given(st.binary(max_size=200))
def test_any_file_is_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(ConfigurationError):
        parse_faults(data)


@st.composite
def settings(draw: st.DrawFn) -> tuple[str, str]:
    kind = draw(st.sampled_from(list(KINDS)))
    parts = []
    for word in draw(st.lists(st.sampled_from(list(KINDS[kind])), min_size=1, max_size=3)):
        argument = KINDS[kind][word][1]
        text = word
        if argument is not None:
            highest = int(argument.highest)
            text += f":{draw(st.integers(int(argument.lowest), highest))}"
        if draw(st.booleans()):
            text += f"*{draw(st.integers(1, 1_000_000))}"
        parts.append(text)
    return kind, "+".join(parts)


@given(settings())
def test_what_is_read_is_written_as_it_was(setting: tuple[str, str]) -> None:
    kind, text = setting
    assert format_what(parse_what(kind, text)) == text


def test_the_first_that_can_act_acts() -> None:
    faults = {"fit01": {"cmc": parse_what("cmc", "ignore-off+hang*1+late:2")}}
    assert find(faults, "fit01", "cmc", ("hang", "late")) == Fault("hang", None, 1)
    assert find(faults, "fit01", "cmc", ("refuse",)) is None
    assert find(faults, "fit01", "boot", ("never",)) is None
    assert find(faults, "fit02", "cmc", ("hang",)) is None


def test_each_use_counts_and_the_last_leaves_nothing() -> None:
    faults = parse_faults(b'{"fit01": {"cmc": "hang*2+late:1"}, "fit02": {"boot": "never"}}')
    for expected in (b'"hang*1+late:1"', b'"late:1"'):
        fault = find(faults, "fit01", "cmc", ("hang", "late"))
        assert fault is not None
        faults = count_down(faults, "fit01", "cmc", fault)
        assert expected in format_faults(faults)
    assert count_down(faults, "fit01", "cmc", Fault("late", 1)) == faults
    assert with_kind(faults, "fit01", "cmc", ()) == {"fit02": {"boot": (Fault("never"),)}}
    assert format_faults({}) == b"{}\n"


def test_the_defaults_of_arguments() -> None:
    assert parse_what("client", "fail") == (Fault("fail", 1),)
    assert parse_what("imagezip", "slow*1") == (Fault("slow", 3, 1),)


def test_takers_at_the_same_time_get_each_use_once(tmp_path: Path) -> None:
    path = tmp_path / "faults.json"
    path.write_text('{"fit01": {"cmc": "hang*50"}}')
    taken = []

    def take() -> None:
        file = FaultFile(path)
        taken.extend([file.take("fit01", "cmc", "hang") for _ in range(20)])

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(fault is not None for fault in taken) == 50
    assert json.loads(path.read_text()) == {}


def test_a_malformed_file_is_logged_once_and_ignored(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "faults.json"
    file = FaultFile(path)
    assert file.take("fit01", "cmc", "hang") is None
    path.write_text('{"fit01": {"cmc": "explode"}}')
    assert file.take("fit01", "cmc", "hang") is None
    assert file.take("fit01", "cmc", "hang") is None
    assert len([record for record in caplog.records if "explode" in record.message]) == 1
    with pytest.raises(ConfigurationError):
        file.change(lambda faults: faults)
    assert "explode" in path.read_text()
    file.clear()
    assert file.read() == {}


def test_every_kind_has_words_and_every_word_a_meaning() -> None:
    for words in KINDS.values():
        for word, (meaning, argument) in words.items():
            assert re.fullmatch(r"[a-z0-9-]+", word)
            assert len(meaning) < 80
            assert "\n" not in meaning
            assert word in spelling(word, argument)


def test_the_manual_has_the_code_s_tables() -> None:
    page = (DOCS / "testbed.md").read_text()
    for table in (table_lines(), server_lines()):
        assert "\n".join(["", *table, ""]) in page
