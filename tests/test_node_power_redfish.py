"""Redfish, against the emulator of sushy-tools, and BMCs that answer what they should not."""

import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import bcrypt
import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from imaging.errors import NodeError, Reason
from imaging.guard import NO_GUARD
from imaging.node.power import PowerState
from imaging.node.power.opening import open_card
from imaging.node.power.readiness import ready_cards
from imaging.site.schema import Settings
from tests.power_cards import (
    PASSWORD,
    SYSTEM,
    Answer,
    document,
    http,
    make_certificate,
    node_with,
    quick_settings,
    redfish_card,
)

EMULATOR = Path(sys.executable).parent / "sushy-emulator"
# two systems; what hardware takes seconds for is done when it is looked at
CONFIG = """
import random
random.randint = lambda low, high: 0
SUSHY_EMULATOR_STATE_DIR = {state!r}
SUSHY_EMULATOR_AUTH_FILE = {logins!r}
SUSHY_EMULATOR_FAKE_SYSTEMS = [
    {{"uuid": "one", "name": "first", "power_state": "Off", "nics": []}},
    {{"uuid": "two", "name": "second", "power_state": "On", "nics": []}},
]
"""


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """The emulator with TLS and a login, and the settings for it."""
    if not EMULATOR.exists():
        pytest.skip("sushy-emulator is not installed: it is part of the extra dev")
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    home = tmp_path_factory.mktemp("emulator")
    certificate, key = make_certificate(home, "DNS:reboot01")
    hashed = (
        bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4, b"2b")).decode().replace("$2b$", "$2y$")
    )
    (home / "logins").write_text(f"admin:{hashed}\n")
    (home / "state").mkdir()
    (home / "emulator.conf").write_text(
        CONFIG.format(state=str(home / "state"), logins=str(home / "logins"))
    )
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(
            [EMULATOR, "--fake", "--config", home / "emulator.conf", "-i", "127.0.0.1",
             "-p", str(port), "--ssl-certificate", certificate, "--ssl-key", key],
            stdout=log, stderr=log,
        )  # fmt: skip
    try:
        wait_for_port(port, process, home / "log")
        yield quick_settings(
            power={"attempts": 2, "request_timeout_s": 10.0, "retry_delay_s": 0.01},
            power_redfish={
                "port": port,
                "user": "admin",
                "password": PASSWORD,
                "ca_file": certificate,
            },
        )
    finally:
        process.kill()
        process.wait()


