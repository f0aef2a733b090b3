"""Who is at work, with a terminal or without."""

import os
import pwd
import subprocess
import sys

from imaging.site.user import acting_login, is_restricted, is_root_itself, login_name

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
            "from imaging.site.user import login_name; print(login_name())",
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        start_new_session=True,
        env={"PATH": os.environ["PATH"]},
        check=True,
    )
    assert told.stdout.strip() == ME


def test_root_is_restricted_for_who_called_sudo_and_has_no_rights() -> None:
    sudo = {"SUDO_USER": "alice"}
    assert is_restricted(set(), sudo, 0)
    assert is_restricted({"admin"}, sudo, 0)
    assert is_restricted({"admin"}, {"SUDO_USER": "root"}, 0)
    assert not is_restricted({"root"}, sudo, 0)
    assert not is_restricted({"alice"}, sudo, 0)
    assert not is_restricted(set(), {}, 0)
    assert not is_restricted(set(), {"SUDO_USER": ""}, 0)
    assert not is_restricted(set(), sudo, 54321)


def test_root_itself_is_behind_no_sudo() -> None:
    assert is_root_itself({}, 0)
    assert is_root_itself({"SUDO_USER": ""}, 0)
    assert not is_root_itself({"SUDO_USER": "root"}, 0)
    assert not is_root_itself({}, 54321)
