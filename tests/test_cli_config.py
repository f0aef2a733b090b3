"""imaging-config, as its users run it, and what it looks at with --check."""

import os
from pathlib import Path

import pytest

from imaging.site.inventory import load_inventory
from tests import ndz_samples
from tests.site_directory import SiteDirectory

ROOT = Path(__file__).parent.parent


@pytest.fixture
def site(tmp_path: Path) -> SiteDirectory:
    return SiteDirectory(tmp_path)


def problems(site: SiteDirectory) -> list[str]:
    """The problems that --check tells, without the command's name."""
    done = site.run("imaging-config", "--check")
    assert (done.returncode, done.stdout) == (2, "")
    lines = done.stderr.splitlines()
    assert all(line.startswith("imaging-config: ") for line in lines)
    return [line.removeprefix("imaging-config: ") for line in lines]


def test_each_value_is_printed_with_its_origin(site: SiteDirectory) -> None:
    site.base.write_text("[power]\nport = 81\nattempts = 7\n")
    site.add_settings("[power]\nport.no-such-host = 83\nport = 82\n")
    done = site.run("imaging-config")
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["port", "=", "82", f"{site.conf}:3"] in lines
    assert ["attempts", "=", "7", f"{site.base}:3"] in lines
    assert ["request_timeout_s", "=", "5", "default"] in lines
    assert ["all_nodes", "=", "default"] in lines
    sections = [line[0] for line in lines if line and line[0].startswith("[")]
    assert sections[:3] == ["[inventory]", "[images]", "[nextboot]"]
    assert len(sections) == len(set(sections))


def test_what_the_encoding_of_the_output_does_not_have_is_escaped(site: SiteDirectory) -> None:
    site.add_settings("[images]\nprivate = été\n")
    done = site.run("imaging-config", "images.private", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert r"\xe9t\xe9" in done.stdout


def test_origins_are_aligned(site: SiteDirectory) -> None:
    done = site.run("imaging-config", "power", "boot")
    places = {line.index("default") for line in done.stdout.splitlines() if "default" in line}
    assert len(places) == 1


def test_sections_and_keys_choose(site: SiteDirectory) -> None:
    printed = site.run("imaging-config", "wait", "power.port", "wait.timeout_s").stdout
    assert [line.split() for line in printed.splitlines()] == [
        ["[power]"],
        ["port", "=", "80", "default"],
        [],
        ["[wait]"],
        ["timeout_s", "=", "300", "default"],
    ]


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("nextbot", "did you mean nextboot?"),
        ("power.prt", "did you mean power.port?"),
        ("bandwidth_mibps", "did you mean multicast.bandwidth_mibps?"),
        ("ramdisk.", "did you mean ramdisk?"),
        ("xyzzy", "sections are inventory, images,"),
        ("", "sections are inventory, images,"),
    ],
)
def test_what_is_no_setting_is_refused_with_the_nearest(
    site: SiteDirectory, word: str, said: str
) -> None:
    done = site.run("imaging-config", "power", word)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"{word!r} is no section and no key" in done.stderr
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_json_has_stable_keys_and_typed_values(site: SiteDirectory) -> None:
    rows = site.run_json("imaging-config", "--json")
    assert all(list(row) == ["section", "key", "value", "origin"] for row in rows)
    found = {(row["section"], row["key"]): (row["value"], row["origin"]) for row in rows}
    assert found["power", "port"] == (80, "default")
    assert found["boot", "poll_s"] == (0.1, "default")
    assert found["ssh", "key"] == (None, "default")
    images = str(site.directory / "images")
    assert found["images", "directory"] == (images, f"{site.base}:4")
    chosen = site.run_json("imaging-config", "--json", "power.port")
    assert chosen == [{"section": "power", "key": "port", "value": 80, "origin": "default"}]


def test_defaults_are_the_complete_file_whatever_the_settings_are(site: SiteDirectory) -> None:
    site.conf.write_text("nonsense")
    done = site.run("imaging-config", "--defaults")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (ROOT / "etc/imaging.conf").read_text()


def test_the_sample_inventory_is_one_that_the_settings_accept(site: SiteDirectory) -> None:
    sample = ROOT / "etc/imaging-inventory.json"
    assert len(load_inventory(sample)) == 3
    site.inventory.write_bytes(sample.read_bytes())
    assert site.run("imaging-config", "--check").returncode == 0


