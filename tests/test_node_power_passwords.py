"""Who logs in on a BMC: the inventory's, or whom the settings name; no password is ever told."""

import os
from pathlib import Path

import pytest
from msgspec.structs import replace

from imaging.errors import ConfigurationError
from imaging.node.power.passwords import VARIABLE, Login, find_logins
from imaging.site.inventory import Interface, Node
from imaging.site.power_schema import PowerIpmiSettings, PowerRedfishSettings

SECRET = "HUNTER2"


def node(number: int, user: str | None = None, password_file: Path | None = None) -> Node:
    control = Interface(f"fit{number:02}", f"127.0.3.{number}", f"02:00:00:00:03:{number:02}")
    cmc = Interface(f"reboot{number:02}", f"127.0.1.{number}", f"02:00:00:00:01:{number:02}")
    return Node(control, cmc, model="redfish", user=user, password_file=password_file)


def secret(file: Path, text: str = SECRET, mode: int = 0o600) -> Path:
    file.write_text(f"{text}\n")
    file.chmod(mode)
    return file


def test_a_node_has_what_the_settings_say_but_for_its_own(tmp_path: Path) -> None:
    settings = PowerRedfishSettings(user="all", password_file=secret(tmp_path / "all", "shared"))
    own = secret(tmp_path / "own", "own")
    nodes = [
        node(1),
        node(2, user="other"),
        node(3, password_file=own),
        node(4, user="other", password_file=own),
        node(5, user=""),
    ]
    logins = find_logins("power_redfish", settings, nodes)
    assert [(login.user, login.password) for login in logins.values()] == [
        ("all", "shared"),
        ("other", "shared"),
        ("all", "own"),
        ("other", "own"),
        ("", ""),
    ]
    assert list(logins) == [f"fit0{number}" for number in range(1, 6)]
    assert "shared" not in repr(logins)


def test_the_password_of_the_settings_is_not_for_who_has_a_file(tmp_path: Path) -> None:
    settings = PowerIpmiSettings(password=SECRET)
    logins = find_logins(
        "power_ipmi", settings, [node(1), node(2, password_file=secret(tmp_path / "own", "own"))]
    )
    assert [login.password for login in logins.values()] == [SECRET, "own"]


def test_the_environment_is_the_last_resort(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, SECRET)
    found = find_logins("power_ipmi", PowerIpmiSettings(), [node(1)])
    assert found == {"fit01": Login("root", SECRET)}


def test_without_nodes_no_file_is_read() -> None:
    assert find_logins("power_ipmi", PowerIpmiSettings(password_file=Path("/none")), []) == {}


@pytest.mark.parametrize(
    ("text", "mode", "words"),
    [
        (SECRET, 0o644, "all users of this host can read or write it"),
        (f"{SECRET}\n{SECRET}", 0o600, "is more than one line"),
        (f"{SECRET}\x1b", 0o600, "holds a control character"),
        ("", 0o600, "there is no password for the user root of the inventory's reboot01"),
    ],
)
def test_a_file_that_cannot_be_used_names_its_node(
    tmp_path: Path, text: str, mode: int, words: str
) -> None:
    file = secret(tmp_path / "own", text, mode)
    with pytest.raises(ConfigurationError, match="the inventory's reboot01") as caught:
        find_logins("power_redfish", PowerRedfishSettings(), [node(1, password_file=file)])
    assert words in str(caught.value)
    assert SECRET not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    settings = replace(PowerRedfishSettings(), password_file=tmp_path / "none")
    with pytest.raises(ConfigurationError, match=r"\[power_redfish\] password_file .*No such file"):
        find_logins("power_redfish", settings, [node(1)])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file that only its owner may read."""
    path = tmp_path / "password"
    path.touch(0o600)
    return path


def found(file: Path | None = None, password: str = "", user: str = "root") -> str:
    settings = PowerIpmiSettings(user=user, password=password, password_file=file)
    return find_logins("power_ipmi", settings, [node(1)])["fit01"].password


def test_the_setting_comes_first_then_the_file_then_the_variable(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "of-the-variable")
    file.write_text("of-the-file\n")
    with pytest.raises(ValueError, match="password: is set, and password_file is, too"):
        found(file, "of-the-setting")
    assert found(password="of-the-setting") == "of-the-setting"
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
