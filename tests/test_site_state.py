"""Where state is kept when the settings do not say it."""

from pathlib import Path

import pytest

from imaging.site.schema import HistorySettings, Settings, TranscriptsSettings
from imaging.site.state import (
    history_file,
    state_directory,
    transcripts_directory,
    user_state_directory,
)


def test_the_users_directory() -> None:
    assert user_state_directory({"XDG_STATE_HOME": "/state"}) == Path("/state/imaging")
    home = Path.home() / ".local/state/imaging"
    assert user_state_directory({}) == home
    # what is relative would be another directory for each command
    assert user_state_directory({"XDG_STATE_HOME": "state"}) == home


def test_root_has_the_sites_own_where_it_can_be_made(tmp_path: Path) -> None:
    site = tmp_path / "log" / "imaging"
    assert state_directory(site, {}, 0) == site
    assert not site.parent.exists(), "nothing is made"
    assert state_directory(site, {}, 1000) == user_state_directory({})
    assert state_directory(site, {"XDG_STATE_HOME": "/state"}, 0) == Path("/state/imaging")
    site.parent.touch()
    assert state_directory(site, {}, 0) == user_state_directory({})


def test_the_settings_win(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    named = Settings(
        transcripts=TranscriptsSettings(directory=Path("/t")), history=HistorySettings(Path("/h"))
    )
    assert (transcripts_directory(named), history_file(named)) == (Path("/t"), Path("/h"))
    assert transcripts_directory(Settings()) == Path("/state/imaging/transcripts")
    assert history_file(Settings()) == Path("/state/imaging/history.sqlite")
