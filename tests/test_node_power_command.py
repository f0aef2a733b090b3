"""The command model, with real scripts as a site has them."""

import stat
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from imaging.errors import ConfigurationError, NodeError, Reason
from imaging.guard import NO_GUARD
from imaging.node.power import PowerState
from imaging.node.power.asking import Asking
from imaging.node.power.command import CommandCard
from imaging.node.power.opening import open_card
from imaging.node.power.process import fill, run_tool
from imaging.node.power.readiness import ready_cards
from imaging.site.power_schema import PowerCommandSettings
from tests.commands import wait_for
from tests.power_cards import node_with, quick_settings

PLUG = """#!/bin/sh
# a plug whose state is a file, as a site's own script would be
case "$2" in
    status) echo "$1 is $(cat "$3")" ;;
    on | off) echo "$2" > "$3" ;;
    reset) echo "$1 $2" >> "$3.resets" ;;
    *) echo "no such verb" >&2; exit 2 ;;
esac
"""


@pytest.fixture
def plug(tmp_path: Path) -> Path:
    return script(tmp_path, PLUG)


def script(directory: Path, text: str) -> Path:
    file = directory / "a plug"
    file.write_text(text)
    file.chmod(stat.S_IRWXU)
    return file


async def card_of(stack: AsyncExitStack, commands: dict[str, str], **power: float) -> CommandCard:
    defaults = dict.fromkeys(("status", "on", "off", "reset"), "true")
    site = quick_settings(
        power={"attempts": 2, "request_timeout_s": 5.0, "retry_delay_s": 0.001, **power},
        power_command={**defaults, **commands},
    )
    node = node_with("command")
    card = await stack.enter_async_context(open_card(node, ready_cards([node], site), NO_GUARD))
    assert isinstance(card, CommandCard)
    return card


async def test_a_script_is_told_what_to_do(plug: Path, tmp_path: Path) -> None:
    verbs = {
        verb: f"'{plug}' {{node}} {verb} '{tmp_path}/'$(rm).{{ip}}"
        for verb in ("status", "on", "off", "reset", "info")
    }
    (tmp_path / "$(rm).127.0.0.1").write_text("off\n")
    async with AsyncExitStack() as stack:
        card = await card_of(stack, verbs)
        assert await card.status() is PowerState.OFF
        await card.turn_on()
        assert await card.status() is PowerState.ON
        await card.reset()
        await card.turn_off()
        assert await card.status() is PowerState.OFF
        with pytest.raises(NodeError, match="exit status 2: no such verb") as caught:
            await card.info()
        with pytest.raises(NodeError, match="has no command for it"):
            await card.shut_down()
    assert caught.value.reason is Reason.POWER_REFUSED
    assert (tmp_path / "$(rm).127.0.0.1.resets").read_text() == "fit01 reset\n"


@pytest.mark.parametrize(
    ("code", "reason", "words"),
    [
        ("print('maybe\\x1b[2J')", Reason.POWER_REFUSED, "neither on nor off"),
        ("pass", Reason.POWER_REFUSED, "said ''"),
        ("import sys; sys.exit('on fire')", Reason.POWER_REFUSED, "exit status 1: on fire"),
        ("import os; os.kill(os.getpid(), 9)", Reason.POWER_REFUSED, "signal 9: nothing"),
        ("import sys; sys.exit(69)", Reason.NO_CMC, "exit status 69"),
        ("import sys; sys.exit(75)", Reason.NO_CMC, "exit status 75"),
        ("print('x' * 10**7)", Reason.POWER_REFUSED, "neither on nor off"),
        ("import os; os.write(1, bytes(range(256)))", Reason.POWER_REFUSED, "neither on nor off"),
    ],
)
async def test_what_goes_wrong(code: str, reason: Reason, words: str) -> None:
    async with AsyncExitStack() as stack:
        card = await card_of(stack, {"status": f'"{sys.executable}" -c "{code}"'})
        with pytest.raises(NodeError, match="fit01: its card reboot01") as caught:
            await card.status()
    assert caught.value.reason is reason
    assert words in str(caught.value)
    assert str(caught.value).isprintable()


async def until(condition: Callable[[], bool]) -> None:
    """Wait a moment."""
    with trio.fail_after(5):
        while True:
            if condition():
                return
            await trio.sleep(0.01)


def is_gone(file: Path) -> bool:
    """Whether the process that has written its id there runs no more."""
    try:
        text = Path(f"/proc/{int(file.read_text())}/stat").read_text()
    except FileNotFoundError:
        return True
    return text.rpartition(")")[2].split()[0] == "Z"


async def test_a_command_that_hangs_is_killed_with_its_children(tmp_path: Path) -> None:
    hang = script(tmp_path, '#!/bin/sh\nsleep 60 & echo $! > "$1"\ntrap "" TERM; wait\n')
    async with AsyncExitStack() as stack:
        status = f"'{hang}' '{tmp_path}/pid'"
        card = await card_of(stack, {"status": status}, request_timeout_s=0.5, attempts=1)
        with pytest.raises(NodeError, match=r"no answer within 0\.5 s") as caught:
            await card.status()
    assert caught.value.reason is Reason.NO_CMC
    await until(lambda: is_gone(tmp_path / "pid"))


