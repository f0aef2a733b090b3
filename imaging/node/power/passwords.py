"""The logins of BMCs: a node's own, or those of the settings; passwords are never shown."""

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from imaging.errors import ConfigurationError
from imaging.site.inventory import Node, open_nonblocking
from imaging.site.power_schema import PowerIpmiSettings, PowerRedfishSettings

VARIABLE = "IMAGING_BMC_PASSWORD"
SIZE_LIMIT = 256  # bytes


@dataclass(frozen=True, slots=True)
class Login:
    """Who logs in; both are empty where a BMC wants no login."""

    user: str
    password: str = field(repr=False)


def find_logins(
    section: str, settings: PowerRedfishSettings | PowerIpmiSettings, nodes: Iterable[Node]
) -> dict[str, Login]:
    """The logins of the BMCs of these nodes, by the nodes' names; each file is read once.

    ``settings`` are those of the ``section``: they hold what a node has not in the inventory.
    Raises ConfigurationError, which does not tell a password.
    """
    logins, files = dict[str, Login](), dict[Path, str]()
    for node in nodes:
        user = settings.user if node.user is None else node.user
        place = f"[{section}]"
        password, file = settings.password, settings.password_file
        if node.password_file is not None:
            place = f"the inventory's {node.cmc.hostname}:"
            password, file = "", node.password_file
        if file is not None and user:
            password = files.get(file) or files.setdefault(file, _read(place, file))
        elif not password:
            password = os.environ.get(VARIABLE, "")
        logins[node.name] = Login(user, _checked(place, user, password))
    return logins


def _checked(place: str, user: str, password: str) -> str:
    if not user:
        return ""
    if not password:
        raise ConfigurationError(
            f"there is no password for the user {user} of {place.rstrip(':')}",
            hint=f"set password_file or ${VARIABLE}; without a user, none is needed",
        )
    if not password.isprintable():
        raise ConfigurationError(
            f"the password for {place.rstrip(':')} holds a control character",
            hint=f"see password_file or ${VARIABLE}",
        )
    return password


def _read(place: str, file: Path) -> str:
    place = f"{place} password_file {file}"
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
