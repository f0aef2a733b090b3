"""imaging-nodes and the umbrella, as their users run them."""

import json
from pathlib import Path

import pytest

from imaging.cli.umbrella import COMMANDS
from tests.commands import run_command, user_environment

ROW = {
    "cmc": {"hostname": "reboot{n:02}", "ip": "192.168.1.{n}", "mac": "02:00:00:00:00:{n:02x}"},
    "control": {"hostname": "fit{n:02}", "ip": "192.168.3.{n}", "mac": "00:03:1d:0e:03:{n:02x}"},
}


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A directory with settings and an inventory of 12 nodes."""
    write_inventory(tmp_path, 12)
    (tmp_path / "imaging.conf").write_text("[inventory]\nfile = inventory.json\n")
    (tmp_path / "imaging.conf").chmod(0o600)
    return tmp_path


def write_inventory(site: Path, nodes: int, **changes: str) -> None:
    rows = [
        {
            kind: {key: value.format(n=number) for key, value in interface.items()}
            for kind, interface in ROW.items()
        }
        for number in range(1, nodes + 1)
    ]
    if changes:
        rows[-1]["control"].update(changes)
    (site / "inventory.json").write_text(json.dumps(rows))


def nodes(site: Path, *words: str, **variables: str) -> tuple[int, list[str], str]:
    done = run_command(
        "imaging-nodes", *words, cwd=site, environment={**user_environment(site), **variables}
    )
    return done.returncode, done.stdout.split(), done.stderr


@pytest.mark.parametrize(
    ("words", "numbers"),
    [
        (["1"], [1]),
        (["004", "fit05", "reboot6"], [4, 5, 6]),
        (["1-12", "~4-6"], [1, 2, 3, 7, 8, 9, 10, 11, 12]),
        (["1-10-3"], [1, 4, 7, 10]),
        (["1,3-5"], [1, 3, 4, 5]),
        (["fit2-reboot4"], [2, 3, 4]),
        (["-a", "~4-12"], [1, 2, 3]),
        (["-a"], list(range(1, 13))),
        (["12", "1", "12"], [1, 12]),
    ],
    ids=str,
)
def test_a_selection_is_printed(site: Path, words: list[str], numbers: list[int]) -> None:
    status, printed, said = nodes(site, *words)
    assert (status, said) == (0, "")
    assert printed == [f"fit{number:02}" for number in numbers]


def test_the_variables(site: Path) -> None:
    assert nodes(site, NODES="3 4")[1] == ["fit03", "fit04"]
    assert nodes(site, "-a", ALL_NODES="1-4 ~2")[1] == ["fit01", "fit03", "fit04"]
    assert nodes(site, "1", NODES="3 4")[1] == ["fit01"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "NODES"),
        (["0"], "'0'"),
        (["13"], "'13'"),
        (["5-3"], "5-3"),
        (["1-5-0"], "1-5-0"),
        (["foo"], "'foo' is not a node"),
        (["1", "~1"], "no node"),
        (["~1"], "-a"),
        (["1; rm -rf /"], "is not a node"),
        (["--frobnicate"], "--frobnicate"),
    ],
    ids=str,
)
def test_a_wrong_selection_is_a_usage_error(site: Path, words: list[str], said: str) -> None:
    status, printed, words_said = nodes(site, *words)
    assert (status, printed) == (2, [])
    assert said in words_said
    assert "Traceback" not in words_said


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"mac": "00:03:1D:0E:03:01"}, "00:03:1d:0e:03:01"),
        ({"ip": "192.168.3.1"}, "192.168.3.1"),
        ({"hostname": "fit01"}, "fit01"),
        ({"ip": "192.168.3.300"}, "192.168.3.300"),
        ({"mac": "00:03:1d:0e:03"}, "00:03:1d:0e:03"),
    ],
    ids=str,
)
def test_a_wrong_inventory_is_refused_with_its_place(
    site: Path, changes: dict[str, str], words: str
) -> None:
    write_inventory(site, 12, **changes)
    status, printed, said = nodes(site, "1")
    assert (status, printed) == (2, [])
    assert words in said
    assert "inventory.json" in said
    assert len(said.splitlines()) == 1


def test_wrong_settings_are_refused_with_file_and_line(site: Path) -> None:
    (site / "imaging.conf").write_text("[inventory]\nfile = inventory.json\n\n[boot]\npol_s = 3\n")
    status, _, said = nodes(site, "1")
    assert status == 2
    assert "imaging.conf:5" in said
    assert "pol_s" in said


def test_settings_that_others_may_write_are_refused(site: Path) -> None:
    (site / "imaging.conf").chmod(0o666)
    status, _, said = nodes(site, "1")
    assert status == 2
    assert "imaging.conf" in said


def test_the_umbrella(site: Path) -> None:
    done = run_command("imaging", "nodes", "1-2", cwd=site, environment=user_environment(site))
    assert (done.returncode, done.stdout) == (0, "fit01\nfit02\n")
    done = run_command("imaging", "--help", cwd=site, environment=user_environment(site))
    assert done.returncode == 0
    listed = {line.split()[0] for line in done.stdout.splitlines() if line.startswith("  ")}
    assert listed >= set(COMMANDS)
    done = run_command("imaging", "explode", cwd=site, environment=user_environment(site))
    assert done.returncode == 2
