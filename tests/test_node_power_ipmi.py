"""IPMI, by way of ipmitool, against OpenIPMI's simulator; and tools that fail."""

import os
import shutil
import socket
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from imaging.errors import ConfigurationError, NodeError, Reason
from imaging.guard import NO_GUARD
from imaging.node.power import PowerState
from imaging.node.power.asking import Asking
from imaging.node.power.ipmi import IpmiCard
from imaging.node.power.opening import open_card
from imaging.node.power.readiness import ready_cards
from imaging.site.power_schema import PowerIpmiSettings
from imaging.site.schema import Settings
from tests.ipmi_simulator import running_bmc, skip_without_simulator
from tests.power_cards import node_with, quick_settings

SECRET = "not-to-be-seen"  # 20 bytes at most
# the machine behind it: called with the BMC, get or set, and what
CHASSIS = """\
#!/bin/sh
shift
verb="$1"; shift
case "$verb $1" in
    "get power") echo "power:$(cat {state})" ;;
    "set power") echo "$2" > {state} ;;
    "set reset") echo reset >> {state}.orders ;;
    "set shutdown") echo 0 > {state} ;;
esac
exit 0
"""


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Settings, Path]]:
    """The simulator, the settings for it, and the file that says whether its machine is on."""
    skip_without_simulator()
    home = tmp_path_factory.mktemp("ipmi")
    state, control = home / "state", home / "chassis"
    state.write_text("0\n")
    control.write_text(CHASSIS.format(state=state))
    control.chmod(stat.S_IRWXU)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    login = {"user": "admin", "password": SECRET}
    with running_bmc(home, "127.0.0.1", port, control=str(control), **login):
        yield site(port=port, user="admin", password=SECRET), state


def site(**ipmi: Any) -> Settings:
    options = {"tool": "ipmitool -I lanplus -C 3 -N 1 -R 2", **ipmi}
    power = {"attempts": 2, "request_timeout_s": 20.0, "retry_delay_s": 0.01}
    return quick_settings(power=power, power_ipmi=options)


async def test_the_simulator_does_what_it_is_told(simulator: tuple[Settings, Path]) -> None:
    settings_, state = simulator
    node = node_with("ipmi")
    with trio.fail_after(100):
        async with open_card(node, ready_cards([node], settings_), NO_GUARD) as card:
            assert await card.status() is PowerState.OFF
            await card.turn_on()
            assert await card.status() is PowerState.ON
            await card.reset()
            assert Path(f"{state}.orders").read_text() == "reset\n"
            await card.turn_off()
            assert await card.status() is PowerState.OFF
            await card.turn_on()
            await card.shut_down()
            assert await card.status() is PowerState.OFF
            assert "IPMI Version" in await card.info()


async def failure_of(settings_: Settings) -> NodeError:
    """How a card fails to tell its status, with no secret in it."""
    node = node_with("ipmi")
    with trio.fail_after(100):
        async with open_card(node, ready_cards([node], settings_), NO_GUARD) as card:
            assert SECRET not in repr(card)
            with pytest.raises(NodeError, match="fit01: its BMC 127.0.0.1:") as caught:
                await card.status()
    assert SECRET not in str(caught.value)
    assert str(caught.value).isprintable()
    return caught.value


@pytest.mark.parametrize("login", [{"password": "wrong"}, {"user": "nobody"}])
async def test_a_wrong_login_is_told(
    simulator: tuple[Settings, Path], login: dict[str, str]
) -> None:
    port = simulator[0].power_ipmi.port
    failure = await failure_of(site(**{"port": port, "user": "admin", "password": SECRET, **login}))
    assert failure.reason is Reason.POWER_REFUSED
    assert "refuses the login" in str(failure)
    assert "see [power_ipmi] user and password" in str(failure)


async def test_nothing_that_answers() -> None:
    if shutil.which("ipmitool") is None:
        pytest.skip("ipmitool is not installed")
    failure = await failure_of(site(port=1, user="admin", password=SECRET))
    assert failure.reason is Reason.NO_CMC
    assert "Unable to establish" in str(failure)


