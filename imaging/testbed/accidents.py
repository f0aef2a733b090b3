"""Faults that come midway in the work of a node's command, which alone knows when that is.

It writes a line in a named pipe, and the testbed does to the node what no command could.
"""

import logging
import os
from collections.abc import Mapping
from pathlib import Path

import trio

from imaging.testbed.faulty import CONNECTION_DROPPED, POWER_CUT
from imaging.testbed.machine import Machine

log = logging.getLogger(__name__)

READ_SIZE = 4096  # bytes


async def let_accidents_happen(
    pipe: Path,
    machines: Mapping[str, Machine],
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve the pipe until cancelled."""
    stream = trio.lowlevel.FdStream(_open(pipe))
    async with stream:
        task_status.started()
        rest = ""
        while True:
            data = await stream.receive_some(READ_SIZE)
            *lines, rest = (rest + data.decode("utf-8", "replace"))[-READ_SIZE:].split("\n")
            for line in lines:
                _happen(line, machines)


def _open(pipe: Path) -> int:
    """Make the pipe, and open it: for writing too, so that it never ends."""
    pipe.unlink(missing_ok=True)
    os.mkfifo(pipe, 0o600)
    return os.open(pipe, os.O_RDWR | os.O_NONBLOCK)


def _happen(line: str, machines: Mapping[str, Machine]) -> None:
    node, _, accident = line.partition(" ")
    machine = machines.get(node)
    if machine is None:
        log.warning("an accident of no node: %r", line)
    elif accident == POWER_CUT:
        machine.cut_power()
    elif accident == CONNECTION_DROPPED:
        machine.drop_connections()
