"""The effective settings as a list: texts, and no secret ever in it."""

from pathlib import Path
from typing import Annotated

import msgspec
import pytest

from imaging.cli.config import as_text
from imaging.errors import ConfigurationError
from imaging.site.effective import choose_values, effective_values
from imaging.site.ini import Entry
from imaging.site.setting_types import MASK, Secret, is_secret
from imaging.site.settings import _convert

Token = Annotated[Secret, msgspec.Meta(pattern="^[a-z]*$")]


class LeasesSettings(msgspec.Struct, frozen=True):
    """A section as a site with an API would have it."""

    url: str = "https://api"
    password: Secret = ""
    token: Token | None = None
    retries: int = 3
    pause_s: float = 0.25
    patience_s: float = 1_000_000.0
    verify: bool = True
    cache: Path | None = None


class MadeUpSettings(msgspec.Struct, frozen=True):
    """Settings with that section only."""

    leases: LeasesSettings


ORIGINS = {f"leases.{key}": "/etc/imaging.conf:9" for key in LeasesSettings.__struct_fields__}


def made_up(section: LeasesSettings) -> MadeUpSettings:
    return MadeUpSettings(section)


def test_secrets_are_masked_wherever_they_come_from() -> None:
    section = LeasesSettings(password="hunter2", token="abracadabra")
    values = effective_values(made_up(section), ORIGINS)
    found = {value.key: value.value for value in values}
    assert (found["password"], found["token"], found["url"]) == (MASK, MASK, "https://api")
    text = "\n".join(as_text(values)) + repr(values)
    assert "hunter2" not in text
    assert "abracadabra" not in text


def test_that_no_secret_is_set_is_told() -> None:
    values = effective_values(made_up(LeasesSettings()), ORIGINS)
    found = {value.key: value.value for value in values}
    assert (found["password"], found["token"]) == ("", None)


def test_what_is_secret() -> None:
    assert is_secret(Secret)
    assert is_secret(Secret | None)
    assert is_secret(Token)
    assert not is_secret(str)
    assert not is_secret(Annotated[str, msgspec.Meta(pattern="x", extra={"other": True})])


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("token", "HUNTER2", "must be a text"),
        ("password", "'HUNTER2'", "quotes would be part"),
        ("password", '"HUNTER2"', "quotes would be part"),
    ],
)
def test_an_error_does_not_tell_a_secret(key: str, value: str, said: str) -> None:
    entry = Entry("leases", key, None, value, "/etc/imaging.conf:9")
    with pytest.raises(ConfigurationError, match=said) as caught:
        _convert(entry, str, LeasesSettings, Path("/etc"))
    assert "HUNTER2" not in str(caught.value)
    assert f"/etc/imaging.conf:9: {key} = {MASK}" in str(caught.value)


def test_values_are_as_a_settings_file_has_them() -> None:
    section = LeasesSettings(cache=Path("/var/cache"))
    texts = {value.key: value.text for value in effective_values(made_up(section), ORIGINS)}
    assert texts == {
        "url": "https://api",
        "password": "",
        "token": "",
        "retries": "3",
        "pause_s": "0.25",
        "patience_s": "1000000",
        "verify": "true",
        "cache": "/var/cache",
    }


def test_a_long_value_does_not_push_the_others_away() -> None:
    section = LeasesSettings(url="https://" + "x" * 100)
    lines = as_text(effective_values(made_up(section), ORIGINS))
    assert lines[0] == "[leases]"
    assert lines[1] == f"url        = {section.url}  /etc/imaging.conf:9"
    assert {line.index("/etc") for line in lines[2:]} == {len("url        = 1000000  ")}


def test_only_long_values() -> None:
    values = effective_values(made_up(LeasesSettings(url="x" * 100)), ORIGINS)
    chosen = choose_values(values, ["leases.url"])
    assert as_text(chosen) == ["[leases]", f"url = {'x' * 100}  /etc/imaging.conf:9"]
