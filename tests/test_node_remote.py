"""The system behind ssh: against real ssh servers, well and badly behaved."""

import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import asyncssh
import pytest
import trio

from imaging._aio import from_aio, open_aio
from imaging.errors import ConfigurationError, NodeError
from imaging.node.remote import (
    READ_LIMIT,
    UPTIME,
    RemoteError,
    SshLogin,
    open_remote,
    parse_uptime,
    prepare_login,
)
from imaging.operations.polling import Polling
from imaging.operations.steps import NodeStory
from imaging.operations.system import SshSearch
from imaging.site.schema import Settings

if TYPE_CHECKING:
    from imaging.feedback.events import Event

ANSWERS = {"true": (0, ""), "cat /proc/uptime": (0, "12.34 5.00\n"), "false": (1, "")}


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("ssh") / "key"
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(file)
    file.chmod(0o600)
    return file


@asynccontextmanager
async def ssh_server(
    key: Path,
    answers: dict[str, tuple[int, str]],
    work: Callable[["asyncssh.SSHServerProcess[str]"], object] | None = None,
    *,
    accepts: bool = True,
    host_key: Path | None = None,
) -> AsyncIterator[int]:
    """A real ssh server with these few commands; it accepts our key, or another."""
    private = asyncssh.read_private_key(key)
    accepted = private if accepts else asyncssh.generate_private_key("ssh-ed25519")

    def run(process: "asyncssh.SSHServerProcess[str]") -> None:
        if process.command not in answers:
            process.get_extra_info("connection").abort()
            return
        status, output = answers[process.command]
        process.stdout.write(output)
        process.exit(status)

    acceptor = await from_aio(
        asyncssh.listen,
        "127.0.0.1",
        0,
        server_host_keys=[private if host_key is None else asyncssh.read_private_key(host_key)],
        authorized_client_keys=asyncssh.import_authorized_keys(
            accepted.export_public_key("openssh").decode()
        ),
        process_factory=work or run,
    )
    try:
        yield acceptor.get_port()
    finally:
        acceptor.close()


@asynccontextmanager
async def plain_server(handler: Callable[[trio.SocketStream], object]) -> AsyncIterator[int]:
    async def handle(stream: trio.SocketStream) -> None:
        async with stream:
            await handler(stream)  # type: ignore[misc]

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, handle, 0, host="127.0.0.1"))
        yield listeners[0].socket.getsockname()[1]
        nursery.cancel_scope.cancel()


def login(key: Path, port: int) -> SshLogin:
    return prepare_login("root", port, key)


async def test_commands_are_run(key: Path) -> None:
    async with open_aio(), ssh_server(key, ANSWERS) as port:
        with trio.fail_after(10):
            async with open_remote("127.0.0.1", login(key, port)) as remote:
                assert await remote.run("true") == (0, "")
                assert await remote.run("false") == (1, "")
                assert parse_uptime((await remote.run(UPTIME))[1]) == 12.34


async def test_what_a_command_says_is_read(key: Path) -> None:
    said = {"hello": (0, "hello\nworld\n"), "fails": (3, "some words"), "long": (0, "x" * 300_000)}
    async with open_aio(), ssh_server(key, said) as port:
        with trio.fail_after(10):
            async with open_remote("127.0.0.1", login(key, port)) as remote:
                assert await remote.read("hello") == "hello\nworld\n"
                assert await remote.read("fails") == ""
                assert await remote.read("long", 1000) == "x" * 1000
                assert len(await remote.read("long")) == READ_LIMIT
                assert await remote.read("hello", 5) == "hello"


