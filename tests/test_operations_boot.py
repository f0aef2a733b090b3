"""The search for the ramdisk: over real telnet-like connections, with a card of our own.

The card is hardware, so it is made up here; the console it leads to is a real shell behind a real
connection, whose uptime says whether the reset was obeyed.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import asyncssh
import msgspec
import pytest
import trio

from imaging._aio import open_aio
from imaging.errors import NodeError, Reason
from imaging.feedback.events import Event, Noticed, Said, Sighted
from imaging.node.console_opener import console_opener
from imaging.node.power import PowerState
from imaging.operations.admission import Admission
from imaging.operations.boot import RamdiskSearch
from imaging.operations.escalation import Escalation
from imaging.operations.polling import Polling
from imaging.operations.steps import NodeStory
from imaging.site.schema import RamdiskSettings, Settings
from tests.ssh_ramdisk import ramdisk


@dataclass
class Machine:
    """A machine whose shell tells the uptime it is given; resets work or are ignored."""

    obeys_reset: bool
    obeys_cycle: bool = True
    obeys_shutdown: bool = True
    state: PowerState = PowerState.ON
    old: bool = True
    tells_uptime: bool = True
    orders: list[str] = field(default_factory=list)

    async def status(self) -> PowerState:
        return self.state

    async def reset(self) -> None:
        self.orders.append("reset")
        self.old = self.old and not self.obeys_reset

    async def turn_off(self) -> None:
        self.orders.append("off")
        self.state = PowerState.OFF

    async def turn_on(self) -> None:
        self.orders.append("on")
        self.state = PowerState.ON
        self.old = self.old and not self.obeys_cycle

    async def shut_down(self) -> None:
        self.orders.append("shutdown")
        if self.obeys_shutdown:
            self.state = PowerState.OFF

    async def info(self) -> str:
        return "made up"

    async def shell(self, stream: trio.SocketStream) -> None:
        """Run what is typed in a real sh, whose ``cat`` tells the machine's uptime."""
        uptime = "9999.99" if self.old else "0.01"
        told = f"echo {uptime} 1.0" if self.tells_uptime else "echo no such file"
        preamble = f"cat() {{ {told}; }}; blockdev() {{ echo 1048576; }}; "
        buffer = b""
        async for data in stream:
            buffer += data
            while b"\n" in buffer:
                line, _, buffer = buffer.partition(b"\n")
                if not line.startswith(b"printf"):
                    continue  # the client's negotiation is not for this shell
                done = await trio.run_process(
                    ["sh", "-c", preamble + line.decode()], capture_stdout=True, check=False
                )
                await stream.send_all(done.stdout.replace(b"\n", b"\r\n") + b"# ")


@asynccontextmanager
async def serving(machine: Machine) -> AsyncIterator[int]:
    async with trio.open_nursery() as nursery:
        serve = partial(trio.serve_tcp, machine.shell, 0, host="127.0.0.1")
        listeners = await nursery.start(serve)
        yield listeners[0].socket.getsockname()[1]
        nursery.cancel_scope.cancel()


def quick_settings(port: int, escalation: str = "reset, cycle", **boot: float) -> Settings:
    settings = Settings()
    pace = {"poll_s": 0.01, "reset_grace_s": 0.2, "timeout_s": 5.0, "shell_timeout_s": 2.0, **boot}
    return msgspec.structs.replace(
        settings,
        boot=msgspec.structs.replace(settings.boot, **pace),
        power=msgspec.structs.replace(
            settings.power, escalation=escalation, shutdown_timeout_s=0.1, retry_delay_s=0.01
        ),
        console=msgspec.structs.replace(settings.console, port=port),
    )


