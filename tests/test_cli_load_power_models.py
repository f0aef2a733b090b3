"""One load on nodes whose power cards are of four models, chosen per node in the inventory.

CMC and Redfish are the virtual testbed's own; behind OpenIPMI's simulator and behind the site's
command, which are other programs, a script turns the same machines on and off.
"""

import json
import stat
import sys
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from conftest import running_testbed
from tests.commands import Commands
from tests.ipmi_simulator import running_bmc, skip_without_simulator

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


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    """Eight nodes, two of each model, with what each model needs."""
    skip_without_simulator()
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
                login = {"user": "operator", "password": PASSWORD}
                place, control = home / card["ip"], f"{switch} {card['ip']}"
                bmc = running_bmc(place, card["ip"], BMC_PORT, control=control, **login)
                stack.enter_context(bmc)
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