def wait_for_port(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    for _ in range(600):
        assert process.poll() is None, log.read_text()
        try:
            socket.create_connection(("127.0.0.1", port), 0.1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    pytest.fail(log.read_text())


def changed(site: Settings, **changes: Any) -> Settings:
    """Other settings of [power_redfish]."""
    return replace(site, power_redfish=replace(site.power_redfish, **changes))


async def test_the_emulator_does_what_it_is_told(emulator: Settings) -> None:
    node = node_with("redfish", system="one")
    with trio.fail_after(60):
        async with open_card(node, ready_cards([node], emulator), NO_GUARD) as card:
            assert await card.status() is PowerState.OFF
            await card.turn_on()
            assert await card.status() is PowerState.ON
            await card.reset()
            assert await card.status() is PowerState.ON
            await card.shut_down()
            assert await card.status() is PowerState.OFF
            await card.turn_on()
            await card.turn_off()
            await card.turn_off()
            assert await card.status() is PowerState.OFF
            assert "manufacturer Sushy Emulator" in await card.info()


async def refusal(site: Settings, system: str = "two") -> NodeError:
    """How the card of a node fails to tell its status."""
    node = node_with("redfish", system=system)
    with trio.fail_after(60):
        async with open_card(node, ready_cards([node], site), NO_GUARD) as card:
            with pytest.raises(NodeError, match="fit01: its BMC 127.0.0.1:") as caught:
                await card.status()
    assert PASSWORD not in str(caught.value)
    return caught.value


async def test_a_wrong_password_is_told_and_not_repeated(emulator: Settings) -> None:
    failure = await refusal(changed(emulator, password="wrong"))
    assert failure.reason is Reason.POWER_REFUSED
    assert "refuses the user 'admin' (HTTP 401)" in str(failure)
    assert "wrong" not in str(failure)


async def test_which_of_several_systems_has_to_be_said(emulator: Settings) -> None:
    assert "has 2 systems (name one in the inventory" in str(await refusal(emulator, ""))


async def test_a_system_that_is_not_there(emulator: Settings) -> None:
    assert "answered HTTP 404: " in str(await refusal(emulator, "three"))


async def test_a_certificate_of_nobody_that_is_trusted(emulator: Settings) -> None:
    failure = await refusal(changed(emulator, ca_file=None))
    assert failure.reason is Reason.POWER_REFUSED
    assert "not trusted: self" in str(failure)
    assert "see [power_redfish] ca_file" in str(failure)


async def test_a_certificate_for_another_name(emulator: Settings) -> None:
    failure = await refusal(changed(emulator, certificate_name="ip"))
    assert "IP address mismatch" in str(failure)


async def test_a_certificate_whose_name_does_not_matter(emulator: Settings) -> None:
    node = node_with("redfish", system="two")
    cards = ready_cards([node], changed(emulator, certificate_name="any"))
    async with open_card(node, cards, NO_GUARD) as card:
        assert await card.status() is PowerState.ON


@pytest.mark.parametrize(
    ("answer", "reason", "words"),
    [
        pytest.param(document({"PowerState": "?"}), Reason.POWER_REFUSED, "'?'", id="state"),
        pytest.param(document({"PowerState": None}), Reason.POWER_REFUSED, "None", id="no-state"),
        pytest.param(document([]), Reason.POWER_REFUSED, "no answer to that", id="list"),
        pytest.param(lambda _: http("200 OK", b"[" * 99999), Reason.POWER_REFUSED, "no answer",
                     id="nested"),
        pytest.param(lambda _: http("200 OK", b"\xff\0"), Reason.POWER_REFUSED, "no answer",
                     id="no-json"),
        pytest.param(lambda _: http("200 OK", b" " * 1100000), Reason.POWER_REFUSED,
                     "more than 1048576 bytes", id="endless"),
        pytest.param(lambda _: http("302 Go", b"", "Location: http://127.0.0.1:1/"),
                     Reason.POWER_REFUSED, "HTTP 302", id="redirect"),
        pytest.param(lambda _: http("500 No", b'{"error": {"message": "out of\\u001bsorts"}}'),
                     Reason.POWER_REFUSED, "HTTP 500: out of\\x1bsorts", id="explained"),
        pytest.param(lambda _: http("503 Busy", b""), Reason.NO_CMC, "it is busy", id="busy"),
        pytest.param(lambda _: b"\xff\0\r\n\r\n", Reason.NO_CMC, "status", id="garbage"),
        pytest.param(lambda _: b"", Reason.NO_CMC, "status", id="closes"),
        pytest.param(lambda _: None, Reason.NO_CMC, "no answer within 0.3 s", id="hangs"),
    ],
)  # fmt: skip
async def test_bad_answers(answer: Answer, reason: Reason, words: str) -> None:
    with trio.fail_after(10):
        async with AsyncExitStack() as stack:
            card = await redfish_card(stack, answer)
            with pytest.raises(NodeError, match="fit01: its BMC") as caught:
                await card.status()
    assert caught.value.reason is reason
    assert words in str(caught.value)


async def test_no_other_host_is_asked() -> None:
    action = {"#ComputerSystem.Reset": {"target": "//127.0.0.1:1/"}}
    async with AsyncExitStack() as stack:
        card = await redfish_card(stack, document({**SYSTEM, "Actions": action}))
        with pytest.raises(NodeError, match="which is not followed"):
            await card.reset()


async def test_a_bmc_that_knows_no_such_reset() -> None:
    reset = {"target": "/reset", "ResetType@Redfish.AllowableValues": ["Nmi"]}
    async with AsyncExitStack() as stack:
        actions = {"#ComputerSystem.Reset": reset}
        card = await redfish_card(stack, document({**SYSTEM, "Actions": actions}))
        with pytest.raises(NodeError, match="ForceRestart or PowerCycle, but Nmi"):
            await card.reset()


async def test_what_is_on_already_may_refuse_to_be_switched_on() -> None:
    def answer(request: bytes) -> bytes:
        if request.startswith(b"POST"):
            return http("409 Conflict", b"")
        return http("200 OK", json.dumps(SYSTEM).encode())

    async with AsyncExitStack() as stack:
        card = await redfish_card(stack, answer)
        await card.turn_on()
        with pytest.raises(NodeError, match="HTTP 409"):
            await card.turn_off()


@given(st.recursive(st.none() | st.text() | st.integers(), lambda inner: st.lists(inner) |
       st.dictionaries(st.sampled_from(["PowerState", "Actions", "#ComputerSystem.Reset",
                                        "target", "error", "message"]), inner)))  # fmt: skip
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_json_is_a_state_or_a_refusal(value: object) -> None:
    async def ask() -> None:
        async with AsyncExitStack() as stack:
            card = await redfish_card(stack, document(value))
            try:
                await card.reset()
            except NodeError as error:
                assert error.reason is Reason.POWER_REFUSED

    trio.run(ask)
