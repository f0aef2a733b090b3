"""The console over ssh: a real shell behind a real ssh server, and who is let in."""

from pathlib import Path

import asyncssh
import pytest
import trio

from imaging._aio import open_aio
from imaging.errors import ConfigurationError, NodeError, Reason
from imaging.node.connection import connect
from imaging.node.console import open_console
from imaging.node.console_opener import ConsoleOpener, console_opener
from imaging.site.schema import RamdiskSettings, Settings
from tests.ssh_ramdisk import ramdisk


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("ssh") / "key"
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(file)
    return file


def opener(key: Path) -> ConsoleOpener:
    return console_opener(Settings(ramdisk=RamdiskSettings(console="ssh", key=key)))


async def test_commands_run_in_the_shell_behind_ssh(key: Path) -> None:
    traffic: list[str] = []
    async with open_aio(), ramdisk(key) as port:
        with trio.fail_after(10):
            stream = await connect("127.0.0.1", port)
            opened = opener(key)(stream, "fit01", on_traffic=lambda way, _: traffic.append(way))
            async with opened as console:
                await console.wait_for_shell(1.0)
                result = await console.run("echo hello; echo wrong >&2; (exit 5)")
                assert (result.status, result.output) == (5, "hello\nwrong")
                long = await console.run("seq 1 20000")
                assert long.output.endswith("19999\n20000")
        assert stream.fileno() == -1
    assert set(traffic) == {"<", ">"}


async def test_the_end_of_the_shell_is_told(key: Path) -> None:
    async with open_aio(), ramdisk(key) as port:
        with trio.fail_after(10):
            stream = await connect("127.0.0.1", port)
            async with opener(key)(stream, "fit01") as console:
                await console.wait_for_shell(1.0)
                with pytest.raises(NodeError, match="fit01: the ssh connection .* lost") as caught:
                    await console.run("kill -9 $$")
    assert caught.value.reason is Reason.CONSOLE_LOST


async def test_who_has_another_key_gets_no_shell(key: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(other)
    async with open_aio(), ramdisk(key) as port:
        with trio.fail_after(10):
            stream = await connect("127.0.0.1", port)
            with pytest.raises(NodeError, match="permission denied") as caught:
                async with opener(other)(stream, "fit01"):
                    pytest.fail("it was let in")
        assert stream.fileno() == -1
    assert caught.value.reason is Reason.NOT_OUR_RAMDISK


async def test_what_says_nothing_is_given_up_with_the_scope(key: Path) -> None:
    listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
    async with open_aio(), listener:
        stream = await connect("127.0.0.1", listener.socket.getsockname()[1])
        with trio.move_on_after(0.2) as patience:
            async with opener(key)(stream, "fit01"):
                pytest.fail("it has said nothing")
        assert patience.cancelled_caught
    assert stream.fileno() == -1


def test_the_settings_choose(key: Path, tmp_path: Path) -> None:
    assert console_opener(Settings()) is open_console
    missing = RamdiskSettings(console="ssh", key=tmp_path / "missing")
    with pytest.raises(ConfigurationError, match=r"see \[ramdisk\] key"):
        console_opener(Settings(ramdisk=missing))