async def search(
    machine: Machine, events: list[Event], escalation: str = "reset, cycle", **boot: float
) -> float | NodeError | None:
    """Reset the machine and search its ramdisk; the uptime of what was found, or the failure."""
    with trio.fail_after(20):
        async with open_aio(), serving(machine) as port, AsyncExitStack() as stack:
            story = NodeStory("fit01", events.append)
            settings = quick_settings(port, escalation, **boot)
            orders = Escalation(story, machine, settings.power)
            ordered = await orders.begin()
            hunt = RamdiskSearch(
                story,
                "127.0.0.1",
                settings,
                Polling(400),
                escalation=orders,
                booted_after=ordered,
            )
            try:
                _, inspection = await hunt.reach(stack, settings.boot.timeout_s)
            except NodeError as error:
                return error
            assert inspection.disk_size == 1048576
            return inspection.uptime_s


async def test_a_reset_that_is_obeyed_is_proven_by_the_uptime() -> None:
    machine = Machine(obeys_reset=True)
    assert await search(machine, []) == 0.01
    assert machine.orders == ["reset"]


async def test_a_machine_that_is_off_is_switched_on() -> None:
    machine = Machine(obeys_reset=False, state=PowerState.OFF)
    assert await search(machine, []) == 0.01
    assert machine.orders == ["on"]


async def test_an_ignored_reset_is_repeated_once_and_harder() -> None:
    machine, events = Machine(obeys_reset=False), list[Event]()
    assert await search(machine, events) == 0.01
    assert machine.orders == ["reset", "off", "on"]
    assert any(isinstance(e, Noticed) and "off and on" in e.message for e in events)


async def test_a_machine_that_cannot_be_reset_is_never_taken_for_the_ramdisk() -> None:
    machine = Machine(obeys_reset=False, obeys_cycle=False)
    failure = await search(machine, [])
    assert isinstance(failure, NodeError)
    assert failure.reason is Reason.RESET_IGNORED
    assert "a system is up since 10000 s, so the reset was ignored" in str(failure)
    assert machine.orders == ["reset", "off", "on"]


async def test_what_has_gone_is_no_reason_any_more() -> None:
    """The old system takes one more connection, closes it, and is never seen again."""
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    sightings: list[Event] = []

    async def close_once() -> None:
        stream = await listeners[0].accept()
        await listeners[0].aclose()
        await stream.aclose()

    with trio.fail_after(10):
        async with open_aio(), trio.open_nursery() as nursery, AsyncExitStack() as stack:
            nursery.start_soon(close_once)
            hunt = RamdiskSearch(
                NodeStory("fit01", sightings.append),
                "127.0.0.1",
                quick_settings(port),
                Polling(400),
                escalation=None,
                booted_after=0.0,
            )
            with pytest.raises(NodeError, match="refused") as caught:
                await hunt.reach(stack, 0.5)
    assert caught.value.reason is Reason.NO_TELNET
    assert any("no shell behind it" in str(event) for event in sightings)


async def test_nothing_that_answers_is_no_telnet() -> None:
    machine = Machine(obeys_reset=True)
    with trio.fail_after(10):
        async with open_aio(), AsyncExitStack() as stack:
            story = NodeStory("fit01", lambda _: None)
            settings = quick_settings(1)
            hunt = RamdiskSearch(
                story,
                "127.0.0.1",
                settings,
                Polling(400),
                escalation=Escalation(story, machine, settings.power),
                booted_after=0.0,
            )
            with pytest.raises(NodeError, match="refused") as caught:
                await hunt.reach(stack, 0.3)
    assert caught.value.reason is Reason.NO_TELNET


async def test_a_port_without_a_shell_is_not_our_ramdisk() -> None:
    async def silent(stream: trio.SocketStream) -> None:
        await trio.sleep_forever()

    machine = Machine(obeys_reset=True)
    machine.shell = silent  # type: ignore[method-assign]
    failure = await search(machine, [], shell_timeout_s=0.1, timeout_s=0.5)
    assert isinstance(failure, NodeError)
    assert failure.reason is Reason.NOT_OUR_RAMDISK
    assert "no shell behind it" in str(failure)


async def test_a_system_that_shuts_down_is_switched_on_again() -> None:
    machine = Machine(obeys_reset=True)
    assert await search(machine, [], escalation="shutdown, reset") == 0.01
    assert machine.orders == ["shutdown", "on"]


