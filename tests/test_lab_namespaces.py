"""The laboratory's namespaces: nothing in them outlives who has started them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.commands import processes_of
from tests.lab.requirements import KILLED_ALONG, OWN_NETWORK, OWN_PROCESSES, obstacles

OBSTACLES = list(obstacles())
INSIDE = 'mount -t tmpfs laboratory "$1" && echo inside > "$1/file" && sleep 1001.5'
STARTER = "import subprocess, sys; subprocess.run(sys.argv[1:])"


@pytest.mark.skipif(bool(OBSTACLES), reason=f"no laboratory here: {' '.join(OBSTACLES)}")
def test_all_is_gone_with_a_starter_that_is_killed(tmp_path: Path) -> None:
    namespaces = [*KILLED_ALONG, *OWN_PROCESSES, *OWN_NETWORK]
    words = [*namespaces, "sh", "-c", INSIDE, "sh", str(tmp_path)]
    with subprocess.Popen([sys.executable, "-c", STARTER, *words]) as starter:
        found: list[int] = []
        deadline = time.monotonic() + 10
        while not found and time.monotonic() < deadline:
            found = [p for p in processes_of("sleep 1001.5") if p != starter.pid and _inside(p)]
            time.sleep(0.02)
        assert found
        assert not (tmp_path / "file").exists()  # only those inside see it
        starter.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 5
    while any(Path(f"/proc/{process}").exists() for process in found):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _inside(process: int) -> bool:
    """Whether it is the sleep itself, in another network than ours."""
    try:
        name = Path(f"/proc/{process}/comm").read_text().strip()
        network = os.readlink(f"/proc/{process}/ns/net")
    except OSError:
        return False
    return name == "sleep" and network != os.readlink("/proc/self/ns/net")
