"""What a node's system says of itself: anything, as far as we know."""

import time
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaging.monitor.system import TEXT_LIMIT, parse_system, stamp_command

FEDORA = 'NAME=Fedora\nVERSION="21 (Twenty One)"\nPRETTY_NAME="Fedora 21 (Twenty One)"\n'


def test_the_answers_of_a_real_system() -> None:
    system = parse_system(1000.0, 12.5, "3.17.4-301.fc21.x86_64\n", FEDORA, "fedora-21\n")
    assert system.release == "Fedora 21 (Twenty One)"
    assert system.kernel == "3.17.4-301.fc21.x86_64"
    assert system.booted == 987.5
    assert system.stamp == "fedora-21"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("PRETTY_NAME=Alpine", "Alpine"),
        ("PRETTY_NAME='Debian GNU/Linux 12 (bookworm)'", "Debian GNU/Linux 12 (bookworm)"),
        ('  PRETTY_NAME="a\\"b"', 'a"b'),
        ('PRETTY_NAME="not closed', ""),
        ("PRETTY_NAME=", ""),
        ("NAME=nothing pretty", ""),
        ("", ""),
    ],
)
def test_the_release(text: str, name: str) -> None:
    assert parse_system(0, None, "", text, "").release == name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("fedora-21", "fedora-21"),
        ("old\nubuntu-16.04 saved by hand\n\n", "ubuntu-16.04"),
        ("2018-10-01 - image fedora-29 - node fit03 - by inria\n", "fedora-29"),
        ("2018 - image a - x\n2019 - image b - node fit01\n", "b"),
        ("image", "image"),
        ("", ""),
        (" \n\t\n", ""),
    ],
)
def test_the_stamp(text: str, name: str) -> None:
    assert parse_system(0, None, "", "", text).stamp == name


def test_an_uptime_that_leads_out_of_the_calendar_is_none() -> None:
    assert parse_system(time.time(), 999_999_999_999.0, "", "", "").booted is None


def test_the_stamp_file_is_quoted() -> None:
    assert stamp_command(PurePosixPath("/etc/a b; reboot")) == "cat '/etc/a b; reboot'"


@given(st.text(max_size=300), st.text(max_size=300), st.text(max_size=300))
def test_whatever_it_says_can_be_shown(kernel: str, release: str, stamp: str) -> None:
    system = parse_system(0, None, kernel, f"PRETTY_NAME={release}", stamp)
    for text in (system.kernel, system.release, system.stamp):
        assert text.isprintable()
        assert len(text) <= TEXT_LIMIT * len("\\U0010ffff")
