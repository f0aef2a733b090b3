"""Talking to a virtual node directly, as no command does."""

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tests.commands import BIN, Commands

LIMIT_S = 20.0


def control(testbed: Commands, name: str) -> str:
    """The node's own address."""
    return testbed.interface(name, "control")["ip"]


def card(testbed: Commands, name: str) -> str:
    """The address of the node's power card."""
    return testbed.interface(name, "cmc")["ip"]


def hear(stream: socket.socket, seconds: float) -> tuple[bytes, bool]:
    """What comes within so many seconds, and whether the other side has closed."""
    heard, deadline = b"", time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        stream.settimeout(left)
        try:
            data = stream.recv(65536)
        except TimeoutError:
            break
        except ConnectionResetError:
            return heard, True
        if not data:
            return heard, True
        heard += data
    return heard, False


def hear_until(stream: socket.socket, end: bytes, limit_s: float = LIMIT_S) -> bytes:
    """What comes until ``end`` has; all there is when the other side closes before."""
    heard, deadline = b"", time.monotonic() + limit_s
    stream.settimeout(limit_s)
    while end not in heard:
        assert time.monotonic() < deadline, heard[-500:]
        data = stream.recv(65536)
        if not data:
            break
        heard += data
    return heard


@contextmanager
def connection(address: str, port: int) -> Iterator[socket.socket]:
    """A TCP connection."""
    with socket.create_connection((address, port), timeout=5) as stream:
        yield stream


def is_refused(address: str, port: int) -> bool:
    """Whether a connection is made, and ended by the other side without a word."""
    try:
        with connection(address, port) as stream:
            return hear(stream, 5) == (b"", True)
    except ConnectionResetError:
        return True  # so soon that it was not ours yet


def ask(testbed: Commands, name: str, verb: str, seconds: float = 5.0) -> tuple[bytes, bool]:
    """The raw answer of a power card."""
    with connection(card(testbed, name), 8080) as stream:
        stream.sendall(f"GET /{verb} HTTP/1.0\r\nHost: x\r\n\r\n".encode())
        return hear(stream, seconds)


def type_command(stream: socket.socket, command: str) -> None:
    """Type a command whose exit status is told at its end."""
    stream.sendall(f"{command}; printf '<%s:%d>' ended $?\r\n".encode())


def shell(testbed: Commands, name: str, command: str) -> tuple[int, bytes]:
    """Run a command at the console of a node whose telnetd is busybox's: status and output."""
    with connection(control(testbed, name), 2323) as stream:
        type_command(stream, command)
        heard = hear_until(stream, b"<ended:", LIMIT_S)
        heard += hear_until(stream, b">", 5) if b">" not in heard.rpartition(b"<ended:")[2] else b""
        found = re.search(rb"<ended:(\d+)>", heard)
        assert found is not None, heard
        return int(found[1]), heard


@contextmanager
def image_server(
    testbed: Commands, server: str = "imaging-frisbeed", image: str = "images/sample.ndz"
) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """A frisbee server; gives the options with which a client of fit01 finds it."""
    network = control(testbed, "fit01").split(".")[1]
    group, port = f"239.99.{network}.1", "19999"
    words = ["-d", "-T", "0", "-W", str(400 * 1024 * 1024), "-i", f"127.{network}.254.254"]
    program = testbed.directory / server if "/" in server else BIN / server
    # a session of its own, as the commands do: it is ended with all that it has started
    process = subprocess.Popen(
        [program, *words, "-m", group, "-p", port, image],
        cwd=testbed.directory,
        env=testbed.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    try:
        for line in process.stderr:
            if line.startswith("Using "):
                break
        yield f"-i {control(testbed, 'fit01')} -m {group} -p {port} /dev/sda", process
    finally:
        with suppress(ProcessLookupError):  # it has ended
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=LIMIT_S)
