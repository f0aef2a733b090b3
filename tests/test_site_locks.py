"""Locks of nodes: taken once, free when their owner is gone, and telling who that is."""

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaging.errors import ConfigurationError
from imaging.site.locks import LockDirectory, LockTakenError
from tests.commands import wait_for

HOLD = """
import sys, time
from pathlib import Path
from imaging.site.locks import LockDirectory
with LockDirectory(Path(sys.argv[1])).take("fit01", "imaging-load"):
    print(flush=True)
    time.sleep(60)
"""


@pytest.fixture
def locks(tmp_path: Path) -> LockDirectory:
    made = LockDirectory(tmp_path / "locks")
    made.check()
    return made


def test_a_lock_is_taken_once_and_says_by_whom(locks: LockDirectory) -> None:
    before = time.time()
    with locks.take("fit01", "imaging-load"):
        with pytest.raises(LockTakenError) as caught:
            locks.take("fit01", "imaging-save")
        owner = caught.value.owner
        assert (owner.process, owner.command) == (os.getpid(), "imaging-load")
        assert before <= owner.since <= time.time()
        assert str(owner).startswith(f"imaging-load of {owner.user}, process {os.getpid()}, since ")
        assert locks.holder("fit01") == owner
        assert locks.holder("fit02") is None
    assert locks.holder("fit01") is None
    with locks.take("fit01", "imaging-save"):
        pass


def test_a_lock_is_free_when_its_owner_was_killed(locks: LockDirectory) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(locks.directory)], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert locks.holder("fit01") is not None
        process.send_signal(signal.SIGKILL)
    wait_for(lambda: locks.holder("fit01") is None)


def test_the_directory_and_its_files_are_for_all_users(locks: LockDirectory) -> None:
    previous = os.umask(0o077)
    try:
        with locks.take("fit01", "x"):
            pass
        locks.check()
    finally:
        os.umask(previous)
    assert stat.S_IMODE(locks.directory.stat().st_mode) == 0o1777
    assert stat.S_IMODE((locks.directory / "fit01.lock").stat().st_mode) == 0o666


@pytest.mark.parametrize("what", ["link", "directory", "pipe"])
def test_what_is_no_file_is_no_lock(locks: LockDirectory, what: str, tmp_path: Path) -> None:
    place, victim = locks.directory / "fit01.lock", tmp_path / "victim"
    victim.write_text("precious")
    if what == "link":
        place.symlink_to(victim)
    elif what == "directory":
        place.mkdir()
    else:
        os.mkfifo(place)
    with pytest.raises(OSError, match="fit01"):
        locks.take("fit01", "x")
    assert victim.read_text() == "precious"


@given(st.binary(max_size=3000))
def test_what_a_lock_says_is_believed_by_nobody(
    tmp_path_factory: pytest.TempPathFactory, told: bytes
) -> None:
    locks = LockDirectory(tmp_path_factory.mktemp("locks"))
    with locks.take("fit01", "x"):
        (locks.directory / "fit01.lock").write_bytes(told)
        owner = locks.holder("fit01")
        assert owner is not None
        assert str(owner).isprintable()


def test_a_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot make the lock directory"):
        LockDirectory(tmp_path / "no" / "such").check()
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError):
        LockDirectory(tmp_path / "file").check()