@pytest.mark.parametrize(
    "words",
    [
        ["--json", "--check"],
        ["--defaults", "--check"],
        ["--defaults", "--json"],
        ["--defaults", "power"],
        ["--check", "power"],
        ["--frobnicate"],
    ],
    ids=" ".join,
)
def test_options_that_contradict_each_other(site: SiteDirectory, words: list[str]) -> None:
    done = site.run("imaging-config", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Usage: imaging-config" in done.stderr


@pytest.mark.parametrize("words", [[], ["--json"], ["--check"], ["power"]], ids=str)
def test_wrong_settings_are_told_with_file_and_line(site: SiteDirectory, words: list[str]) -> None:
    site.add_settings("[boot]\npol_s = 3\n")
    done = site.run("imaging-config", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"{site.conf}:2: unknown key 'pol_s'" in done.stderr


@pytest.mark.parametrize("text", [None, "nonsense"])
def test_the_inventory_is_not_needed(site: SiteDirectory, text: str | None) -> None:
    site.inventory.unlink()
    if text is not None:
        site.inventory.write_text(text)
    assert site.run("imaging-config").returncode == 0


def test_a_site_that_is_fine(site: SiteDirectory) -> None:
    (site.directory / "key").write_text("a key")
    (site.directory / "mine").mkdir()
    (site.directory / "images/fedora.ndz").write_bytes(ndz_samples.RAW.read())
    site.add_settings("[ssh]\nkey = key\n[images]\nprivate = mine\ndefault = fedora\n")
    site.add_settings("[inventory]\nall_nodes = 1-3 ~2\n")
    done = site.run("imaging-config", "--check")
    assert (done.returncode, done.stderr) == (0, "")
    told = f" settings, fine: 4 set in {site.base}, 4 set in {site.conf}\n"
    assert done.stdout.endswith(told)
    assert len(done.stdout.splitlines()) == 1
    assert not (site.directory / "imaging.log").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[inventory]\nfile = none.json", "cannot be read: No such file"),
        ("[inventory]\nfile = imaging.conf", "is not JSON"),
        ("[inventory]\nall_nodes = 1-99", "'99' (in '1-99') is not a node"),
        ("[images]\ndirectory = none", "none does not exist"),
        ("[images]\ndirectory = inventory.json", "inventory.json is not a directory"),
        ("[images]\nprivate = none", "none does not exist"),
        ("[images]\nprivate = dangling", "dangling is a dangling link"),
        ("[images]\ndefault = fedora", "no image 'fedora'"),
        ("[nextboot]\ndirectory = none", "none does not exist"),
        ("[nextboot]\nramdisk = none", "none does not exist"),
        ("[locks]\ndirectory = no/place", "no does not exist"),
        ("[multicast]\nserver = no-such-tool -x", "'no-such-tool'"),
        ("[ssh]\nkey = none", "none does not exist"),
        ("[ssh]\nkey = images", "images is not a regular file"),
        ("[log]\nfile = none/imaging.log", "none does not exist"),
        ("[log]\nfile = images", "images is a directory"),
        ("[log]\nfile = inventory.json/log", "inventory.json is not a directory"),
        ("[transcripts]\ndirectory = inventory.json/x/y", "inventory.json is not a directory"),
        ("[history]\nfile = images", "images is a directory"),
        ("[history]\nfile = inventory.json/x/y", "inventory.json is not a directory"),
    ],
)
def test_a_thing_that_is_not_usable_is_told_with_its_setting(
    site: SiteDirectory, text: str, said: str
) -> None:
    (site.directory / "dangling").symlink_to("nowhere")
    site.add_settings(text)
    header, setting = text.splitlines()
    key = setting.partition(" ")[0]
    found = problems(site)
    assert len(found) == 1, found
    assert found[0].startswith(f"{header} {key} ({site.conf}:2): ")
    assert said in found[0]


def test_all_problems_are_told_at_once(site: SiteDirectory) -> None:
    site.inventory.unlink()
    (site.links / "pxefrisbee").unlink()
    site.add_settings("[ssh]\nkey = none\n[inventory]\nall_nodes = 1\n")
    found = problems(site)
    assert [line.partition(" (")[0] for line in found] == [
        "[inventory] file",
        "[nextboot] ramdisk",
        "[ssh] key",
    ]
    assert f"({site.base}:2)" in found[0]
    assert "(default)" in found[1]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everywhere")