@pytest.mark.parametrize("to_its_end", [False, True])
async def test_what_never_ends_is_left(key: Path, to_its_end: bool) -> None:
    async def babble(process: "asyncssh.SSHServerProcess[str]") -> None:
        with suppress(OSError):  # we leave before its end
            while True:
                process.stdout.write("y\n" * 4096)
                await process.stdout.drain()
        process.get_extra_info("connection").abort()
        ended.set()

    ended = trio.Event()
    async with open_aio(), ssh_server(key, {}, babble) as port:
        with trio.fail_after(10):
            async with open_remote("127.0.0.1", login(key, port)) as remote:
                if to_its_end:
                    with pytest.raises(RemoteError, match="says more than"):
                        await remote.run("yes")
                else:
                    assert await remote.read("yes") == "y\n" * (READ_LIMIT // 2)
            await ended.wait()


async def test_a_connection_that_is_lost_while_it_is_read_is_told(key: Path) -> None:
    async with open_aio(), ssh_server(key, {}) as port:
        with trio.fail_after(10):
            async with open_remote("127.0.0.1", login(key, port)) as remote:
                with pytest.raises(RemoteError):
                    await remote.read("anything")


@pytest.mark.parametrize("told", ["", "soon", "-1 2", "1e9 0", "nan", "12.34\n13.0", "9" * 30])
def test_an_uptime_that_is_none_is_told(told: str) -> None:
    with pytest.raises(RemoteError, match="does not tell its uptime"):
        parse_uptime(told)


async def test_a_key_that_is_not_accepted_is_told(key: Path) -> None:
    async with open_aio(), ssh_server(key, ANSWERS, accepts=False) as port:
        with trio.fail_after(10), pytest.raises(RemoteError, match="permission denied"):
            async with open_remote("127.0.0.1", login(key, port)):
                pass


async def test_a_server_that_closes_after_the_login_is_told(key: Path) -> None:
    async with open_aio(), ssh_server(key, {}) as port:
        with trio.fail_after(10):
            async with open_remote("127.0.0.1", login(key, port)) as remote:
                with pytest.raises(RemoteError):
                    await remote.run("true")


@pytest.mark.parametrize(
    "banner",
    [
        b"",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"SSH-1.5-old\r\n",
        b"SSH-2.0-x\r\n" + b"\0" * 64,
        b"\xff" * 5000,
        b"SSH-2.0-\x1b[2J\xff\r\n\xff\xff\xff\xff",
    ],
)
async def test_what_is_no_ssh_server_is_told(key: Path, banner: bytes) -> None:
    async def answer(stream: trio.SocketStream) -> None:
        await stream.send_all(banner)

    async with open_aio(), plain_server(answer) as port:
        with trio.fail_after(10), pytest.raises(RemoteError) as caught:
            async with open_remote("127.0.0.1", login(key, port)):
                pass
    assert caught.value.message.isprintable()
    assert 0 < len(caught.value.message) <= 200


async def test_whatever_asyncssh_makes_of_a_packet_is_a_failed_attempt(
    key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # as it does for an RSA host key with a negative modulus
    def overflow(*_: object) -> None:
        raise OverflowError("can't convert negative int to unsigned")

    monkeypatch.setattr(asyncssh.connection.SSHClientConnection, "_process_kexinit", overflow)
    monkeypatch.setitem(
        asyncssh.connection.SSHConnection._packet_handlers, asyncssh.constants.MSG_KEXINIT, overflow
    )
    async with open_aio(), ssh_server(key, ANSWERS) as port:
        with trio.fail_after(10), pytest.raises(RemoteError, match="speaks no proper ssh"):
            async with open_remote("127.0.0.1", login(key, port)):
                pass


async def test_a_server_that_says_nothing_can_be_left(key: Path) -> None:
    async def silent(stream: trio.SocketStream) -> None:
        await trio.sleep_forever()

    async with open_aio(), plain_server(silent) as port:
        with trio.move_on_after(0.3) as patience:
            async with open_remote("127.0.0.1", login(key, port)):
                pass
        assert patience.cancelled_caught


async def test_nobody_is_an_os_error(key: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    async with open_aio():
        with pytest.raises(OSError, match="refused"):
            async with open_remote("127.0.0.1", login(key, port)):
                pass


def test_a_key_of_the_user_that_is_broken_does_not_hide_the_others(
    tmp_path: Path, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    keys = tmp_path / ".ssh"
    keys.mkdir()
    (keys / "id_ed25519").write_text("rubbish")
    with pytest.raises(ConfigurationError, match=r"no key of ~/\.ssh can be used"):
        prepare_login("root", 22, None)
    (keys / "id_ecdsa").write_bytes(key.read_bytes())
    found = prepare_login("root", 22, None).options.client_keys
    assert found is not None
    assert len(found) == 1


def test_a_key_with_a_passphrase_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "key"
    private = asyncssh.generate_private_key("ssh-ed25519")
    file.write_bytes(private.export_private_key("pkcs8-pem", passphrase="secret"))
    with pytest.raises(ConfigurationError, match="use the agent"):
        prepare_login("root", 22, file)


@pytest.mark.skipif(shutil.which("dropbear") is None, reason="dropbear-bin is not installed")
async def test_dropbear_without_an_rsa_key_lets_us_get_as_far_as_our_key(
    key: Path, tmp_path: Path
) -> None:
    host_key = tmp_path / "host-key"
    words = ["dropbearkey", "-t", "ed25519", "-f", str(host_key)]
    await trio.run_process(words, capture_stdout=True, capture_stderr=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # -F: in the foreground; -s: no passwords
    server = ["dropbear", "-F", "-s", "-r", str(host_key), "-p", f"127.0.0.1:{port}", "-P", ""]
    serve = partial(trio.run_process, server, check=False, stderr=subprocess.DEVNULL)
    async with open_aio(), trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        with trio.fail_after(10):
            message = "refused"
            while message == "refused":
                message = await failed_login(login(key, port))
        assert message.startswith("permission denied")
        nursery.cancel_scope.cancel()


async def failed_login(with_key: SshLogin) -> str:
    try:
        async with open_remote("127.0.0.1", with_key):
            return "let in"
    except OSError:
        await trio.sleep(0.05)
        return "refused"
    except RemoteError as error:
        return error.message


async def test_a_system_with_an_rsa_host_key_only_is_fine(key: Path, tmp_path: Path) -> None:
    host_key = tmp_path / "rsa"
    asyncssh.generate_private_key("ssh-rsa", key_size=2048).write_private_key(host_key)
    async with open_aio(), ssh_server(key, ANSWERS, host_key=host_key) as port:
        with trio.fail_after(10):
            async with open_remote("127.0.0.1", login(key, port)) as remote:
                assert await remote.run("true") == (0, "")


async def test_a_command_that_is_killed_is_told(key: Path) -> None:
    def die(process: "asyncssh.SSHServerProcess[str]") -> None:
        process.close()  # without a status

    async with open_aio(), ssh_server(key, {}, die) as port:
        with trio.fail_after(10):
            async with open_remote("127.0.0.1", login(key, port)) as remote:
                with pytest.raises(RemoteError, match="true was cut off: the connection was lost"):
                    await remote.run("true")


async def test_a_system_on_which_nothing_runs_is_not_there_yet(key: Path) -> None:
    events: list[Event] = []
    settings = Settings()
    async with open_aio(), ssh_server(key, {"true": (1, "")}) as port:
        story = NodeStory("fit01", events.append)
        search = SshSearch(story, "127.0.0.1", login(key, port), settings, Polling(400), None)
        with trio.fail_after(10), pytest.raises(NodeError, match="true ended with status 1"):
            await search.reach(0.5)
