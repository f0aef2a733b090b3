"""Where what is kept between runs has its place, when the settings do not name one."""

import os
from collections.abc import Mapping
from pathlib import Path

from imaging.site.schema import Settings

SITE_TRANSCRIPTS = Path("/var/log/imaging")
SITE_HISTORY = Path("/var/lib/imaging")


def transcripts_directory(settings: Settings) -> Path:
    """The directory in which each run has its transcripts."""
    return settings.transcripts.directory or state_directory(SITE_TRANSCRIPTS) / "transcripts"


def history_file(settings: Settings) -> Path:
    """The file in which runs are recorded."""
    return settings.history.file or state_directory(SITE_HISTORY) / "history.sqlite"


def state_directory(
    site: Path, environment: Mapping[str, str] | None = None, user_id: int | None = None
) -> Path:
    """The user's state directory; for root it is ``site``, if that is there or can be made."""
    environment = os.environ if environment is None else environment
    user_id = os.geteuid() if user_id is None else user_id
    if user_id == 0 and not environment.get("XDG_STATE_HOME") and _can_be_made(site):
        return site
    return user_state_directory(environment)


def user_state_directory(environment: Mapping[str, str] | None = None) -> Path:
    """The directory of ours among the user's state. It need not be there."""
    environment = os.environ if environment is None else environment
    named = environment.get("XDG_STATE_HOME", "")
    if named.startswith("/"):  # its specification: a relative path is to be ignored
        return Path(named) / "imaging"
    try:
        return Path("~/.local/state/imaging").expanduser()
    except RuntimeError:
        # no HOME and no such user: a place where nothing can be made, which is then told
        return Path(os.devnull) / "imaging"


def _can_be_made(directory: Path) -> bool:
    """Whether files can be made in a directory, once it is there itself."""
    while not directory.exists():
        directory = directory.parent
    return directory.is_dir() and os.access(directory, os.W_OK | os.X_OK)
