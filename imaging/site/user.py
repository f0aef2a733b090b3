"""Who is at work: right without a terminal, in cron, in CI and under sudo."""

import os
import pwd
from collections.abc import Collection, Mapping


def login_name(environment: Mapping[str, str] | None = None, user_id: int | None = None) -> str:
    """The login of the effective user; behind root, that of who called sudo.

    Never os.getlogin(): that fails without a terminal. A user who has no name is a number.
    """
    environment = os.environ if environment is None else environment
    user_id = os.geteuid() if user_id is None else user_id
    behind_sudo = environment.get("SUDO_USER", "")
    if user_id == 0 and behind_sudo:
        return behind_sudo
    return _name(user_id)


def acting_login(
    privileged: Collection[str],
    environment: Mapping[str, str] | None = None,
    user_id: int | None = None,
) -> str:
    """The login whose rights count: the effective user's when it is one of the ``privileged``.

    Else as ``login_name``: a root who has no rights of his own has those of who called sudo.
    """
    name = _name(os.geteuid() if user_id is None else user_id)
    return name if name in privileged else login_name(environment, user_id)


def is_restricted(
    privileged: Collection[str],
    environment: Mapping[str, str] | None = None,
    user_id: int | None = None,
) -> bool:
    """Whether root's power is lent: root runs this for who called sudo and is not ``privileged``.

    Then nothing that the caller says may decide which rules hold, or which files are written.
    """
    environment = os.environ if environment is None else environment
    user_id = os.geteuid() if user_id is None else user_id
    if user_id != 0 or is_root_itself(environment, user_id):
        return False
    return acting_login(privileged, environment, user_id) not in privileged


def is_root_itself(
    environment: Mapping[str, str] | None = None, user_id: int | None = None
) -> bool:
    """Whether root runs this for nobody: when the host boots, say, or from cron."""
    environment = os.environ if environment is None else environment
    user_id = os.geteuid() if user_id is None else user_id
    return user_id == 0 and not environment.get("SUDO_USER")


def _name(user_id: int) -> str:
    try:
        return pwd.getpwuid(user_id).pw_name
    except KeyError:
        return str(user_id)
