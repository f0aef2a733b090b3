"""Fixtures for all tests: a running virtual testbed."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.commands import Commands, processes_of, wait_for

pytest_plugins = ["tests.messages.plugin"]


def pytest_configure() -> None:
    """What the tests ignore, the commands that they start would ignore, too.

    Those are the keys of a terminal in a background job, and its end under nohup: tests heed the
    former, and go on after the latter.
    """
    if signal.getsignal(signal.SIGQUIT) is signal.SIG_IGN:
        signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, lambda _number, _frame: None)


@contextmanager
def running_testbed(directory: Path, home: Path, *options: str) -> Iterator[Commands]:
    """A virtual testbed that runs as a process of its own, ended with the block."""
    commands = Commands(directory, home)
    directory.mkdir(exist_ok=True)
    started = commands.run("imaging-testbed", "up", directory, "--background", *options)
    assert started.returncode == 0, started.stdout + started.stderr
    try:
        yield commands
    finally:
        ended = commands.run("imaging-testbed", "down", directory)
        assert ended.returncode == 0, ended.stderr


@pytest.fixture(scope="session")
def shared_testbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    """Five quick nodes with small disks, and both kinds of telnetd."""
    home = tmp_path_factory.mktemp("home")
    options = ["-n5", "--disk-size=48", "--ramdisk-boot=0.2", "--os-boot=0.3", "--telnetd=mixed"]
    with running_testbed(tmp_path_factory.mktemp("testbed"), home, *options) as commands:
        yield commands


@pytest.fixture
def testbed(shared_testbed: Commands) -> Iterator[Commands]:
    """The shared testbed, of which no test leaves a link, a fault or a server behind."""
    yield shared_testbed
    shared_testbed.end_all()
    wait_for(lambda: processes_of("imaging-frisbeed", shared_testbed.directory) == [])
    shared_testbed.clear_faults()
    left = shared_testbed.links()
    for name in left:
        (shared_testbed.directory / "tftpboot/pxelinux.cfg" / name).unlink()
    assert left == []
