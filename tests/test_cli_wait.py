"""imaging-wait as its users meet it: the installed command against a running virtual testbed."""

import os
import signal
import time

import pytest

from tests.commands import Commands

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module", autouse=True)
def loaded(shared_testbed: Commands) -> None:
    """Nodes 1 to 3 have a system to boot."""
    done = shared_testbed.run("imaging-load", "-i", "sample", "1-3")
    assert done.returncode == 0, done.stderr


@pytest.fixture
def up(testbed: Commands) -> None:
    """Their systems are up."""
    assert testbed.run("imaging-wait", "-s", "-t", "20", "1-3").returncode == 0


@pytest.mark.usefixtures("up")
def test_a_line_per_node_says_ok(testbed: Commands) -> None:
    done = testbed.run("imaging-wait", "1-3")
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(done.stdout.splitlines()) == [f"fit0{n}: ssh OK" for n in (1, 2, 3)]


@pytest.mark.usefixtures("up")
def test_nodes_that_are_not_there_are_told_with_what_was_met(testbed: Commands) -> None:
    testbed.order("fit02", "off")
    started = time.monotonic()
    done = testbed.run("imaging-wait", "-t", "1.5", "1-2")
    assert 1.3 <= time.monotonic() - started <= 2.5
    testbed.order("fit02", "on")
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "fit01: ssh OK",
        "fit02: ssh KO (timeout: not done within 1.5 s; the last attempt: connection refused)",
    ]


@pytest.mark.usefixtures("up")
def test_silent_prints_nothing(testbed: Commands) -> None:
    assert testbed.run("imaging-wait", "-s", "1-2").returncode == 0
    testbed.order("fit03", "off")
    done = testbed.run("imaging-wait", "-s", "-t", "2", "1-3")
    testbed.order("fit03", "on")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")


@pytest.mark.usefixtures("up")
def test_it_waits_until_the_system_is_up(testbed: Commands) -> None:
    testbed.order("fit01", "off")
    waiting = testbed.start("imaging-wait", "-v", "-t", "20", "fit01")
    assert waiting.stderr is not None
    while "fit01: connection refused" not in waiting.stderr.readline():
        pass
    testbed.order("fit01", "on")
    out, _ = waiting.communicate(timeout=20)
    assert (waiting.returncode, out) == (0, "fit01: ssh OK\n")


@pytest.mark.usefixtures("up")
def test_a_system_that_is_too_old_is_not_there_yet(testbed: Commands) -> None:
    time.sleep(1.2)  # the tolerance of the testbed's settings is 1 s
    old = testbed.run("imaging-wait", "-t", "1", "--uptime-below", "0", "1")
    assert old.returncode == 1
    assert "a system is up since " in old.stdout
    assert testbed.run("imaging-wait", "-t", "1", "--uptime-below", "3600", "1").returncode == 0
    assert testbed.run("imaging-reset", "1").returncode == 0
    new = testbed.run("imaging-wait", "-t", "20", "--uptime-below", "0", "1")
    assert (new.returncode, new.stdout) == (0, "fit01: ssh OK\n")


@pytest.mark.usefixtures("up")
def test_telnet_waits_for_the_ramdisk(testbed: Commands) -> None:
    testbed.boot_ramdisk("fit02")
    done = testbed.run("imaging-wait", "-n", "-t", "10", "2")
    assert (done.returncode, done.stdout) == (0, "fit02: telnet OK\n")
    ssh = testbed.run("imaging-wait", "-t", "1", "2")
    assert ssh.returncode == 1
    late = testbed.run("imaging-wait", "-n", "-t", "1.2", "1")
    assert late.returncode == 1
    assert late.stdout.startswith("fit01: telnet KO (timeout: ")
    assert testbed.run("imaging-reset", "2").returncode == 0


@pytest.mark.usefixtures("up")
def test_only_an_accepted_key_opens_a_node(testbed: Commands) -> None:
    keys = testbed.directory / "other"
    made = testbed.run("imaging-testbed", "status", ".")
    assert made.returncode == 0
    other = "ssh/host_ed25519"  # a key, but not the one that is authorized
    with testbed.setting("key = ssh/id_ed25519", f"key = {other}"):
        done = testbed.run("imaging-wait", "-t", "1", "1")
    assert done.returncode == 1
    assert "permission denied" in done.stdout
    assert not keys.exists()


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("nowhere", "the ssh key {directory}/nowhere cannot be read: No such file"),
        ("imaging.conf", "the ssh key {directory}/imaging.conf cannot be used"),
    ],
)
def test_a_key_that_is_none_is_refused_at_once(testbed: Commands, key: str, words: str) -> None:
    before = testbed.requests()
    with testbed.setting("key = ssh/id_ed25519", f"key = {key}"):
        for command in (["imaging-wait", "1"], ["imaging-load", "--wait", "-i", "sample", "1"]):
            done = testbed.run(*command)
            assert done.returncode == 2
            assert words.format(directory=testbed.directory) in done.stderr
    assert testbed.requests() == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["99"], "'99' is not a node"),
        ([], "no node selected"),
        (["-s", "-v", "1"], "exclude"),
        (["-b", "0", "1"], "-b"),
        (["--uptime-below", "-1", "1"], "--uptime-below"),
        (["-n", "-u", "me", "1"], "-u is for ssh"),
    ],
)
def test_bad_input_is_refused(testbed: Commands, arguments: list[str], words: str) -> None:
    done = testbed.run("imaging-wait", *arguments)
    assert done.returncode == 2
    assert words in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_at_once(testbed: Commands, number: signal.Signals) -> None:
    testbed.order("fit04", "off")
    process = testbed.start("imaging-wait", "-v", "4")
    assert process.stderr is not None
    while "refused" not in process.stderr.readline():
        pass
    process.send_signal(number)
    stopped = time.monotonic()
    out, _ = process.communicate(timeout=10)
    testbed.order("fit04", "on")
    assert time.monotonic() - stopped < 1
    assert process.returncode == 1
    assert out.startswith(f"fit04: ssh KO (interrupted: interrupted by {number.name}")


@pytest.mark.usefixtures("up")
def test_many_waits_at_once_open_no_more_than_they_close(testbed: Commands) -> None:
    before = len(os.listdir("/proc/self/fd"))
    assert all(testbed.run("imaging-wait", "-s", "1-3").returncode == 0 for _ in range(3))
    assert len(os.listdir("/proc/self/fd")) == before
