"""The passwords of BMCs: from the settings, from a file, or from the environment; never shown."""

import os
import stat
from pathlib import Path

from imaging.errors import ConfigurationError
from imaging.site.inventory import open_nonblocking

VARIABLE = "IMAGING_BMC_PASSWORD"
SIZE_LIMIT = 256  # bytes


def find_password(section: str, user: str, password: str, file: Path | None) -> str:
    """The password of ``user``: the setting's, else the file's first line, else the environment's.

    Empty where there is no user. Raises ConfigurationError, which does not tell it.
    """
    found = password or (_read(section, file) if file else os.environ.get(VARIABLE, ""))
    if not user:
        return ""
    if not found:
        raise ConfigurationError(
            f"there is no password for the user {user} of [{section}]",
            hint=f"set password_file or ${VARIABLE}; without a user, none is needed",
        )
    if not found.isprintable():
        raise ConfigurationError(f"the password for [{section}] holds a control character")
    return found


def _read(section: str, file: Path) -> str:
    place = f"[{section}] password_file {file}"
    try:
        with open(file, "rb", opener=open_nonblocking) as stream:
            mode = os.fstat(stream.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise ConfigurationError(f"{place}: is not a regular file")
            if mode & (stat.S_IROTH | stat.S_IWOTH):
                raise ConfigurationError(
                    f"{place}: all users of this host can read or write it",
                    hint=f"chmod o-rw {file}",
                )
            data = stream.read(SIZE_LIMIT + 1)
    except OSError as error:
        raise ConfigurationError(f"{place}: {error.strerror}") from error
    try:
        first, *others = data.decode().splitlines()
    except ValueError:  # also of an empty file
        raise ConfigurationError(f"{place}: is not one line of UTF-8 text") from None
    if any(others) or len(data) > SIZE_LIMIT:
        raise ConfigurationError(f"{place}: is more than one line of {SIZE_LIMIT} bytes")
    return first
