"""Settings: layers, types, and every error with its file and line."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaging.errors import ConfigurationError
from imaging.site import settings as settings_module
from imaging.site.ini import parse_ini
from imaging.site.schema import Settings
from imaging.site.settings import SIZE_LIMIT, LoadedSettings, load_settings

ROOT = Path(__file__).parent.parent


class Layers:
    """The places that settings are read from, all in a temporary directory."""

    def __init__(self, directory: Path) -> None:
        self.system = directory / "etc.conf"
        self.home = directory / "home"
        self.here = directory / "here"
        self.home.mkdir()
        self.here.mkdir()
        self.environment: dict[str, str] = {}

    def load(
        self, hostname: str = "faraday.inria.fr", user_id: int | None = None
    ) -> LoadedSettings:
        return load_settings(
            environment=self.environment,
            directory=self.here,
            home=self.home,
            system_file=self.system,
            hostname=hostname,
            user_id=user_id,
        )

    def write(self, text: str) -> Path:
        file = self.here / "imaging.conf"
        file.write_text(text)
        file.chmod(0o600)
        return file


@pytest.fixture
def layers(tmp_path: Path) -> Layers:
    return Layers(tmp_path)


def test_without_files_there_are_the_defaults(layers: Layers) -> None:
    loaded = layers.load()
    assert loaded.settings == Settings()
    assert set(loaded.origins.values()) == {"default"}


def test_the_packaged_file_is_complete_and_equals_the_defaults(layers: Layers) -> None:
    packaged = Path(settings_module.__file__).with_name("imaging.conf")
    assert packaged.read_bytes() == (ROOT / "etc/imaging.conf").read_bytes()
    defaults = layers.load()
    keys = {
        f"{entry.section}.{entry.key}": entry.value
        for entry in parse_ini(packaged.read_text(), "imaging.conf")
    }
    assert set(keys) == set(defaults.origins)
    # every value of the file, but for empty ones and the one relative path, gives the default
    layers.write(packaged.read_text())
    loaded = layers.load().settings
    assert loaded.log.file == layers.here / "imaging.log"
    for section in set(Settings.__struct_fields__) - {"log"}:
        assert getattr(loaded, section) == getattr(defaults.settings, section), section


def test_each_layer_beats_the_one_before(layers: Layers) -> None:
    layers.system.write_text("[power]\nport = 1\nattempts = 1\nretry_delay_s = 1\n")
    (layers.home / ".imaging.conf").write_text("[power]\nport = 2\nattempts = 2\n")
    layers.write("[power]\nport = 3\n")
    for file in (layers.system, layers.home / ".imaging.conf"):
        file.chmod(0o644)
    loaded = layers.load()
    power = loaded.settings.power
    assert (power.port, power.attempts, power.retry_delay_s) == (3, 2, 1.0)
    assert loaded.origins["power.port"] == f"{layers.here}/imaging.conf:2"
    assert loaded.origins["power.attempts"] == f"{layers.home}/.imaging.conf:3"


def test_the_variable_replaces_all_layers(layers: Layers, tmp_path: Path) -> None:
    layers.write("[power]\nport = 3\n")
    other = tmp_path / "other.conf"
    other.write_text("[power]\nattempts = 9\n")
    other.chmod(0o600)
    layers.environment["IMAGING_CONF"] = str(other)
    power = layers.load().settings.power
    assert (power.port, power.attempts) == (80, 9)


def test_a_missing_file_is_an_error_when_it_is_named(layers: Layers) -> None:
    layers.environment["IMAGING_CONF"] = "/nowhere/imaging.conf"
    with pytest.raises(ConfigurationError, match=r"/nowhere/imaging\.conf: cannot be read"):
        layers.load()


@pytest.mark.parametrize(
    ("hostname", "port"),
    [("faraday.inria.fr", 1), ("faraday", 1), ("bemol.inria.fr", 2), ("other.org", 3)],
)
def test_the_hosts_own_key_wins(layers: Layers, hostname: str, port: int) -> None:
    layers.write("[power]\nport.faraday = 1\nport.bemol.inria.fr = 2\nport = 3\n")
    assert layers.load(hostname).settings.power.port == port


def test_paths_are_relative_to_their_file_and_home_is_expanded(layers: Layers) -> None:
    layers.write("[images]\ndirectory = images\n[inventory]\nfile = ~/inventory.json\n")
    settings = layers.load().settings
    assert settings.images.directory == layers.here / "images"
    assert settings.inventory.file == Path.home() / "inventory.json"


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("[powr]\nport = 1", 2, r"unknown section \[powr\]; did you mean 'power'"),
        ("[power]\nprt = 1", 2, r"unknown key 'prt' in \[power\]; did you mean 'port'"),
        ("[power]\nprt.elsewhere = 1", 2, "unknown key 'prt'"),
        ("[power]\nzzzz = 1", 2, "known are attempts, escalation, model, port"),
        ("[power]\nport = http", 2, "port = http: must be a whole number from 1 to 65535"),
        ("[power]\nport = 0", 2, "port = 0: must be a whole number from 1 to 65535"),
        ("[power]\nport = 70000", 2, "from 1 to 65535"),
        ("[boot]\npoll_s = -1", 2, "poll_s = -1"),
        ("[boot]\npoll_s = nan", 2, "poll_s = nan"),
        ("[boot]\npoll_s = inf", 2, "poll_s = inf"),
        ("[boot]\npoll_s =", 2, "poll_s"),
        ("[nextboot]\nramdisk = ../etc/passwd", 2, "ramdisk"),
        ('[images]\ndefault = "fedora"', 2, "quotes would be part of the value"),
        ("[images]\ndirectory =", 2, "directory is empty"),
        ("[multicast]\naddress = here", 2, "here"),
        ("[multicast]\ngroups = 10.0.0.0/8", 2, "not an IPv4 multicast network"),
        ("[multicast]\nports = 9-1", 2, "not a range"),
        ("[multicast]\nports = many", 2, "not a range"),
        ("[log]\nlevel = loud", 2, "level = loud"),
        ("[monitor]\nweb_hosts = a.example http://b", 2, "'http://b' is not the name of a host"),
        ("[monitor]\ncycle_s = 0", 2, "cycle_s = 0"),
        ("[monitor]\nstamp_file = stamp", 2, "stamp_file = stamp"),
        ("[multicast]\nattempts = 3\nports = 9-1", 3, "ports: 9-1"),
        ("[multicast]\nattempts = 3\naddress = here", 3, "address: "),
        ("[multicast]\nports = \u0663-\u0664", 2, "not a range"),
        ("[multicast]\nserver = frisbeed 'x", 2, "server: .* is not a command"),
        ("[ramdisk]\ndisk = -rf", 2, "disk = -rf"),
        ("[ramdisk]\nclient =", 2, "client: the command is empty"),
        ("[inventory]\nfile = a\0b", 2, "NUL byte"),
        ("[power]\nport. = 1", 2, "no hostname after the dot"),
        ("[images]\ndefault = a\u2028b\n[powr]\nx = 1", 4, "unknown section"),
        ("\nport = 1", 2, r"comes before any \[section\]"),
        ("[power\nport = 1", 1, "not a section header"),
        ("[power]\n# fine\nport", 3, "not of the form key = value"),
        ("[power]\nport = 1\nport = 2", 3, r"set a second time \(first on line 2\)"),
        ("[power]\nmodel = c\x07mc", 2, "model holds a control character"),
        ("[power]\nescalation = knock", 2, "escalation: 'knock' is none of shutdown, reset, cycle"),
        ("[power]\nescalation =", 2, "escalation: must be 1 to 8 of"),
        ("[power_redfish]\npassword = a\npassword_file = b", 2, "and password_file is, too"),
        ("[power_redfish]\ncertificate_name = any", 2, "any is for a ca_file of the site's own"),
        ("[power_ipmi]\ntool = ipmitool -P x", 2, "tool: -P is not for the command line"),
        ("[power_command]\non = {ip} on", 2, "on: the command itself cannot be filled in"),
        ("[power_command]\non = pdu {outlet}", 2, "on: {outlet} is none of {node}, {hostname}"),
        ("[multicast]\ngroups = many", 2, "groups: "),
        ("[leases]\ntoken = a b", 2, "token: holds blanks, or what is not ASCII"),
        ("[leases]\nurl = ftp://a.example", 2, "url: is not of the form https://HOST"),
        ("[leases]\nurl = https://a.example/?b", 2, "url: must have neither login nor query"),
        ("[images]\ndirectory = ~nobody-at-all/x", 2, "nobody-at-all/x: there is no such user"),
    ],
)
def test_errors_name_file_and_line(layers: Layers, text: str, line: int, words: str) -> None:
    file = layers.write(text)
    with pytest.raises(ConfigurationError, match=words.replace("{", r"\{")) as caught:
        layers.load()
    assert f"{file}:{line}" in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_file_too_large_is_refused(layers: Layers) -> None:
    layers.write("#" * (SIZE_LIMIT + 1))
    with pytest.raises(ConfigurationError, match=rf"imaging\.conf: is larger than {SIZE_LIMIT}"):
        layers.load()


def test_what_is_not_text_is_refused(layers: Layers) -> None:
    layers.write("").write_bytes(b"[power]\nport = \xff\n")
    with pytest.raises(ConfigurationError, match=r"imaging\.conf:2: is not UTF-8"):
        layers.load()


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_could_write_is_refused(layers: Layers, mode: int) -> None:
    layers.write("[power]\nport = 1\n").chmod(mode)
    with pytest.raises(ConfigurationError, match="others may write it"):
        layers.load()


def test_a_file_of_somebody_else_is_refused_also_behind_a_link(layers: Layers) -> None:
    file = layers.write("[power]\nport = 1\n")
    if file.stat().st_uid == 0:
        os.chown(file, 12345, -1)
        user_id = 54321
    else:
        user_id = file.stat().st_uid + 1
    target = file.rename(layers.here / "target")
    file.symlink_to(target)
    with pytest.raises(ConfigurationError, match="belongs to uid"):
        layers.load(user_id=user_id)


def test_a_directory_or_a_dangling_link_is_refused(layers: Layers) -> None:
    place = layers.here / "imaging.conf"
    place.symlink_to("nowhere")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        layers.load()
    place.unlink()
    place.mkdir()
    with pytest.raises(ConfigurationError, match="cannot be read"):
        layers.load()


@given(st.text())
def test_any_text_is_entries_or_a_clear_error(text: str) -> None:
    try:
        entries = list(parse_ini(text, "file"))
    except ConfigurationError as error:
        assert str(error).startswith("file:")
    else:
        assert all(entry.origin.startswith("file:") for entry in entries)


def test_the_hosts_full_name_beats_its_short_one_and_case_is_nothing(layers: Layers) -> None:
    layers.write("[power]\nport.Faraday.inria.fr = 1\nport.faraday = 2\n")
    assert layers.load("faraday.INRIA.fr").settings.power.port == 1


def test_a_byte_order_mark_is_nothing(layers: Layers) -> None:
    layers.write("\ufeff[power]\nport = 1\n")
    assert layers.load().settings.power.port == 1


def test_a_pipe_is_refused_without_waiting_for_its_writer(layers: Layers) -> None:
    os.mkfifo(layers.here / "imaging.conf", 0o600)
    with pytest.raises(ConfigurationError, match="not a regular file"):
        layers.load()


def test_a_directory_that_is_gone_is_a_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(ConfigurationError, match="current directory is gone"):
        load_settings(environment={}, home=tmp_path, system_file=tmp_path / "none")


STRICT = "[leases]\nbackend = local\nprivileged = admin\n"
LAX = "[leases]\nbackend = none\n"


def every_layer(layers: Layers, system: str) -> None:
    """Settings of the host, and others at all places that a user can choose."""
    layers.system.write_text(system)
    (layers.home / ".imaging.conf").write_text(LAX)
    elsewhere = layers.here / "elsewhere"
    elsewhere.write_text(LAX)
    (layers.here / "imaging.conf").symlink_to(elsewhere)
    for file in (layers.system, layers.home / ".imaging.conf", elsewhere):
        file.chmod(0o644)


@pytest.mark.skipif(os.geteuid() != 0, reason="files of root are of a root's making")
@pytest.mark.parametrize("named", [False, True], ids=["layers", "named"])
def test_where_root_needs_a_lease_nothing_of_the_callers_choosing_counts(
    layers: Layers, named: bool
) -> None:
    every_layer(layers, STRICT)
    layers.environment["SUDO_USER"] = "alice"
    if named:
        layers.environment["IMAGING_CONF"] = str(layers.here / "elsewhere")
    assert layers.load().settings.leases.backend == "local"
    layers.environment["SUDO_USER"] = "admin"
    assert layers.load().settings.leases.backend == "none"
    del layers.environment["SUDO_USER"]
    assert layers.load().settings.leases.backend == "none"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_lease_holders_own_settings_are_not_in_roots_way(layers: Layers) -> None:
    every_layer(layers, STRICT)
    os.chown(layers.here / "elsewhere", 54321, -1)
    layers.environment["SUDO_USER"] = "alice"
    assert layers.load().settings.leases.backend == "local"


@pytest.mark.skipif(os.geteuid() != 0, reason="files of root are of a root's making")
def test_where_root_needs_none_all_layers_count_under_sudo_too(layers: Layers) -> None:
    every_layer(layers, "[leases]\nbackend = local\n")
    layers.environment["SUDO_USER"] = "alice"
    assert layers.load().settings.leases.backend == "none"
