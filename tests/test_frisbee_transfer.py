"""Sessions of real processes over real multicast on loopback."""

import os
import random
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from imaging.testbed.sample_image import make_image, write_disk
from tests import ndz_samples
from tests.commands import BIN, sha256
from tests.frisbee_session import FrisbeeSession, frisbee_session

DISK_SIZE = 24 * 1024 * 1024


@pytest.fixture
def session(tmp_path: Path) -> Iterator[FrisbeeSession]:
    with frisbee_session(tmp_path) as found:
        yield found


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A disk whose image has about 10 chunks."""
    path = tmp_path_factory.mktemp("disk") / "disk"
    write_disk(path, DISK_SIZE, 7)
    return path


@pytest.fixture(scope="module")
def image(disk: Path) -> Path:
    path = disk.with_name("image.ndz")
    make_image(disk, path)
    return path


def test_eight_clients_and_one_comes_late(session: FrisbeeSession, image: Path, disk: Path) -> None:
    server = session.server(image, "-T", "-1", "-W", "200000000")
    clients = [session.client(number, f"disk-{number}") for number in range(1, 8)]
    session.wait_for_words(clients[0], "Joined the team")
    time.sleep(0.1)
    clients.append(session.client(8, "disk-8"))
    for client in clients:
        status, words = session.end_of(client)
        assert status == 0, words
        assert "Left the team after" in words
        wrote = re.search(r"^Wrote (\d+) bytes \((\d+) actual\)$", words, re.MULTILINE)
        assert wrote
        assert int(wrote[1]) == DISK_SIZE
    expected = sha256(disk)
    for number in range(1, 9):
        assert sha256(session.directory / f"disk-{number}") == expected, number
    status, words = session.end_of(server)
    assert status == 0
    assert "Last client left!" in words
    assert words.endswith("Exiting!\n")
    assert re.search(r"joins/leaves: +8/8$", words, re.MULTILINE)


def test_the_image_file_itself_can_be_had(session: FrisbeeSession) -> None:
    source = session.directory / "any.file"
    source.write_bytes(random.Random(1).randbytes(1050000))
    server = session.server(source)
    status, words = session.end_of(session.client(1, "copy", "-N"))
    assert status == 0, words
    assert sha256(session.directory / "copy") == sha256(source)
    assert "will ignore V1 JOINs" in session.words_of(server)
    # a client that wants a disk image gets no answer
    status, words = session.end_of(session.client(2, "disk", "--join-timeout", "0.6"))
    assert status == 1
    assert words.splitlines()[-1].startswith("no server answered")
    assert "requested JOINv1 for non-image file, ignoring..." in session.words_of(server)


def test_little_memory_is_enough(session: FrisbeeSession, image: Path, disk: Path) -> None:
    session.server(image)
    status, words = session.end_of(session.client(1, "copy", "-C", "2", "-W", "1"))
    assert status == 0, words
    assert sha256(session.directory / "copy") == sha256(disk)
    assert re.search(r"^  chunk buffers: +2$", words, re.MULTILINE)


def test_memory_is_used_again_and_again(session: FrisbeeSession) -> None:
    source = session.directory / "any.file"
    source.write_bytes(random.Random(1).randbytes((48 << 20) + 1000))
    session.server(source)
    status, words = session.end_of(session.client(1, "copy", "-N", "-C", "2"))
    assert status == 0, words
    assert sha256(session.directory / "copy") == sha256(source)


def test_free_space_can_be_filled_with_zeros(session: FrisbeeSession) -> None:
    image = session.directory / "image.ndz"
    image.write_bytes(ndz_samples.DOS_EXT4.read())
    session.server(image)
    old = session.directory / "old"
    size = ndz_samples.DOS_EXT4.pipe[0] + 512 * 100
    old.write_bytes(b"\xff" * size)
    status, words = session.end_of(session.client(1, "old", "-z", "--disk"))
    assert status == 0, words
    whole = old.read_bytes()
    assert len(whole) == size
    assert whole[-512 * 100 :] == bytes(512 * 100)
    old.write_bytes(whole[: -512 * 100])
    assert sha256(old) == ndz_samples.DOS_EXT4.pipe[1]


def test_a_disk_that_is_too_small(session: FrisbeeSession, image: Path) -> None:
    server = session.server(image, "-T", "-1")
    small = session.directory / "small"
    small.write_bytes(bytes(DISK_SIZE // 2))
    started = time.monotonic()
    status, words = session.end_of(session.client(1, "small", "--disk"))
    assert status == 1
    assert re.search(r"Short write!|No space left on device", words.splitlines()[-1])
    assert "Left the team" not in words
    assert time.monotonic() - started < 5
    # the server has been told, and does not wait for ever
    status, words = session.end_of(server)
    assert status == 0
    assert "0 active clients" in words
    assert "Last client left!" in words


@pytest.mark.parametrize(
    ("name", "words"),
    [("corrupt", "inflate failed, err=-3"), ("zeros", "Bad Magic Number!")],
)
def test_a_damaged_image(session: FrisbeeSession, name: str, words: str) -> None:
    image = session.directory / "bad.ndz"
    image.write_bytes(ndz_samples.corrupt() if name == "corrupt" else bytes(1 << 20))
    session.server(image)
    status, said = session.end_of(session.client(1, "disk"))
    assert status == 1
    assert words in said.splitlines()[-1]
    assert "Traceback" not in said


def test_a_truncated_image_is_given_to_nobody(session: FrisbeeSession) -> None:
    image = session.directory / "bad.ndz"
    image.write_bytes(ndz_samples.truncated())
    session.server(image)
    status, words = session.end_of(session.client(1, "disk", "--join-timeout", "0.6"))
    assert status == 1
    assert words.splitlines()[-1].startswith("no server answered")


def test_an_image_that_is_cut_while_it_is_served(session: FrisbeeSession, image: Path) -> None:
    copy = session.directory / "copy.ndz"
    copy.write_bytes(image.read_bytes())
    server = session.server(copy, "-W", "20000000")
    client = session.client(1, "disk", "--stall-timeout", "0.6")
    session.wait_for_words(client, "Joined the team")
    os.truncate(copy, 1 << 20)
    status, words = session.end_of(server)
    assert (status, words.splitlines()[-1]) == (255, "EOF on file")
    assert session.end_of(client)[0] == 1


def test_no_server_at_all(session: FrisbeeSession) -> None:
    started = time.monotonic()
    status, words = session.end_of(session.client(1, "disk", "--join-timeout", "0.7"))
    took = time.monotonic() - started
    assert status == 1
    assert words.splitlines()[-1] == (
        f"no server answered on {session.group}:{session.port} within 0.7 s"
    )
    assert 0.7 <= took < 2


def test_a_server_that_dies(session: FrisbeeSession, image: Path) -> None:
    server = session.server(image, "-W", "30000000")
    client = session.client(1, "disk", "--stall-timeout", "0.7")
    session.wait_for_words(client, ".")
    session.wait_for_words(client, "Joined the team")
    server.kill()
    died = time.monotonic()
    status, words = session.end_of(client)
    assert status == 1
    last = words.splitlines()[-1]
    assert re.search(r"the server has sent nothing new for 0\.7 s: \d+ of \d+ chunks are", last)
    assert time.monotonic() - died < 2


def test_a_server_that_is_started_again_goes_on(
    session: FrisbeeSession, image: Path, disk: Path
) -> None:
    server = session.server(image, "-W", "60000000")
    client = session.client(1, "disk")
    session.wait_for_words(client, "Joined the team")
    time.sleep(0.3)
    server.kill()
    server.wait()
    session.server(image)
    status, words = session.end_of(client)
    assert status == 0, words
    assert sha256(session.directory / "disk") == sha256(disk)


def test_a_client_that_is_there_before_the_server(
    session: FrisbeeSession, image: Path, disk: Path
) -> None:
    client = session.client(1, "disk")
    session.wait_for_words(client, "Using Multicast")
    session.server(image)
    status, words = session.end_of(client)
    assert status == 0, words
    assert sha256(session.directory / "disk") == sha256(disk)


def test_stopped_and_continued_processes_go_on(
    session: FrisbeeSession, image: Path, disk: Path
) -> None:
    server = session.server(image, "-W", "60000000")
    client = session.client(1, "disk")
    session.wait_for_words(client, "Joined the team")
    for process in (server, client):
        process.send_signal(signal.SIGSTOP)
        time.sleep(0.2)
        process.send_signal(signal.SIGCONT)
    status, words = session.end_of(client)
    assert status == 0, words
    assert sha256(session.directory / "disk") == sha256(disk)


@pytest.mark.parametrize(
    ("number", "status", "ending"),
    [
        (signal.SIGINT, 0, "Exiting!"),
        (signal.SIGTERM, 0, "Exiting!"),
        (signal.SIGHUP, 1, "Caught signal 1. Exiting ..."),
    ],
)
def test_a_signal_ends_the_server(
    session: FrisbeeSession, image: Path, number: signal.Signals, status: int, ending: str
) -> None:
    server = session.server(image, "-W", "20000000")
    client = session.client(1, "disk")
    session.wait_for_words(client, "Joined the team")
    server.send_signal(number)
    started = time.monotonic()
    found, words = session.end_of(server)
    assert (found, words.splitlines()[-1]) == (status, ending)
    assert time.monotonic() - started < 1
    assert ("Interrupted!" in words) == (status == 0)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_client_and_the_server_knows(
    session: FrisbeeSession, image: Path, number: signal.Signals
) -> None:
    server = session.server(image, "-W", "20000000", "-T", "-1")
    client = session.client(1, "disk")
    session.wait_for_words(client, "Joined the team")
    client.send_signal(number)
    # -2: killed by signal 2, as a shell's 130
    assert session.end_of(client)[0] == -number
    status, words = session.end_of(server)
    assert status == 0
    assert "0 active clients" in words
    assert "Last client left!" in words


def test_an_idle_server_ends_by_itself(session: FrisbeeSession, image: Path) -> None:
    server = session.server(image, "-T", "1")
    status, words = session.end_of(server)
    assert status == 0
    assert "No requests for 1 seconds!" in words


def test_rubbish_on_the_port_disturbs_nobody(
    session: FrisbeeSession, image: Path, disk: Path
) -> None:
    server = session.server(image, "-W", "60000000")
    client = session.client(1, "disk", "-S", session.where(254)[1])
    session.wait_for_words(client, "Joined the team")
    noise = (
        "import random, socket, sys\n"
        "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        "s.bind((sys.argv[1], int(sys.argv[3])))\n"
        "s.setsockopt(0, socket.IP_MULTICAST_IF, socket.inet_aton(sys.argv[1]))\n"
        "r = random.Random(1)\n"
        "own = socket.inet_aton(sys.argv[1])\n"
        "for n in range(2000):\n"
        "    head = r.randint(0, 3).to_bytes(4, 'little') + r.randint(0, 9).to_bytes(4, 'little')\n"
        "    data = head + r.choice([4, 12, 1032, 24]).to_bytes(4, 'little') + own\n"
        "    data += r.randbytes(r.choice([0, 4, 12, 24, 1032]))\n"
        "    s.sendto(data, (sys.argv[2], int(sys.argv[3])))\n"
    )
    where = session.where(9)
    subprocess.run(
        [BIN / "python", "-c", noise, where[1], session.group, str(session.port)], check=True
    )
    assert server.poll() is None
    status, words = session.end_of(client)
    assert status == 0, words
    assert sha256(session.directory / "disk") == sha256(disk)
    assert "ignored" in words + session.words_of(server)
