"""Whatever answers at a node's ssh port is a system, or an error of ours."""

import struct
from contextlib import suppress
from functools import partial

import asyncssh
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from imaging._aio import open_aio
from imaging.node.remote import RemoteError, SshLogin, open_remote


def ssh_packet(payload: bytes) -> bytes:
    """A packet as it is before keys are exchanged (RFC 4253, 6)."""
    padding = 8 - (5 + len(payload)) % 8 + 4
    return struct.pack(">IB", 1 + len(payload) + padding, padding) + payload + bytes(padding)


KEXINIT, NEWKEYS, DISCONNECT, IGNORE = b"\x14", b"\x15", b"\x01", b"\x02"
NAMES = st.sampled_from([b"", b"curve25519-sha256", b"ssh-ed25519", b"none", b"aes128-ctr", b",,"])
NAME_LISTS = st.lists(NAMES | st.binary(max_size=8), max_size=11).map(
    lambda names: b"".join(struct.pack(">I", len(name)) + name for name in names)
)
SSH_PACKETS = st.builds(
    lambda kind, rest: ssh_packet(kind + rest),
    st.sampled_from([KEXINIT + bytes(16), NEWKEYS, DISCONNECT, IGNORE]) | st.binary(max_size=1),
    NAME_LISTS | st.binary(max_size=40),
)
GREETINGS = st.sampled_from(
    [b"SSH-2.0-x\r\n", b"SSH-1.99-\n", b"hello\r\nSSH-2.0-x\r\n", b"SSH-2.0-\x1b[2J\r\n", b""]
) | st.binary(max_size=40)


LOGIN = SshLogin(
    0,
    asyncssh.SSHClientConnectionOptions(
        username="root",
        known_hosts=None,
        config=None,
        client_keys=[asyncssh.generate_private_key("ssh-ed25519")],
    ),
)


async def log_in_on(sent: list[bytes], login: SshLogin) -> None:
    """Log in on a server that says this, and closes; it must be our own error."""

    async def answer(stream: trio.SocketStream) -> None:
        async with stream:
            with suppress(trio.BrokenResourceError):
                await stream.send_all(b"".join(sent))
                await stream.send_eof()
                while await stream.receive_some(4096):
                    pass

    async with open_aio(), trio.open_nursery() as nursery:
        serve = partial(trio.serve_tcp, answer, 0, host="127.0.0.1")
        listeners = await nursery.start(serve)
        port = listeners[0].socket.getsockname()[1]
        with trio.fail_after(10):
            try:
                async with open_remote("127.0.0.1", replace(login, port=port)):
                    raise AssertionError("nobody can log in on noise")
            except OSError:
                pass
            except RemoteError as error:
                assert error.message.isprintable()
                assert len(error.message) <= 200
        nursery.cancel_scope.cancel()


@settings(max_examples=60, deadline=None)
@given(greeting=GREETINGS, packets=st.lists(SSH_PACKETS | st.binary(max_size=40), max_size=4))
def test_any_ssh_server_is_one_or_an_error(greeting: bytes, packets: list[bytes]) -> None:
    trio.run(log_in_on, [greeting, *packets], LOGIN)
