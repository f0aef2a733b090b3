"""imaging-inventory, as its users run it."""

from pathlib import Path

import pytest

from imaging.site.inventory import load_inventory
from tests.site_directory import SiteDirectory, inventory_rows


@pytest.fixture
def site(tmp_path: Path) -> SiteDirectory:
    return SiteDirectory(tmp_path)


def test_the_table(site: SiteDirectory) -> None:
    done = site.run("imaging-inventory")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "NODE   IP           MAC                CMC       CMC IP       MODEL  DATA IP",
        "fit01  192.168.3.1  00:03:1d:0e:03:01  reboot01  192.168.1.1  cmc    192.168.2.1",
        "fit02  192.168.3.2  00:03:1d:0e:03:02  reboot02  192.168.1.2  cmc    -",
        "fit03  192.168.3.3  00:03:1d:0e:03:03  reboot03  192.168.1.3  cmc    -",
    ]


def test_the_table_tells_the_model_of_each_card(site: SiteDirectory) -> None:
    rows = inventory_rows(2)
    rows[1]["cmc"]["model"] = "redfish"
    site.write_inventory(rows)
    done = site.run("imaging-inventory")
    assert [line.split()[5] for line in done.stdout.splitlines()[1:]] == ["cmc", "redfish"]


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["2-3"], ["fit02", "fit03"]),
        (["reboot1"], ["fit01"]),
        (["-a"], ["fit01", "fit03"]),
        (["-a", "~1"], ["fit03"]),
        ([], ["fit01", "fit02", "fit03"]),
    ],
    ids=str,
)
def test_a_selection_of_nodes(site: SiteDirectory, words: list[str], names: list[str]) -> None:
    done = site.run("imaging-inventory", *words, NODES="2", ALL_NODES="1,3")
    assert done.returncode == 0
    assert [line.split()[0] for line in done.stdout.splitlines()[1:]] == names


def test_json_is_an_inventory_again(site: SiteDirectory) -> None:
    assert site.run_json("imaging-inventory", "--json") == inventory_rows(3)
    copy = site.directory / "copy.json"
    copy.write_text(site.run("imaging-inventory", "--json", "1-2").stdout)
    assert load_inventory(copy).nodes == load_inventory(site.inventory).nodes[:2]


def test_check_of_what_is_fine(site: SiteDirectory) -> None:
    done = site.run("imaging-inventory", "--check")
    assert (done.returncode, done.stdout, done.stderr) == (0, "3 nodes, fine\n", "")
    site.write_inventory(inventory_rows(1))
    assert site.run("imaging-inventory", "--check").stdout == "1 node, fine\n"


def test_check_tells_all_problems(site: SiteDirectory) -> None:
    rows = inventory_rows(4)
    rows[0]["control"]["ip"] = "192.168.3.300"
    rows[0]["control"]["mac"] = "00:03"
    rows[1]["cmc"]["mac"] = "00:03:1D:0E:03:03"
    del rows[3]["cmc"]
    site.write_inventory(rows)
    done = site.run("imaging-inventory", "--check")
    assert (done.returncode, done.stdout) == (2, "")
    prefix = f"imaging-inventory: inventory {site.inventory}: "
    assert done.stderr.splitlines() == [
        f"{prefix}[0].control.ip: '192.168.3.300' is not an IPv4 address",
        f"{prefix}[0].control.mac: '00:03' is not a MAC address",
        f"{prefix}[2].control.mac: 00:03:1d:0e:03:03 is there already, at [1].cmc.mac",
        f"{prefix}[3]: lacks the interface cmc",
    ]
    # any other use tells the first one
    done = site.run("imaging-inventory")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        f"{prefix}[0].control.ip: '192.168.3.300' is not an IPv4 address"
    ]


@pytest.mark.parametrize("words", [[], ["--json"], ["--check"]], ids=str)
@pytest.mark.parametrize(
    ("text", "said"),
    [(None, "cannot be read"), ("[\n{", ":2: is not JSON"), ("{}", "must be a list")],
)
def test_what_is_no_inventory(
    site: SiteDirectory, words: list[str], text: str | None, said: str
) -> None:
    site.inventory.unlink()
    if text is not None:
        site.inventory.write_text(text)
    done = site.run("imaging-inventory", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["9"], "'9' is not a node"),
        (["~1"], "use -a"),
        (["1", "~1"], "leaves no node"),
        (["--check", "1"], "--check is for the whole inventory"),
        (["--check", "--json"], "--check is for the whole inventory"),
        (["--check", "-a"], "--check is for the whole inventory"),
    ],
    ids=str,
)
def test_wrong_usage(site: SiteDirectory, words: list[str], said: str) -> None:
    done = site.run("imaging-inventory", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def test_wrong_settings_are_told_with_file_and_line(site: SiteDirectory) -> None:
    site.add_settings("[boot]\npol_s = 3\n")
    for words in ([], ["--check"]):
        done = site.run("imaging-inventory", *words)
        assert done.returncode == 2
        assert "imaging.conf:2" in done.stderr


@pytest.mark.parametrize("words", [[], ["--json", "1"], ["--check"]], ids=str)
def test_it_starts_without_heavy_libraries(site: SiteDirectory, words: list[str]) -> None:
    assert site.heavy_imports("imaging-inventory", *words) == []
