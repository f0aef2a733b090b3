"""Searching many systems at once, against a real ssh server that is slow for all of them."""

import asyncio
import socket
from pathlib import Path

import asyncssh
import msgspec
import trio

from imaging._aio import from_aio, open_aio
from imaging.feedback.events import Event, Sighted
from imaging.node.remote import prepare_login
from imaging.operations.admission import Admission
from imaging.operations.polling import Polling
from imaging.operations.steps import NodeStory
from imaging.operations.system import SshSearch
from imaging.site.schema import Settings

NODES, LOGINS, LOGIN_S, ATTEMPT_S = 24, 3, 0.1, 1.0  # all at once would take 2.4 s for each


class SlowServer(asyncssh.SSHServer):
    """One host with little time: it lets in one after the other, and counts who comes."""

    logins = 0

    def __init__(self, turn: asyncio.Lock) -> None:
        self._turn = turn

    async def begin_auth(self, username: str) -> bool:
        del username
        SlowServer.logins += 1
        async with self._turn:
            await asyncio.sleep(LOGIN_S)
        return False


def answer(process: "asyncssh.SSHServerProcess[str]") -> None:
    process.exit(0)


async def test_more_nodes_than_can_log_in_at_once_have_no_login_in_vain(tmp_path: Path) -> None:
    key = tmp_path / "key"
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(key)
    key.chmod(0o600)
    events: list[Event] = []
    settings = Settings()
    settings = msgspec.structs.replace(
        settings, ssh=msgspec.structs.replace(settings.ssh, attempt_timeout_s=ATTEMPT_S)
    )
    polling = Polling(400, Admission(LOGINS, ATTEMPT_S))
    with trio.fail_after(20):
        async with open_aio():
            turn = asyncio.Lock()
            acceptor = await from_aio(
                asyncssh.listen,
                "127.0.0.1",
                0,
                server_factory=lambda: SlowServer(turn),
                server_host_keys=[asyncssh.read_private_key(key)],
                process_factory=answer,
            )
            login = prepare_login("root", acceptor.get_port(), key)
            async with trio.open_nursery() as nursery:
                for number in range(NODES):
                    story = NodeStory(f"fit{number:02}", events.append)
                    search = SshSearch(story, "127.0.0.1", login, settings, polling, None)
                    nursery.start_soon(search.reach, 15.0)
            acceptor.close()
    assert SlowServer.logins == NODES
    assert not [event for event in events if isinstance(event, Sighted)]


async def test_nodes_that_hang_take_no_turn_of_those_that_do_not(tmp_path: Path) -> None:
    """Each of them is given up after 10 s, which nobody else has to wait for."""
    key = tmp_path / "key"
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(key)
    key.chmod(0o600)
    public = asyncssh.read_private_key(key).export_public_key()
    key.with_suffix(".pub").write_bytes(public)
    polling = Polling(400, Admission(LOGINS, 0.01))
    async with open_aio(), trio.open_nursery() as nursery:
        acceptor = await from_aio(
            asyncssh.listen,
            "127.0.0.1",
            0,
            server_factory=asyncssh.SSHServer,
            server_host_keys=[asyncssh.read_private_key(key)],
            authorized_client_keys=str(key.with_suffix(".pub")),
            process_factory=answer,
        )
        silent = socket.create_server(("127.0.0.1", 0))
        for port in [silent.getsockname()[1]] * 2 * LOGINS:
            story = NodeStory("fit01", list[Event]().append)
            login = prepare_login("root", port, key)
            search = SshSearch(story, "127.0.0.1", login, Settings(), polling, None)
            nursery.start_soon(search.reach, 60.0)
        await trio.sleep(0.2)
        login = prepare_login("root", acceptor.get_port(), key)
        story = NodeStory("fit02", list[Event]().append)
        with trio.fail_after(5):
            await SshSearch(story, "127.0.0.1", login, Settings(), polling, None).reach(60.0)
        nursery.cancel_scope.cancel()
        silent.close()
        acceptor.close()
