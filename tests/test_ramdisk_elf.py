"""The libraries of programs: of this host's shell, and of what is none."""

from pathlib import Path

import pytest

from imaging.errors import ConfigurationError
from imaging.ramdisk.elf import is_elf, library_closure, needed_libraries

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
