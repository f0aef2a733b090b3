"""imaging-leases and the others, where a service keeps the leases."""

import json
import stat
from collections.abc import Iterator
from typing import Any

import pytest

from conftest import running_testbed
from tests.booked_leases import ME
from tests.commands import Commands
from tests.terminals import Terminal, terminal


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    """A testbed with a lease service, in which everybody needs a lease."""
    options = ["-n2", "--disk-size=48", "--ramdisk-boot=0.2", "--os-boot=0.3", "--leases"]
    home = tmp_path_factory.mktemp("home")
    with running_testbed(tmp_path_factory.mktemp("served"), home, *options) as commands:
        yield commands


def listed(commands: Commands) -> list[dict[str, Any]]:
    done = commands.run("imaging-leases", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


@pytest.mark.e2e
def test_the_service_of_a_testbed_from_booking_to_cancelling(served: Commands) -> None:
    conf = served.directory / "imaging.conf"
    assert stat.S_IMODE(conf.stat().st_mode) == 0o600
    assert served.run("imaging-leases", "check").returncode == 1
    assert served.run("imaging-load", "-i", "sample", "1").returncode == 1
    assert served.run("imaging-leases", "book", "now", "+2h").returncode == 0
    done = served.run("imaging-load", "-i", "sample", "1")
    assert done.returncode == 0, done.stderr
    refusal = served.run("imaging-leases", "book", "now", "+1h", "1")
    assert refusal.returncode == 2
    assert "of the whole testbed, not of nodes" in refusal.stderr
    (lease,) = listed(served)
    assert lease["holder"] == ME
    assert served.run("imaging-leases", "cancel", lease["id"]).returncode == 0
    assert served.run("imaging-leases", "book", "+2h", "+1h", "--for", "bob").returncode == 0
    assert [one["holder"] for one in listed(served)] == [ME, "bob"]
    assert served.run("imaging-leases", "cancel", listed(served)[-1]["id"]).returncode == 0


@pytest.mark.e2e
def test_a_token_by_login(served: Commands) -> None:
    token = served.setting_value("token")
    with served.setting(f"token = {token}", "token ="):
        done = served.run("imaging-leases", "book", "+2h", "+1h")
        assert done.returncode == 2
        assert "set [leases] token, or $R2LABAPI_EMAIL and $R2LABAPI_PASSWORD" in done.stderr
        served.environment.update(R2LABAPI_EMAIL=f"{ME}@testbed", R2LABAPI_PASSWORD="testbed")
        try:
            assert served.run("imaging-leases", "book", "+2h", "+1h").returncode == 0
            assert served.run("imaging-leases", "cancel", listed(served)[-1]["id"]).returncode == 0
            served.environment.update(R2LABAPI_PASSWORD="HUNTER2")
            wrong = served.run("imaging-leases", "book", "+2h", "+1h")
        finally:
            del served.environment["R2LABAPI_EMAIL"], served.environment["R2LABAPI_PASSWORD"]
    assert wrong.returncode == 1
    assert "Invalid credentials" in wrong.stderr
    assert "HUNTER2" not in wrong.stderr


def log_in(shown: Terminal) -> None:
    """Type what the command asks for."""
    shown.see("Email for http://")
    shown.press(f"{ME}@testbed\n")
    shown.see("Password:")
    shown.press("testbed\n")


@pytest.mark.e2e
def test_on_a_terminal_the_password_is_asked_for_and_not_shown(served: Commands) -> None:
    token = served.setting_value("token")
    with served.setting(f"token = {token}", "token ="), terminal(100, 24) as shown:
        shown.start(
            *("imaging-leases", "book", "+2h", "+1h"),
            cwd=served.directory,
            environment=served.environment,
        )
        log_in(shown)
        shown.see("the whole testbed")
        assert shown.end() == 0
        (asked,) = [line for line in shown.screen.readable() if line.startswith("Password")]
        assert asked.strip() == "Password:"
    assert served.run("imaging-leases", "cancel", listed(served)[-1]["id"]).returncode == 0


@pytest.mark.e2e
def test_on_a_terminal_a_token_that_has_expired_is_replaced_by_a_login(served: Commands) -> None:
    # by the command that asks, and by its second try, which logs in then
    fault = served.run("imaging-testbed", "fault", "leases=expired-token*2")
    assert fault.returncode == 0, fault.stderr
    try:
        with terminal(100, 24) as shown:
            shown.start(
                *("imaging-leases", "book", "+2h", "+1h"),
                cwd=served.directory,
                environment=served.environment,
            )
            shown.see("does not take the token")
            log_in(shown)
            shown.see("the whole testbed")
            assert shown.end() == 0
    finally:
        served.clear_faults()
    assert served.run("imaging-leases", "cancel", listed(served)[-1]["id"]).returncode == 0


@pytest.mark.e2e
def test_without_a_terminal_a_token_that_has_expired_is_told(served: Commands) -> None:
    fault = served.run("imaging-testbed", "fault", "leases=expired-token*1")
    assert fault.returncode == 0, fault.stderr
    try:
        done = served.run("imaging-leases", "book", "+2h", "+1h")
    finally:
        served.clear_faults()
    assert done.returncode == 1
    assert "it may have expired" in done.stderr
    assert "Email" not in done.stderr


@pytest.mark.e2e
def test_the_check_has_its_time_and_the_rest_of_the_run_too(served: Commands) -> None:
    fault = served.run("imaging-testbed", "fault", "leases=hang")
    assert fault.returncode == 0, fault.stderr
    try:
        done, took = served.timed("imaging-off", "1")
        assert done.returncode == 1
        assert "does not answer: no answer within 1 s" in done.stderr
        assert took < 8
        done, took = served.timed("imaging-off", "1", "-t", "1.5")
        assert done.returncode == 1
        assert "not done within 1.5 s, before any node was touched" in done.stderr
        assert took < 3.5
        done, took = served.timed("imaging-status", "1")
        assert (done.returncode, done.stdout) == (0, "fit01: on\n")
        assert took < 4, "who only reads does not wait for it"
    finally:
        served.clear_faults()


@pytest.mark.e2e
def test_faults_of_the_service_are_set_without_nodes(served: Commands) -> None:
    wrong = served.run("imaging-testbed", "fault", "1", "leases=down")
    assert wrong.returncode == 2
    assert "leases=down is of the whole testbed: give no nodes" in wrong.stderr
    assert served.run("imaging-testbed", "fault", "leases=slow:0.1").returncode == 0
    assert served.run("imaging-testbed", "fault", "--list").stdout == "testbed leases=slow:0.1\n"
    assert served.run("imaging-leases").returncode == 0
    assert served.run("imaging-testbed", "fault", "--clear").returncode == 0
    assert served.run("imaging-testbed", "fault", "--list").stdout == ""
