"""Who is at work, with a terminal or without."""

import os
import pwd
import subprocess
import sys

from imaging.site.user import acting_login, login_name

ME = pwd.getpwuid(os.geteuid()).pw_name


def test_the_effective_user() -> None:
    assert login_name({}) == ME
    assert login_name({"LOGNAME": "somebody", "USER": "somebody"}) == ME


def test_who_called_sudo() -> None:
    assert login_name({"SUDO_USER": "alice"}, 0) == "alice"
    assert login_name({"SUDO_USER": ""}, 0) == "root"
    # not root: the variable is the user's own to set
    assert login_name({"SUDO_USER": "alice"}, 54321) == "54321"


def test_whose_rights_count() -> None:
    sudo = {"SUDO_USER": "alice"}
    assert acting_login({"root"}, sudo, 0) == "root"
    assert acting_login({"admin"}, sudo, 0) == "alice"
    assert acting_login(set(), sudo, 0) == "alice"
    assert acting_login(set(), {}, 0) == "root"
    # not root: neither the variable nor the list makes anybody of him that he is not
    assert acting_login({"root", "alice"}, sudo, 54321) == "54321"


def test_without_a_terminal() -> None:
    told = subprocess.run(
        [
            sys.executable,
            "-c",
            "from imaging.site.user import acting_login, login_name; print(login_name())",
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        start_new_session=True,
        env={"PATH": os.environ["PATH"]},
        check=True,
    )
    assert told.stdout.strip() == ME
