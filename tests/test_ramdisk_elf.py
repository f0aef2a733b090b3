"""The libraries of programs: of this host's shell, and of what is none."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaging.errors import ConfigurationError
from imaging.ramdisk.elf import is_elf, library_closure, module_info, needed_libraries

SHELL = Path("/bin/sh").resolve()


def test_a_program_tells_its_libraries() -> None:
    data = SHELL.read_bytes()
    assert is_elf(data)
    assert any(name.startswith("libc.") for name in needed_libraries("sh", data))


def test_libraries_of_libraries_are_found_once() -> None:
    asked: list[str] = []

    def find(name: str) -> bytes:
        asked.append(name)
        return SHELL.read_bytes()  # which needs the same again

    found = library_closure([("sh", SHELL.read_bytes())], find)
    assert sorted(found) == sorted(asked)
    assert len(set(asked)) == len(asked)


def test_a_library_that_is_nowhere_is_told() -> None:
    libraries: dict[str, bytes] = {}
    with pytest.raises(ConfigurationError, match=r"^sh needs \S+, which is nowhere"):
        library_closure([("sh", SHELL.read_bytes())], libraries.get)


@pytest.mark.parametrize("length", [0, 4, 40, 70])
def test_what_is_cut_off_is_no_program(length: int) -> None:
    with pytest.raises(ConfigurationError, match="^sh is no program that can be read"):
        needed_libraries("sh", SHELL.read_bytes()[:length])


def test_a_program_without_a_table_of_sections_tells_its_libraries() -> None:
    data = bytearray(SHELL.read_bytes())
    data[0x28:0x30] = bytes(8)  # where it begins
    data[0x3C:0x40] = bytes(4)  # how long it is, and where its names are
    assert needed_libraries("sh", bytes(data)) == needed_libraries("sh", SHELL.read_bytes())


@pytest.mark.parametrize(("offset", "value"), [(4, 1), (18, 183), (18, 3)])
def test_a_program_for_another_processor_is_refused(offset: int, value: int) -> None:
    data = bytearray(SHELL.read_bytes())
    data[offset] = value
    with pytest.raises(ConfigurationError, match="^sh is no program "):
        needed_libraries("sh", bytes(data))


@given(st.lists(st.tuples(st.integers(16, 1200), st.binary(min_size=1, max_size=8)), max_size=6))
def test_whatever_its_headers_say_it_is_read_or_refused(changes: list[tuple[int, bytes]]) -> None:
    data = bytearray(SHELL.read_bytes())
    for place, value in changes:
        data[place : place + len(value)] = value
    for read in (needed_libraries, module_info):
        try:
            read("sh", bytes(data))
        except ConfigurationError as error:
            assert str(error).startswith("sh is no ")


@pytest.mark.parametrize("size", [0xFF, 0x7F])
def test_a_table_that_nobody_can_reach_is_an_error(size: int) -> None:
    data = bytearray(SHELL.read_bytes())
    data[0x20:0x28] = bytes([size] * 8)  # where that of segments begins
    data[0x28:0x30] = bytes([size] * 8)
    for read in (needed_libraries, module_info):
        with pytest.raises(ConfigurationError, match="^sh is no "):
            read("sh", bytes(data))
