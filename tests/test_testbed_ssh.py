"""The ssh server of a virtual node: its power may go at any moment."""

import socket
from pathlib import Path

import trio

from imaging._aio import open_aio
from imaging.site.inventory import Interface, Node
from imaging.testbed.fault_file import FaultFile
from imaging.testbed.layout import VIRTUAL_PORTS
from imaging.testbed.ssh import SshHost
from imaging.testbed.wires import Wires

ADDRESS = "127.9.8.7"


async def test_a_reset_at_any_moment_leaves_no_listener(tmp_path: Path) -> None:
    interface = Interface("fit01", ADDRESS, "02:00:00:00:00:01")
    (tmp_path / "ssh").mkdir()
    host = SshHost(tmp_path / "ssh", FaultFile(tmp_path / "faults.json"))
    started = 0

    def ready() -> None:
        nonlocal started
        started += 1

    async with open_aio():
        for moment in range(60):
            async with trio.open_nursery() as power:
                node = Node(interface, interface)
                power.start_soon(host.serve, node, VIRTUAL_PORTS.ssh, tmp_path, Wires(), ready)
                for _ in range(moment):
                    await trio.lowlevel.checkpoint()
                power.cancel_scope.cancel()
            with socket.create_server((ADDRESS, VIRTUAL_PORTS.ssh), reuse_port=False):
                pass  # nobody else listens there
    assert started > 0