async def test_a_system_that_does_not_shut_down_is_reset() -> None:
    machine, events = Machine(obeys_reset=True, obeys_shutdown=False), list[Event]()
    assert await search(machine, events, escalation="shutdown reset") == 0.01
    assert machine.orders == ["shutdown", "reset"]
    assert any(isinstance(e, Noticed) and "did not shut down" in e.message for e in events)


async def test_the_last_that_does_not_shut_down_is_switched_off() -> None:
    machine = Machine(obeys_reset=False, obeys_shutdown=False)
    assert await search(machine, [], escalation="shutdown") == 0.01
    assert machine.orders == ["shutdown", "off", "on"]


async def test_each_order_of_the_escalation_is_given_once() -> None:
    machine = Machine(obeys_reset=False, obeys_cycle=False)
    failure = await search(machine, [], escalation="reset, reset, cycle")
    assert isinstance(failure, NodeError)
    assert failure.reason is Reason.RESET_IGNORED
    assert "after off and on" in str(failure)
    assert machine.orders == ["reset", "reset", "off", "on"]


@pytest.mark.parametrize("accepted", [True, False])
async def test_a_ramdisk_behind_ssh_is_found_by_who_has_its_key(
    accepted: bool, tmp_path: Path
) -> None:
    for name in ("key", "other"):
        asyncssh.generate_private_key("ssh-ed25519").write_private_key(tmp_path / name)
    events: list[Event] = []
    with trio.fail_after(20):
        async with open_aio(), ramdisk(tmp_path / "key") as port, AsyncExitStack() as stack:
            key = tmp_path / ("key" if accepted else "other")
            settings = msgspec.structs.replace(
                quick_settings(port), ramdisk=RamdiskSettings(console="ssh", key=key)
            )
            hunt = RamdiskSearch(
                NodeStory("fit01", events.append),
                "127.0.0.1",
                settings,
                Polling(400),
                escalation=None,
                booted_after=None,
                opener=console_opener(settings),
            )
            if accepted:
                _, inspection = await hunt.reach(stack, 10)
                assert inspection.uptime_s is not None
                assert {event.channel for event in events if isinstance(event, Said)} == {"ssh"}
                return
            with pytest.raises(NodeError, match="ssh answers, but gives no shell") as caught:
                await hunt.reach(stack, 0.5)
    assert caught.value.reason is Reason.NOT_OUR_RAMDISK
    assert str(caught.value).count("fit01") == 1


async def test_a_shell_that_tells_no_uptime_is_not_our_ramdisk() -> None:
    failure = await search(Machine(obeys_reset=True, tells_uptime=False), [], timeout_s=0.5)
    assert isinstance(failure, NodeError)
    assert failure.reason is Reason.NOT_OUR_RAMDISK
    assert "there is a shell, but it cannot read /proc/uptime" in failure.message


async def test_more_nodes_than_can_be_talked_to_at_once_are_asked_in_vain_by_nobody() -> None:
    """On a host with little time, where all at once would take 2.4 s for each."""
    nodes, abreast, timeout_s = 24, 3, 1.0
    turn, events = trio.Lock(), list[Event]()

    class SlowMachine(Machine):
        async def shell(self, stream: trio.SocketStream) -> None:
            async with turn:
                await trio.sleep(0.1)
            await super().shell(stream)

    polling = Polling(400, Admission(abreast, timeout_s))
    async with open_aio(), serving(SlowMachine(obeys_reset=True, old=False)) as port:
        settings = quick_settings(port, shell_timeout_s=timeout_s)

        async def reach(number: int) -> None:
            story = NodeStory(f"fit{number:02}", events.append)
            found = RamdiskSearch(
                story, "127.0.0.1", settings, polling, escalation=None, booted_after=None
            )
            async with AsyncExitStack() as consoles:
                await found.reach(consoles, 15.0)

        async with trio.open_nursery() as nursery:
            for number in range(nodes):
                nursery.start_soon(reach, number)
    assert not [event for event in events if isinstance(event, Sighted)]
