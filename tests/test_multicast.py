"""The frisbee server's process: started, believed by its words, watched, and ended.

The servers here are real processes that say and do what frisbee servers do; the real one is driven
by the tests of the commands.
"""

import ipaddress
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from imaging.errors import ConfigurationError, InfrastructureError, Reason
from imaging.guard import NO_GUARD
from imaging.multicast import FrisbeeServer, ServerPlan, address_facing
from imaging.site.locks import LockDirectory
from imaging.site.tools import find_command
from tests.commands import processes_of, wait_for

MakeServer = Callable[..., FrisbeeServer]


@pytest.fixture
def server_of(tmp_path: Path) -> MakeServer:
    """A FrisbeeServer whose process is a shell script."""

    def make(
        script: str,
        lines: list[str] | None = None,
        ready_timeout_s: float = 5.0,
        ports: tuple[int, int] = (7000, 7999),
    ) -> FrisbeeServer:
        program = tmp_path / "server"
        program.write_text(f"#!/bin/sh\necho $$ >> {tmp_path}/pids\n{script}\n")
        program.chmod(0o755)
        plan = ServerPlan(
            command=(str(program),),
            image=tmp_path / "image.ndz",
            address="127.0.0.1",
            groups=ipaddress.IPv4Network("239.77.0.0/16"),
            ports=ports,
            bandwidth_mibps=100,
            ready_timeout_s=ready_timeout_s,
            attempts=3,
            locks=LockDirectory(tmp_path),
        )
        return FrisbeeServer(plan, (lines if lines is not None else []).append, NO_GUARD)

    return make


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def run_to_failure(server: FrisbeeServer) -> InfrastructureError:
    with trio.fail_after(10), pytest.raises(InfrastructureError) as caught:
        await server.run()
    return caught.value


async def test_it_is_ready_by_its_own_words_and_killed_with_its_children(
    server_of: MakeServer, tmp_path: Path
) -> None:
    lines: list[str] = []
    server = server_of(
        f"sleep 100 & echo $! >> {tmp_path}/pids; echo 'Using Multicast 239.77.0.1' >&2; wait",
        lines,
    )
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.run)
            channel = await server.ready()
            pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
            assert all(map(is_running, pids))
            nursery.cancel_scope.cancel()
    assert channel.address == "127.0.0.1"
    assert ipaddress.IPv4Address(channel.group) in ipaddress.IPv4Network("239.77.0.0/16")
    assert lines == ["Using Multicast 239.77.0.1"]
    with trio.fail_after(2):
        while any(map(is_running, pids)):  # noqa: ASYNC110 - processes have no events
            await trio.sleep(0.01)


async def test_what_a_wrapper_has_left_behind_is_killed_too(
    server_of: MakeServer, tmp_path: Path
) -> None:
    server = server_of(
        f"sleep 100 & echo $! > {tmp_path}/pids; echo 'Using Multicast 239.77.0.1' >&2; exit 0"
    )
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.run)
            await server.ready()
            nursery.cancel_scope.cancel()
    left = int((tmp_path / "pids").read_text())
    await trio.to_thread.run_sync(lambda: wait_for(lambda: not is_running(left), limit_s=2))


async def test_its_command_line_is_that_of_the_c_tool(
    server_of: MakeServer, tmp_path: Path
) -> None:
    lines: list[str] = []
    server = server_of('echo "$@" >&2; exit 1', lines)
    await run_to_failure(server)
    words = lines[0].split()
    assert words[:5] == ["-d", "-T", "0", "-W", str(100 * 1024 * 1024)]
    assert words[5::2][:3] == ["-i", "-m", "-p"]
    assert words[-1] == str(tmp_path / "image.ndz")


async def test_a_taken_port_is_not_the_end(server_of: MakeServer, tmp_path: Path) -> None:
    server = server_of(
        f"test $(wc -l < {tmp_path}/pids) = 3 || exit 98; echo 'Using Multicast x' >&2; sleep 100"
    )
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.run)
            await server.ready()
            nursery.cancel_scope.cancel()


async def test_when_every_port_is_taken_the_last_words_are_told(
    server_of: MakeServer, tmp_path: Path
) -> None:
    server = server_of("echo 'Could not bind to port 7001!' >&2; echo >&2; exit 98")
    failure = await run_to_failure(server)
    assert failure.reason is Reason.SERVER_FAILED
    assert "Could not bind to port 7001!" in str(failure)
    assert len((tmp_path / "pids").read_text().split()) == 3


