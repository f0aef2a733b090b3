"""The frisbee tools of a site's own: what of a directory goes into a ramdisk, and what never."""

import re
import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from imaging.errors import ConfigurationError
from imaging.ramdisk.programs import own_programs
from imaging.ramdisk.tree import File

SHELL = Path("/bin/sh").resolve()
AARCH64 = 183


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with both tools, and with what else may be in one."""
    for name in ("frisbee", "imagezip"):
        shutil.copy(SHELL, tmp_path / name)
    for name in ("id_ed25519", "busybox", "python3", "libx.so.1", "README"):
        (tmp_path / name).write_text("mine")
        (tmp_path / name).chmod(0o755)
    return tmp_path


def test_nothing_but_the_tools_is_given_to_everybody(place: Path) -> None:
    (place / "imageunzip").write_text("#!/bin/sh\nexec other\n")
    (place / "imageunzip").chmod(0o755)
    found = own_programs(place)
    assert sorted(found) == ["usr/bin/frisbee", "usr/bin/imageunzip", "usr/bin/imagezip"]
    assert found["usr/bin/frisbee"] == File(SHELL.read_bytes(), executable=True)


def test_programs_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="has no frisbee and no imagezip"):
        own_programs(tmp_path)
    with pytest.raises(ConfigurationError, match="nowhere: No such file or directory"):
        own_programs(tmp_path / "nowhere")


def _not_executable(file: Path) -> None:
    file.chmod(0o644)


def _dangling(file: Path) -> None:
    file.unlink()
    file.symlink_to("nowhere")


def _directory(file: Path) -> None:
    file.unlink()
    file.mkdir()


def _text(file: Path) -> None:
    file.write_text("x")


def _python(file: Path) -> None:
    file.write_text("#!/usr/bin/env python3\n")


def _cut_off(file: Path) -> None:
    file.write_bytes(SHELL.read_bytes()[:60])


def _of_another_processor(file: Path) -> None:
    data = bytearray(SHELL.read_bytes())
    struct.pack_into("<H", data, 18, AARCH64)
    file.write_bytes(data)


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (_not_executable, "imagezip is not an executable file (--frisbee-bin"),
        (_dangling, "imagezip is not an executable file"),
        (_directory, "imagezip is not an executable file"),
        (_text, "imagezip is neither a program nor a script for /bin/sh"),
        (_python, "imagezip is neither a program nor a script for /bin/sh"),
        (_cut_off, "imagezip is no program that can be read"),
        (_of_another_processor, "imagezip is no program for amd64, but for EM_AARCH64"),
    ],
)
def test_what_no_node_could_run_is_refused(
    place: Path, harm: Callable[[Path], None], words: str
) -> None:
    harm(place / "imagezip")
    with pytest.raises(ConfigurationError, match=re.escape(words)):
        own_programs(place)


def test_a_tool_that_cannot_be_looked_at_is_told(place: Path) -> None:
    (place / "imagezip").unlink()
    (place / "imagezip").symlink_to("imagezip")
    with pytest.raises(ConfigurationError, match=r"imagezip(:| is not an executable file)"):
        own_programs(place)


@pytest.mark.skipif(shutil.which("gcc") is None, reason="the program is made with gcc")
def test_a_program_that_is_linked_statically_is_taken(place: Path) -> None:
    words = ["gcc", "-static", "-nostdlib", "-x", "c", "-", "-o", str(place / "frisbee")]
    subprocess.run(words, input=b"void _start(void) { for (;;); }", check=True)
    data = (place / "frisbee").read_bytes()
    assert own_programs(place)["usr/bin/frisbee"] == File(data, executable=True)
