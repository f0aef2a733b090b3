"""imaging-load into ramdisks with both telnetds and the shells that ramdisks have."""

import shutil
from pathlib import Path

import pytest

from conftest import running_testbed
from tests.commands import sha256

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize("shell", ["dash", "bash", "busybox ash", "zsh"])
def test_whatever_the_ramdisk_s_shell(tmp_path: Path, shell: str) -> None:
    if shutil.which(shell.split(maxsplit=1)[0]) is None:
        pytest.skip(f"{shell.split(maxsplit=1)[0]} is not installed")
    options = ["-n2", "--disk-size=32", "--ramdisk-boot=0.2", "--os-boot=0.3", "--telnetd=mixed"]
    with running_testbed(tmp_path / "bed", tmp_path, *options, f"--shell={shell}") as testbed:
        expected = testbed.expected_disk()
        done = testbed.run("imaging-load", "-i", "sample", "1-2")
        assert done.returncode == 0, done.stderr + done.stdout
        for name in ("fit01", "fit02"):
            assert sha256(testbed.disk(name)) == expected, name
