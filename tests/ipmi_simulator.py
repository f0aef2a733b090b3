"""OpenIPMI's simulator as a BMC: an IPMI that is not ours."""

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.commands import wait_for

LAN = """\
name "bmc"
set_working_mc 0x20
  startlan 1
    addr {address} {port}
    priv_limit admin
    allowed_auths_admin md5
    guid a123456789abcdefa123456789abcdef
  endlan
  chassis_control "{control} 0x20"
  user 2 true "{user}" "{password}" admin 10 md5
"""
EMULATION = """\
mc_setbmc 0x20
mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02
mc_enable 0x20
"""


def skip_without_simulator() -> None:
    """Skip the test where the simulator, or what speaks to it, is not installed."""
    if shutil.which("ipmi_sim") is None or shutil.which("ipmitool") is None:
        pytest.skip("ipmi_sim or ipmitool is not installed: Debian's openipmi and ipmitool")


@contextmanager
def running_bmc(
    place: Path, address: str, port: int, *, user: str, password: str, control: str
) -> Iterator[None]:
    """A BMC whose files are in ``place``, for as long as the block lasts.

    ``control`` is the command of the machine behind it: called with the BMC, get or set, and what.
    The password has 20 bytes at most.
    """
    place.mkdir(exist_ok=True)
    lan = LAN.format(address=address, port=port, control=control, user=user, password=password)
    (place / "lan.conf").write_text(lan)
    (place / "emulation").write_text(EMULATION)
    with (place / "log").open("wb") as log:
        process = subprocess.Popen(
            ["ipmi_sim", "-n", "-c", place / "lan.conf", "-f", place / "emulation", "-s", place],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        wait_for(lambda: is_bound(address, port))
        yield
        assert process.poll() is None, (place / "log").read_text()
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def is_bound(address: str, port: int) -> bool:
    """Whether somebody has that UDP port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, port))
        except OSError:
            return True
    return False
