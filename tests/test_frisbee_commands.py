"""The command-line contract of server and client: usage, exit statuses, where words go."""

import os
import random
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from imaging import __version__
from imaging.frisbee.client import ImageSize
from imaging.frisbee.commands.frisbee import _parse, _sink
from imaging.frisbee.sinks import ExpandingSink
from tests import ndz_samples
from tests.commands import BIN
from tests.frisbee_session import FrisbeeSession, address, frisbee_session

SERVER, CLIENT = BIN / "imaging-frisbeed", BIN / "imaging-frisbee"


@pytest.fixture
def session(tmp_path: Path) -> Iterator[FrisbeeSession]:
    (tmp_path / "image.ndz").write_bytes(ndz_samples.RAW.read())
    with frisbee_session(tmp_path) as found:
        yield found


def run(session: FrisbeeSession, *words: str | Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [str(word) for word in words],
        cwd=session.directory,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize("tool", ["frisbeed", "frisbee", "imagezip", "imageunzip"])
@pytest.mark.parametrize(
    "words",
    [[], ["--no-such-option"], ["-p"], ["-p", "x", "-m", "239.1.1.1", "a"], ["a", "b", "c"]],
    ids=" ".join,
)
def test_usage_errors_are_told_on_standard_error(
    session: FrisbeeSession, tool: str, words: list[str]
) -> None:
    done = run(session, BIN / f"imaging-{tool}", *words)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr
    assert "Traceback" not in done.stderr
    assert list(session.directory.iterdir()) == [session.directory / "image.ndz"]


@pytest.mark.parametrize("tool", ["frisbeed", "frisbee", "imagezip", "imageunzip"])
def test_help_is_not_an_error(session: FrisbeeSession, tool: str) -> None:
    done = run(session, BIN / f"imaging-{tool}", "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"usage: imaging-{tool}")


@pytest.mark.parametrize("tool", ["imagezip", "imageunzip"])
def test_so_is_the_version(session: FrisbeeSession, tool: str) -> None:
    done = run(session, BIN / f"imaging-{tool}", "-v")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"imaging {__version__}\n", "")


@pytest.mark.parametrize("tool", [SERVER, CLIENT])
@pytest.mark.parametrize("option", ["-i", "-m", "-p"])
def test_where_the_session_takes_place_must_be_said(
    session: FrisbeeSession, tool: Path, option: str
) -> None:
    where = session.where(1)
    del where[where.index(option) : where.index(option) + 2]
    done = run(session, tool, *where, "image.ndz")
    assert done.returncode == 1
    assert done.stderr.startswith("-i, -m, -p and one ")


def test_any_negative_time_means_with_the_last_client(session: FrisbeeSession) -> None:
    server = session.server(session.directory / "image.ndz", "-T", "-5")
    done = run(session, CLIENT, *session.where(1), "disk")
    assert done.returncode == 0, done.stderr
    status, words = session.end_of(server)
    assert status == 0
    assert "Last client left!" in words


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["-i", "nowhere"], "-i nowhere: not an IPv4 address"),
        (["-m", "1.2.3"], "-m 1.2.3: not an IPv4 address"),
        (["-p", "0"], "-p 0: not a number between 1 and 65535"),
        (["-W", "much"], "-W much: not a number"),
    ],
)
def test_option_values_are_checked(session: FrisbeeSession, options: list[str], words: str) -> None:
    done = run(session, SERVER, *session.where(254), *options, "image.ndz")
    assert done.returncode == 1
    assert done.stderr.startswith(words)


def test_options_and_files_may_be_mixed(session: FrisbeeSession) -> None:
    server = session.start(SERVER, "image.ndz", "-d", *session.where(254))
    session.wait_for_words(server, "Using Multicast")
    done = run(session, CLIENT, "disk", *session.where(1))
    assert done.returncode == 0, done.stderr


def test_the_server_says_when_it_is_ready(session: FrisbeeSession) -> None:
    server = session.server(session.directory / "image.ndz")
    assert session.words_of(server).splitlines()[-2:] == [
        f"Bound to port {session.port}",
        f"Using Multicast {session.group}",
    ]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("missing", "Cannot read missing : No such file or directory"),
        ("empty", "Cannot read empty : is empty"),
        (".", "Cannot read . : is not a regular file"),
    ],
)
def test_an_image_that_cannot_be_served(session: FrisbeeSession, name: str, words: str) -> None:
    (session.directory / "empty").touch()
    done = run(session, SERVER, "-d", *session.where(254), name)
    assert done.returncode == 255
    assert done.stderr.splitlines()[-1] == words


