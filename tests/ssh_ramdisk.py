"""A ramdisk whose console is ssh: a real shell behind a real ssh server."""

import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncssh
import trio

from imaging._aio import from_aio


@asynccontextmanager
async def ramdisk(accepted: Path) -> AsyncIterator[int]:
    """An ssh server whose shell is a real one."""
    running: list[subprocess.Popen[bytes]] = []

    async def serve(process: "asyncssh.SSHServerProcess[bytes]") -> None:
        assert process.term_type == "vt100"
        pipe = subprocess.PIPE
        shell = subprocess.Popen(["sh"], stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT)  # noqa: ASYNC220
        running.append(shell)
        try:
            await process.redirect(stdin=shell.stdin, stdout=shell.stdout)
            await process.wait_closed()
        finally:
            shell.kill()
            shell.wait()
            running.remove(shell)

    private = asyncssh.read_private_key(accepted)
    acceptor = await from_aio(
        asyncssh.listen,
        "127.0.0.1",
        0,
        server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")],
        authorized_client_keys=asyncssh.import_authorized_keys(
            private.export_public_key("openssh").decode()
        ),
        process_factory=serve,
        encoding=None,
        line_editor=False,
    )
    try:
        yield acceptor.get_port()
    finally:
        acceptor.close()
        with trio.fail_after(5):
            while running:  # noqa: ASYNC110 - it is emptied by asyncio
                await trio.sleep(0.01)
