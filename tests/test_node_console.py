"""The console over real telnet connections: real telnetd, real shells, real silence."""

import shutil
import socket
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest
import trio

from imaging._aio import open_aio
from imaging.errors import NodeError, Reason
from imaging.node.connection import connect
from imaging.node.console import open_console

INETUTILS = Path("/usr/sbin/telnetd")


@pytest.fixture
def real_telnetd(request: pytest.FixtureRequest, tmp_path: Path) -> list[str]:
    """The command line of inetutils' telnetd with this login program; skips where it is missing."""
    shell, directory = str(request.param), tmp_path
    if not INETUTILS.exists():
        pytest.skip("inetutils-telnetd is not installed")
    version = subprocess.run(
        [INETUTILS, "--version"], capture_output=True, text=True, check=False
    ).stdout
    if "inetutils" not in version:
        pytest.skip(f"{INETUTILS} is another telnetd")
    found = shutil.which(shell.split(maxsplit=1)[0])
    if found is None:
        pytest.skip(f"{shell} is not installed")
    login = directory / "login"
    login.write_text(f"#!/bin/sh\nexec {' '.join([found, *shell.split()[1:]])} -i\n")
    login.chmod(0o755)
    return [str(INETUTILS), f"--exec-login={login}"]


@contextmanager
def listening() -> Iterator[trio.socket.SocketType]:
    with trio.socket.from_stdlib_socket(socket.create_server(("127.0.0.1", 0))) as listener:
        yield listener


async def serve_with(argv: list[str], listener: trio.socket.SocketType) -> None:
    """Be the inetd of one connection."""
    stream, _ = await listener.accept()
    with stream:
        process = subprocess.Popen(  # noqa: ASYNC220
            argv, stdin=stream.fileno(), stdout=stream.fileno()
        )
    try:
        await trio.to_thread.run_sync(process.wait, abandon_on_cancel=True)
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("real_telnetd", ["dash", "bash", "busybox ash"], indirect=True)
async def test_commands_through_a_real_telnetd(real_telnetd: list[str]) -> None:
    traffic: list[str] = []
    pieces: list[bytes] = []
    with trio.fail_after(20), listening() as listener:
        async with open_aio(), trio.open_nursery() as nursery:
            nursery.start_soon(serve_with, real_telnetd, listener)
            stream = await connect(*listener.getsockname())
            async with open_console(
                stream, "fit01", on_traffic=lambda way, _: traffic.append(way)
            ) as console:
                await console.wait_for_shell(1.0)
                result = await console.run("echo hello; echo wrong >&2; (exit 5)")
                assert (result.status, result.output) == (5, "hello\nwrong")
                long = await console.run("seq 1 20000", on_output=pieces.append)
                assert long.status == 0
                assert b"".join(pieces).split() == [b"%d" % n for n in range(1, 20001)]
                assert long.output.endswith("19999\n20000")
                assert len(long.output) <= 65536
                # a command that reads its input finds it empty: what is typed is ours
                assert (await console.run("cat; echo over")).output == "over"
    assert {">", "<"} == set(traffic)


async def test_what_is_said_during_a_rest_comes_in_one_piece() -> None:
    pieces: list[bytes] = []

    def look(output: bytes) -> float:
        pieces.append(output)
        return 0.2 if len(pieces) == 1 else 0.0

    with trio.fail_after(10), listening() as listener:
        async with open_aio(), trio.open_nursery() as nursery:
            nursery.start_soon(serve_with, ["sh"], listener)
            stream = await connect(*listener.getsockname())
            async with open_console(stream, "fit01") as console:
                await console.wait_for_shell(1.0)
                chatter = "for n in 1 2 3 4 5 6 7 8; do echo $n; sleep 0.01; done; sleep 0.3"
                await console.run(chatter, on_output=look)
    assert b"".join(pieces).split() == [b"%d" % n for n in range(1, 9)]
    assert len(pieces) <= 3


async def test_a_rest_ends_with_whoever_rests() -> None:
    with trio.fail_after(10), listening() as listener:
        async with open_aio(), trio.open_nursery() as nursery:
            nursery.start_soon(serve_with, ["sh"], listener)
            stream = await connect(*listener.getsockname())
            async with open_console(stream, "fit01") as console:
                await console.wait_for_shell(1.0)
                with trio.move_on_after(0.2) as patience:
                    await console.run("echo talk; sleep 60", on_output=lambda _: 60.0)
                assert patience.cancelled_caught
            nursery.cancel_scope.cancel()
        assert stream.fileno() == -1


async def handler_of(listener: trio.socket.SocketType, talk: bytes, close: bool) -> None:
    stream, _ = await listener.accept()
    with stream:
        await stream.send(talk)
        with suppress(ConnectionResetError):
            while not close and await stream.recv(4096):
                pass


LOGIN = b"\xff\xfd\x18\xff\xfb\x01Debian GNU/Linux 12\r\nfit01 login: "


@pytest.mark.parametrize(
    "talk",
    [b"", LOGIN, b"\xff\xfd\x18" * 100, b"\xff", b"\xff\xfa\x18\x01"],
    ids=["silent", "login", "asks", "half-command", "endless-subnegotiation"],
)
async def test_what_is_no_shell_is_not_taken_for_one(talk: bytes) -> None:
    with trio.fail_after(10), listening() as listener:
        async with open_aio(), trio.open_nursery() as nursery:
            nursery.start_soon(handler_of, listener, talk, False)
            stream = await connect(*listener.getsockname())
            async with open_console(stream, "fit01") as console:
                with trio.move_on_after(0.3) as patience:
                    await console.wait_for_shell(0.1)
                assert patience.cancelled_caught
        assert stream.fileno() == -1


async def test_a_node_that_hangs_up_is_told() -> None:
    with trio.fail_after(10), listening() as listener:
        async with open_aio(), trio.open_nursery() as nursery:
            nursery.start_soon(handler_of, listener, b"bye\r\n", True)
            stream = await connect(*listener.getsockname())
            async with open_console(stream, "fit01") as console:
                with pytest.raises(NodeError, match="fit01: the telnet connection") as caught:
                    await console.wait_for_shell(1.0)
                assert caught.value.reason is Reason.CONSOLE_LOST
                with pytest.raises(NodeError, match="was lost: closed"):
                    await console.run("true")  # nobody is there to take it


async def test_a_connection_that_is_reset_is_told() -> None:
    async def reset(listener: trio.socket.SocketType) -> None:
        stream, _ = await listener.accept()
        await stream.recv(1)  # what the console types to find the shell
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        stream.close()

    with trio.fail_after(10), listening() as listener:
        async with open_aio(), trio.open_nursery() as nursery:
            nursery.start_soon(reset, listener)
            stream = await connect(*listener.getsockname())
            async with open_console(stream, "fit01") as console:
                with pytest.raises(NodeError, match="connection reset by peer") as caught:
                    await console.wait_for_shell(1.0)
                assert caught.value.reason is Reason.CONSOLE_LOST


async def test_cancelling_at_any_moment_leaves_no_connection() -> None:
    with trio.fail_after(20), listening() as listener:
        async with open_aio():
            for delay in (0, 0.0005, 0.001, 0.002, 0.005, 0.02):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(partial(handler_of, listener, LOGIN, False))
                    with trio.move_on_after(delay):
                        stream = await connect(*listener.getsockname())
                        async with open_console(stream, "fit01") as console:
                            await console.wait_for_shell(1.0)
                    nursery.cancel_scope.cancel()


async def test_a_refused_connection_is_an_os_error() -> None:
    with pytest.raises(OSError, match="refused"):
        await connect("127.0.0.1", 1)