def test_a_port_that_is_taken(session: FrisbeeSession) -> None:
    session.server(session.directory / "image.ndz")
    second = run(session, SERVER, "-d", *session.where(254), "image.ndz")
    assert second.returncode == 98
    assert second.stderr.splitlines()[-1] == f"Could not bind to port {session.port}!"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind((address(1), session.port))
        client = run(session, CLIENT, *session.where(1), "disk")
    assert client.returncode == 98
    assert not (session.directory / "disk").exists()


@pytest.mark.parametrize("tool", [SERVER, CLIENT])
def test_an_address_that_is_not_ours(session: FrisbeeSession, tool: Path) -> None:
    words = ["-i", "192.0.2.1", "-m", session.group, "-p", str(session.port), "image.ndz"]
    before = (session.directory / "image.ndz").read_bytes()
    done = run(session, tool, *(["-d"] if tool == SERVER else []), *words)
    assert done.returncode == 255
    assert done.stderr.splitlines()[-1].startswith("192.0.2.1 is no address of this host")
    assert (session.directory / "image.ndz").read_bytes() == before


def test_an_output_that_cannot_be_opened(session: FrisbeeSession) -> None:
    done = run(session, CLIENT, *session.where(1), "no/such/disk")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("opening output file: No such file")


def test_a_full_disk(session: FrisbeeSession) -> None:
    session.server(session.directory / "image.ndz")
    done = run(session, CLIENT, *session.where(1), "/dev/full")
    assert done.returncode == 1
    assert "write error: No space left on device" in done.stderr.splitlines()[-1]


def test_quiet_leaves_out_marks_and_statistics(session: FrisbeeSession) -> None:
    session.server(session.directory / "image.ndz")
    loud = run(session, CLIENT, *session.where(1), "disk")
    quiet = run(session, CLIENT, "-q", *session.where(1), "disk")
    assert "Performance:" in loud.stderr
    assert "\n.\n" in loud.stderr
    lines = quiet.stderr.splitlines()
    assert "Performance:" not in quiet.stderr
    assert [line.split(" ")[0] for line in lines] == [
        "Bound", "Using", "Joined", "", "Left", "Wrote", lines[-1].split(" ")[0],
    ]  # fmt: skip
    assert loud.stdout == quiet.stdout == ""


@pytest.mark.parametrize(("option", "mebibytes"), [("-W", 8), ("-M", 16)])
def test_memory_for_writing_is_shared_by_the_threads(option: str, mebibytes: int) -> None:
    where = ["-i", "127.0.0.1", "-m", "239.1.1.1", "-p", "5000"]
    arguments = _parse([*where, option, str(mebibytes), "disk"])
    assert arguments is not None
    fd = os.open(os.devnull, os.O_WRONLY)
    try:
        sink = _sink(arguments, fd, None, ImageSize(1024, 1 << 20), 0.0)
    finally:
        os.close(fd)
    assert isinstance(sink, ExpandingSink)
    assert sink._ahead_bytes * arguments.options.workers <= 8 << 20


def test_without_d_the_server_is_silent(session: FrisbeeSession) -> None:
    server = session.start(SERVER, *session.where(254), "image.ndz")
    done = run(session, CLIENT, *session.where(1), "disk")
    assert done.returncode == 0, done.stderr
    assert session.words_of(server) == ""


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["-W", "50000000"], "Maximum send bandwidth 50.000 Mbits/sec"),
        (["-W", "8000"], "Maximum send bandwidth unlimited"),
        (["-G", "0"], "Maximum send bandwidth unlimited"),
        ([], "Maximum send bandwidth 71.808 Mbits/sec"),
    ],
)
def test_the_bandwidth_is_told(session: FrisbeeSession, options: list[str], words: str) -> None:
    server = session.start(SERVER, "-d", *session.where(254), *options, "image.ndz")
    session.wait_for_words(server, "Using Multicast")
    assert words in session.words_of(server).splitlines()


def test_the_bandwidth_is_kept(session: FrisbeeSession) -> None:
    """4 MiB of noise at 40 Mbit/s on the wire need 0.9 s; loopback needs no time at all."""
    (session.directory / "noise").write_bytes(random.Random(1).randbytes(4 << 20))
    server = session.start(
        SERVER, "-d", *session.where(254), "-W", "40000000", session.directory / "noise"
    )
    session.wait_for_words(server, "Using Multicast")
    started = time.monotonic()
    done = run(session, CLIENT, "-N", *session.where(1), "copy")
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - started >= 4096 * 8976 / 40e6


def test_a_unicast_session(session: FrisbeeSession) -> None:
    """-m may be one client's own address."""
    session.start(
        SERVER, "-d", "-i", address(254), "-m", address(1), "-p", str(session.port), "image.ndz"
    )
    done = run(
        session, CLIENT, "-i", address(1), "-m", address(254), "-p", str(session.port), "disk"
    )
    assert done.returncode == 0, done.stderr
    assert (session.directory / "disk").stat().st_size == ndz_samples.RAW.file[0]
