"""The first moments of a command, before any of its own code runs."""

import signal
import subprocess
import sys

import pytest

INTERRUPTED = "import imaging.cli, os, signal; os.kill(os.getpid(), signal.SIGINT)"
BROKEN = "import imaging.cli; raise LookupError('a bug')"


@pytest.mark.parametrize(
    ("code", "status", "told"),
    [
        (INTERRUPTED, -signal.SIGINT, "interrupted before anything was done\n"),
        (BROKEN, 1, "LookupError: a bug\n"),
    ],
)
def test_an_interrupt_while_modules_are_imported_is_no_bug(
    code: str, status: int, told: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=False
    )
    assert done.returncode == status
    assert done.stderr.endswith(told)
    assert ("Traceback" in done.stderr) is (code == BROKEN)
