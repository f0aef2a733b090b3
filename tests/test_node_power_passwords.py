"""Passwords of BMCs: where they come from, and what is refused; none is ever told."""

import os
from pathlib import Path

import pytest

from imaging.errors import ConfigurationError
from imaging.node.power.passwords import VARIABLE, find_password


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file that only its owner may read."""
    path = tmp_path / "password"
    path.touch(0o600)
    return path


def found(file: Path | None = None, password: str = "", user: str = "root") -> str:
    return find_password("power_ipmi", user, password, file)


def test_the_setting_comes_first_then_the_file_then_the_variable(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "of-the-variable")
    file.write_text("of-the-file\n")
    assert found(file, "of-the-setting") == "of-the-setting"
    assert found(file) == "of-the-file"
    assert found() == "of-the-variable"
    assert found(user="") == ""


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is not one line of UTF-8 text"),
        (b"\xff\n", "is not one line of UTF-8 text"),
        (b"HUNTER2\nHUNTER2\n", "is more than one line of 256 bytes"),
        (b"HUNTER2" * 50, "is more than one line of 256 bytes"),
        (b"HUNTER2\x07\n", "holds a control character"),
        (b"\n", "there is no password for the user root"),
    ],
)
def test_what_is_no_password_is_refused(file: Path, data: bytes, words: str) -> None:
    file.write_bytes(data)
    with pytest.raises(ConfigurationError, match=words) as caught:
        found(file)
    assert "[power_ipmi]" in caught.value.message
    assert "HUNTER2" not in str(caught.value)


def test_a_file_that_others_may_read_is_refused(file: Path) -> None:
    file.chmod(0o644)
    with pytest.raises(ConfigurationError, match="all users of this host can read or write it"):
        found(file)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(ConfigurationError, match="pipe: is not a regular file"):
        found(tmp_path / "pipe")
    with pytest.raises(ConfigurationError, match="gone: No such file or directory"):
        found(tmp_path / "gone")