async def test_a_server_that_dies_is_told_with_its_last_words(server_of: MakeServer) -> None:
    server = server_of("echo 'Using Multicast x' >&2; echo 'EOF on file' >&2; exit 255")
    failure = await run_to_failure(server)
    assert failure.reason is Reason.SERVER_DIED
    assert "exit status 255" in str(failure)
    assert "EOF on file" in str(failure)


async def test_a_server_that_is_killed_is_told_with_the_signal(server_of: MakeServer) -> None:
    failure = await run_to_failure(server_of("echo 'Using Multicast x' >&2; kill -9 $$"))
    assert "SIGKILL" in str(failure)


async def test_a_signal_without_a_name_is_told_as_its_number(server_of: MakeServer) -> None:
    failure = await run_to_failure(server_of("echo 'Using Multicast x' >&2; kill -40 $$"))
    assert "signal 40" in str(failure)


async def test_a_server_that_is_never_ready_is_given_up(server_of: MakeServer) -> None:
    failure = await run_to_failure(
        server_of("echo thinking >&2; exec sleep 100", ready_timeout_s=0.2)
    )
    assert failure.reason is Reason.SERVER_FAILED
    assert "not ready within 0.2 s: thinking" in str(failure)


async def test_a_chatty_server_is_read(server_of: MakeServer) -> None:
    server = server_of("echo 'Using Multicast x' >&2; head -c 1000000 /dev/zero >&2; exit 7")
    failure = await run_to_failure(server)
    assert "exit status 7" in str(failure)


async def test_a_program_that_cannot_be_started_is_told(
    server_of: MakeServer, tmp_path: Path
) -> None:
    server = server_of("true")
    (tmp_path / "server").unlink()
    failure = await run_to_failure(server)
    assert "there is no such program" in str(failure)


KILLED_RUN = """
import ipaddress, os, signal, sys
from pathlib import Path
import trio
from imaging.guard import open_guard
from imaging.multicast import FrisbeeServer, ServerPlan
from imaging.site.locks import LockDirectory

class Killed(FrisbeeServer):
    async def run(self):
        self._guard.group = lambda _: os.kill(os.getpid(), signal.SIGKILL)
        await super().run()

place = Path(sys.argv[1])
network = ipaddress.IPv4Network("239.77.0.0/16")
command = ("sleep", "1234.5")
plan = ServerPlan(
    command, place, "127.0.0.1", network, (7000, 7999), 100, 5, 3, LockDirectory(place)
)
ServerPlan.argv = lambda *_: list(command)
with open_guard() as guard:
    trio.run(Killed(plan, print, guard).run)
"""


def test_a_command_killed_before_its_guard_knows_the_server_leaves_none(tmp_path: Path) -> None:
    words = [sys.executable, "-c", KILLED_RUN, str(tmp_path)]
    done = subprocess.run(words, stderr=subprocess.PIPE, text=True, check=False, timeout=20)
    assert done.returncode == -signal.SIGKILL, done.stderr
    wait_for(lambda: processes_of("sleep 1234.5") == [], limit_s=2)


def test_a_tool_is_found_beside_python_or_refused() -> None:
    assert Path(find_command(["imaging-frisbeed", "-x"], "it")[0]).is_file()
    with pytest.raises(ConfigurationError, match="'no-such-tool' of it is not found"):
        find_command(["no-such-tool"], "it")
    with pytest.raises(ConfigurationError, match="is not found"):
        find_command([], "it")


def test_the_address_that_faces_a_node_is_found() -> None:
    assert address_facing("127.0.0.1") == "127.0.0.1"


def test_a_node_to_which_no_route_leads() -> None:
    with pytest.raises(ConfigurationError, match=r"no route to the node at 255\.255\.255\.255"):
        address_facing("255.255.255.255")


async def test_a_port_that_cannot_be_locked(server_of: MakeServer, tmp_path: Path) -> None:
    server = server_of("exit 1", ports=(7000, 7000))
    os.mkfifo(tmp_path / "port-7000.lock")
    failure = await run_to_failure(server)
    assert failure.reason is Reason.SERVER_FAILED
    assert "cannot lock port " in str(failure)


async def test_ports_that_other_runs_have(server_of: MakeServer, tmp_path: Path) -> None:
    server = server_of("exit 1", ports=(7000, 7000))
    with LockDirectory(tmp_path).take("port-7000", "another run"):
        failure = await run_to_failure(server)
    assert failure.message == "other runs have all ports that were tried"
