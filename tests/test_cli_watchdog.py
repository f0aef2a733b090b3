"""The thread that ends a command whose time is up."""

import subprocess
import sys
import threading
import time

from imaging.cli.watchdog import Watchdog
from tests.commands import wait_for


def watchdogs() -> int:
    return sum(thread.name == "watchdog" for thread in threading.enumerate())


def test_one_that_rests_is_gone() -> None:
    before = watchdogs()
    watchdog = Watchdog("a-test")
    watchdog.limit(3600)
    watchdog.limit(1800)
    assert watchdogs() == before + 1
    watchdog.rest()
    wait_for(lambda: watchdogs() == before, limit_s=1)


def test_what_hangs_is_ended_also_after_a_rest() -> None:
    code = """
import time
from imaging.cli.watchdog import Watchdog
watchdog = Watchdog("a-test")
watchdog.limit(0.05)
watchdog.rest()
time.sleep(0.2)
watchdog.limit(0.1)
time.sleep(60)
"""
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=30
    )
    assert done.returncode == 1
    assert done.stderr == (
        "a-test: the time is up, and something hangs, or this host is too busy to end in order: "
        "ended\n"
    )
    assert time.monotonic() - began < 10
