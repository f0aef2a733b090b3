"""One load on nodes whose power cards are of four models, chosen per node in the inventory.

CMC and Redfish are the virtual testbed's own; behind OpenIPMI's simulator and behind the site's
command, which are other programs, a script turns the same machines on and off.
"""

import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from conftest import running_testbed
from tests.commands import Commands, wait_for

MODELS = ("cmc", "redfish", "ipmi", "command")
PASSWORD = "ipmi-of-the-test"  # 20 bytes at most
BMC_PORT = 9623
# as ipmi_sim calls it: address, get or set, what, value; as the site's command: address, verb
SWITCH = """\
#!{python} -IS
import sys, urllib.request
address, *words = sys.argv[1:]
def tell(verb):
    url = f"http://{{address}}:8080/{{verb}}"
    return urllib.request.urlopen(url, timeout=5).read().decode().strip()
match words:
    case [_, "get", "power"]:
        print(f"power:{{int(tell('status') == 'on')}}")
    case [_, "set", "power", value]:
        tell("on" if value == "1" else "off")
    case [_, "set", "reset", *_]:
        tell("reset")
    case [verb]:
        print(tell(verb))
"""
LAN = """\
name "bmc"
set_working_mc 0x20
  startlan 1
    addr {address} {port}
    priv_limit admin
    allowed_auths_admin md5
    guid a123456789abcdefa123456789abcdef
  endlan
  chassis_control "{switch} {address} 0x20"
  user 2 true "operator" "{password}" admin 10 md5
"""
EMULATION = """\
mc_setbmc 0x20
mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02
mc_enable 0x20
"""


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    """Eight nodes, two of each model, with what each model needs."""
    if shutil.which("ipmi_sim") is None or shutil.which("ipmitool") is None:
        pytest.skip("ipmi_sim or ipmitool is not installed: Debian's openipmi and ipmitool")
    home, directory = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("models")
    quick = ["-n8", "--disk-size=48", "--ramdisk-boot=0.2", "--os-boot=0.3"]
    switch = home / "switch"
    switch.write_text(SWITCH.format(python=sys.executable))
    switch.chmod(stat.S_IRWXU)
    (home / "password").write_text(f"{PASSWORD}\n")
    (home / "password").chmod(0o600)
    with ExitStack() as stack:
        found = stack.enter_context(running_testbed(directory, home, *quick))
        rows = json.loads((directory / "inventory.json").read_text())
        for number, row in enumerate(rows):
            card = row["cmc"]
            card["model"] = MODELS[number // 2]
            if card["model"] == "ipmi":
                card |= {"user": "operator", "password_file": str(home / "password")}
                stack.enter_context(running_bmc(home, card["ip"], switch))
        (directory / "inventory.json").write_text(json.dumps(rows))
        verbs = "".join(f"{v} = {switch} {{ip}} {v}\n" for v in ("status", "on", "off", "reset"))
        with (directory / "imaging.conf").open("a") as settings:
            settings.write(f"\n[power_ipmi]\ntool = ipmitool -I lanplus -C 3\nport = {BMC_PORT}\n")
            settings.write(f"\n[power_command]\n{verbs}")
        conf = (directory / "imaging.conf").read_text()
        (directory / "imaging.conf").write_text(
            conf.replace("request_timeout_s = 2", "request_timeout_s = 20", 1)
        )
        yield found


@contextmanager
def running_bmc(home: Path, address: str, switch: Path) -> Iterator[None]:
    """OpenIPMI's simulator as the BMC of one node."""
    place = home / address
    place.mkdir()
    lan = LAN.format(address=address, port=BMC_PORT, switch=switch, password=PASSWORD)
    (place / "lan.conf").write_text(lan)
    (place / "emulation").write_text(EMULATION)
    with (place / "log").open("wb") as log:
        process = subprocess.Popen(
            ["ipmi_sim", "-n", "-c", place / "lan.conf", "-f", place / "emulation", "-s", place],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        wait_for(lambda: is_bound(address))
        yield
        assert process.poll() is None, (place / "log").read_text()
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def is_bound(address: str) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, BMC_PORT))
        except OSError:
            return True
    return False


def test_one_load_on_cards_of_four_models(commands: Commands) -> None:
    dry = commands.run("imaging-load", "-i", "sample", "--dry-run", "-a").stdout
    for words in ("CMC 127.", "Redfish BMC 127.", "IPMI BMC 127.", "card by command, 127."):
        assert dry.count(words) == 2
    done = commands.run("imaging-load", "-i", "sample", "--wait", "--ok", "ok", "-a")
    assert done.returncode == 0, done.stdout + done.stderr
    fine = (commands.directory / "ok").read_text().split()
    assert fine == [f"fit0{number}" for number in range(1, 9)]
    assert commands.links() == []
    status = commands.run("imaging-status", "-a")
    assert [line.split()[-1] for line in status.stdout.splitlines()] == ["on"] * 8
    log = (commands.directory / "testbed.log").read_text()
    for number in (3, 4):
        assert f"fit0{number} cmc: POST /redfish/v1/Systems/fit0{number}/Actions" in log
        assert f"fit0{number} cmc: GET /reset" not in log
    for number in (1, 2, 5, 6, 7, 8):
        assert f"fit0{number} cmc: GET /reset" in log
        assert f"fit0{number} cmc: POST" not in log


def test_a_reset_that_redfish_ignores_is_followed_by_a_harder_one(commands: Commands) -> None:
    commands.run("imaging-load", "-i", "sample", "--wait", "3")  # a system that can stay up
    commands.run("imaging-testbed", "fault", "3", "cmc=ignore-reset*1")
    done = commands.run("imaging-load", "-i", "sample", "-v", "3")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the reset was ignored: switching off and on again" in done.stderr


def test_a_wrong_login_of_one_bmc_fails_that_node_alone(commands: Commands) -> None:
    file = commands.directory / "inventory.json"
    before = file.read_text()
    rows = json.loads(before)
    wrong = commands.directory / "wrong"
    wrong.write_text("wrong\n")
    wrong.chmod(0o600)
    rows[2]["cmc"]["password_file"] = "wrong"
    file.write_text(json.dumps(rows))
    try:
        done = commands.run("imaging-status", "1-4")
    finally:
        file.write_text(before)
    assert done.returncode == 1
    assert done.stdout.count(": on") == 3
    assert "refuses the user 'admin' (HTTP 401)" in done.stdout + done.stderr