async def test_a_cancelled_command_is_killed_at_once(tmp_path: Path) -> None:
    hang = script(tmp_path, '#!/bin/sh\nsleep 60 & echo $! > "$1.new"; mv "$1.new" "$1"\nwait\n')
    async with AsyncExitStack() as stack:
        card = await card_of(stack, {"status": f"'{hang}' '{tmp_path}/pid'"}, request_timeout_s=60)
        with trio.fail_after(20):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(card.status)
                await until((tmp_path / "pid").exists)
                cancelled = trio.current_time()
                nursery.cancel_scope.cancel()
    assert trio.current_time() - cancelled < 1
    await until(lambda: is_gone(tmp_path / "pid"))


async def test_a_child_that_stays_behind_holds_nothing_up(tmp_path: Path) -> None:
    stays = script(tmp_path, '#!/bin/sh\nsleep 60 & echo $! > "$1"\necho on\n')
    async with AsyncExitStack() as stack:
        card = await card_of(stack, {"status": f"'{stays}' '{tmp_path}/pid'"})
        assert await card.status() is PowerState.ON
    await until(lambda: is_gone(tmp_path / "pid"))


KILLED = """
import sys, trio
from imaging.node.power.opening import guard_of_tools, open_card
from imaging.node.power.readiness import ready_cards
from tests.power_cards import node_with, quick_settings
commands = dict.fromkeys(("status", "on", "off", "reset"), sys.argv[1])
power = {"request_timeout_s": 60.0}
node = node_with("command")
cards = ready_cards([node], quick_settings(power=power, power_command=commands))
async def main():
    with guard_of_tools([node], cards) as guard:
        async with open_card(node, cards, guard) as card:
            await card.status()
trio.run(main)
"""


def test_a_command_does_not_outlive_a_run_that_is_killed(tmp_path: Path) -> None:
    hang = script(tmp_path, '#!/bin/sh\nsleep 60 & echo $! > "$1.new"; mv "$1.new" "$1"\nwait\n')
    words = [sys.executable, "-c", KILLED, f"'{hang}' '{tmp_path}/pid'"]
    with subprocess.Popen(words, cwd=Path(__file__).parent.parent) as process:
        wait_for((tmp_path / "pid").exists)
        time.sleep(0.1)  # the guard has been told as soon as the command was started
        process.kill()
    killed = time.monotonic()
    wait_for(lambda: is_gone(tmp_path / "pid"))
    assert time.monotonic() - killed < 1


@given(st.text(st.characters(exclude_characters="\0")), st.text())
def test_a_value_never_becomes_a_word_of_its_own(value: str, other: str) -> None:
    places = {"node": value, "ip": other}
    assert fill("run -n '{node} {ip}' {mac}", places) == ["run", "-n", f"{value} {other}", "{mac}"]


@pytest.mark.parametrize(
    ("commands", "words"),
    [
        ({"on": "plug {nod}"}, r"on: \{nod\} is none of \{node\}, \{hostname\}, \{ip\}, \{mac\}"),
        ({"off": "plug 'on"}, "off: .* is not a command"),
        ({"status": "{ip} status"}, "status: the command itself cannot be filled in"),
    ],
)
def test_templates_are_checked(commands: dict[str, str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        PowerCommandSettings(**commands)


@pytest.mark.parametrize(
    ("commands", "words"),
    [
        ({"status": "true"}, r"\[power_command\] on is empty"),
        ({"status": "no-such-tool"}, "'no-such-tool' of .*status is not found"),
    ],
)
def test_nothing_is_asked_before_all_commands_are_there(
    commands: dict[str, str], words: str
) -> None:
    with pytest.raises(ConfigurationError, match=words):
        ready_cards([node_with("command")], quick_settings(power_command=commands))


@pytest.mark.parametrize(
    ("model", "words"), [("cmc", "CMC cards know no"), ("command", r"\[power_command\] has not")]
)
def test_who_cannot_shut_down_is_told_before(model: str, words: str) -> None:
    commands = dict.fromkeys(("status", "on", "off", "reset"), "true")
    site = quick_settings(power={"escalation": "shutdown, reset"}, power_command=commands)
    with pytest.raises(ConfigurationError, match=words):
        ready_cards([node_with(model)], site)  # type: ignore[arg-type]


async def test_a_tool_that_cannot_be_started_is_told() -> None:
    asking = Asking("fit01", "its card pdu-1", 1, 1.0, 0.001)
    with pytest.raises(NodeError, match="to status: cannot start /nowhere/tool: No such file"):
        await asking.ask("status", partial(run_tool, ["/nowhere/tool"], {}, NO_GUARD))