def tool(directory: Path, code: str) -> Settings:
    """Settings with a tool that is not ipmitool."""
    file = directory / "tool"
    file.write_text(f"#!{sys.executable}\nimport os, sys, time\n{code}\n")
    file.chmod(stat.S_IRWXU)
    return site(tool=str(file), user="admin", password=SECRET)


async def test_the_password_is_in_the_environment_alone(tmp_path: Path) -> None:
    code = f"open({str(tmp_path / 'seen')!r}, 'w').write(f'{{sys.argv[1:]}} {{os.environ}}')"
    await failure_of(tool(tmp_path, code))
    words, _, environment = (tmp_path / "seen").read_text().partition(" environ(")
    assert words == str(["-v", "-H", "127.0.0.1", "-p", "623", "-U", "admin", "-E",
                         "chassis", "power", "status"])  # fmt: skip
    assert SECRET in environment


@pytest.mark.parametrize(
    ("code", "reason", "words"),
    [
        ("print('Chassis Power is maybe')", Reason.POWER_REFUSED, "said 'Chassis Power is maybe'"),
        ("os.write(1, bytes(range(256)))", Reason.POWER_REFUSED, "said "),
        ("print('on')", Reason.POWER_REFUSED, "said 'on'"),
        ("sys.exit('Invalid command')", Reason.POWER_REFUSED, "exit status 1: Invalid command"),
        ("os.write(2, b'\\x1b[2J' * 9999); sys.exit(1)", Reason.POWER_REFUSED, "has failed"),
    ],
)
async def test_what_the_tool_may_say(tmp_path: Path, code: str, reason: Reason, words: str) -> None:
    failure = await failure_of(tool(tmp_path, code))
    assert failure.reason is reason
    assert words in str(failure)


async def test_a_tool_that_hangs_is_given_up(tmp_path: Path) -> None:
    hanging = tool(tmp_path, "time.sleep(60)")
    node = node_with("ipmi")
    card_settings = quick_settings(
        power={"attempts": 2, "request_timeout_s": 0.3, "retry_delay_s": 0.01},
        power_ipmi={"tool": hanging.power_ipmi.tool, "password": SECRET},
    )
    async with open_card(node, ready_cards([node], card_settings), NO_GUARD) as card:
        with trio.fail_after(5), pytest.raises(NodeError, match=r"no answer within 0\.3 s"):
            await card.turn_off()


def test_a_tool_that_is_missing_is_told_before() -> None:
    with pytest.raises(ConfigurationError, match=r"'no-such-tool' of \[power_ipmi\] tool"):
        ready_cards([node_with("ipmi")], site(tool="no-such-tool"))


@pytest.mark.parametrize(
    ("word", "letter"),
    [
        *(("-P secret", "P"), ("-Psecret", "P"), ("-vPsecret", "P"), ("-f file", "f")),
        *(("-H host", "H"), ("-U me", "U"), ("-cU me", "U"), ("-K x", "K"), ("-vvK x", "K")),
    ],
)
def test_no_secret_is_on_the_command_line(word: str, letter: str) -> None:
    with pytest.raises(ValueError, match=f"tool: -{letter} is not for the command line") as caught:
        PowerIpmiSettings(tool=f"ipmitool {word}")
    assert "secret" not in str(caught.value)


def test_other_options_of_the_tool_are_taken() -> None:
    tool = "sudo ipmitool -vv -I lanplus -Ilanplus -C 3 -N1 -L OPERATOR -o supermicro"
    assert PowerIpmiSettings(tool=tool).tool == tool


@pytest.mark.parametrize("told", ["Chassis Power is on\n", "Chassis Power is off\n"])
@given(noise=st.text(max_size=40))
@settings(max_examples=5, deadline=None)
def test_any_status_is_a_state_or_a_refusal(told: str, noise: str) -> None:
    async def ask() -> None:
        argv = ("printf", "%s", (told + noise).replace("\0", ""))
        card = IpmiCard(
            (*argv, "--"), dict(os.environ), Asking("fit01", "its BMC", 1, 9.0, 0.01), NO_GUARD
        )
        try:
            assert (await card.status()).value in told
        except NodeError as error:
            assert error.reason is Reason.POWER_REFUSED

    trio.run(ask)