def test_what_may_not_be_read_or_written(site: SiteDirectory) -> None:
    for name in ("key", "old.log"):
        (site.directory / name).touch(0o000)
    (site.directory / "mine").mkdir(0o500)
    (site.directory / "images").chmod(0o300)
    site.links.chmod(0o500)
    site.add_settings("[ssh]\nkey = key\n[images]\nprivate = mine\n[log]\nfile = old.log\n")
    found = problems(site)
    assert all("no permission to" in line for line in found)
    assert [line.partition(" (")[0] for line in found] == [
        "[images] directory",
        "[images] private",
        "[nextboot] directory",
        "[ssh] key",
        "[log] file",
    ]


@pytest.mark.parametrize("words", [[], ["--json"], ["--check"], ["--defaults"], ["--help"]])
def test_it_starts_without_heavy_libraries(site: SiteDirectory, words: list[str]) -> None:
    assert site.heavy_imports("imaging-config", *words) == []


def test_a_token_that_others_can_read(site: SiteDirectory) -> None:
    site.add_settings("[leases]\ntoken = HUNTER2\n")
    assert site.run("imaging-config", "--check").returncode == 0
    site.conf.chmod(0o644)
    (found,) = problems(site)
    assert found.startswith(f"[leases] token ({site.conf}:2): others can read {site.conf}")
    assert "HUNTER2" not in found


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("backend = local\nfile = images", "images is no file"),
        ("ca_file = missing.pem", "missing.pem does not exist"),
        ("ca_file = images", "images is not a regular file"),
    ],
)
def test_leases_that_cannot_be_used(site: SiteDirectory, setting: str, words: str) -> None:
    site.add_settings(f"[leases]\n{setting}\n")
    (found,) = problems(site)
    assert found.endswith(words)


def test_a_file_of_leases_need_not_be_there(site: SiteDirectory) -> None:
    site.add_settings("[leases]\nbackend = local\nfile = leases/leases.sqlite\n")
    assert site.run("imaging-config", "--check").returncode == 0


@pytest.mark.parametrize(
    ("setting", "place", "words"),
    [
        ("[power_redfish]\nca_file = images", "[power_redfish] ca_file", "not a regular file"),
        ("[power]\nmodel = redfish", "[power_redfish] password_file", "no password for the"),
        ("[power]\nmodel = redfish\n[power_redfish]\npassword_file = open",
         "[power_redfish] password_file", "can read or write it"),
        ("[power]\nmodel = ipmi\n[power_ipmi]\ntool = no-such-tool\nuser =",
         "[power_ipmi] tool", "'no-such-tool'"),
        ("[power]\nmodel = command", "[power_command] status", "status is empty"),
        ("[power]\nescalation = shutdown", "[power] escalation", "CMC cards know no such thing"),
    ],
)  # fmt: skip
def test_power_cards_that_cannot_be_used(
    site: SiteDirectory, setting: str, place: str, words: str
) -> None:
    (site.directory / "open").write_text("HUNTER2\n")
    (site.directory / "open").chmod(0o644)
    site.add_settings(setting + "\n")
    (found,) = problems(site)
    assert found.startswith(place)
    assert words in found
    assert "HUNTER2" not in found


def test_a_password_of_bmcs_is_masked_and_kept_from_others(site: SiteDirectory) -> None:
    site.add_settings("[power_ipmi]\npassword = HUNTER2\n")
    shown = site.run("imaging-config", "power_ipmi")
    assert "HUNTER2" not in shown.stdout + shown.stderr
    assert "********" in shown.stdout
    site.conf.chmod(0o644)
    (found,) = problems(site)
    assert found.startswith("[power_ipmi] password (")


def test_a_command_of_the_site_tells_the_power(site: SiteDirectory) -> None:
    commands = "status = echo {node} is on\non = true\noff = true\nreset = false\n"
    site.add_settings(f"[power]\nmodel = command\n[power_command]\n{commands}")
    assert site.run("imaging-config", "--check").returncode == 0
    done = site.run("imaging-status", "1-2")
    assert (done.returncode, done.stdout) == (0, "fit01: on\nfit02: on\n")
    refused = site.run("imaging-reset", "1")
    assert refused.returncode == 1
    assert "exit status 1: nothing" in refused.stdout + refused.stderr
