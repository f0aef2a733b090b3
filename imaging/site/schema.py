"""The settings: sections, keys, types and units. The defaults live here and nowhere else.

Names end in their unit: ``_s`` seconds, ``_mibps`` Mibit/s. ``imaging.conf`` beside this file
says what each key means; a test holds the two together.
"""

import ipaddress
import re
import urllib.parse
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from imaging.site.power_schema import (
    PowerCommandSettings,
    PowerIpmiSettings,
    PowerRedfishSettings,
    PowerSettings,
)
from imaging.site.setting_types import (
    Attempts,
    Port,
    RootedPath,
    Seconds,
    Secret,
    SecretKeeper,
    Word,
    check_command,
)


class InventorySettings(msgspec.Struct, frozen=True):
    """[inventory]"""

    file: Path = Path("/etc/imaging-inventory.json")
    all_nodes: str = ""


class ImagesSettings(msgspec.Struct, frozen=True):
    """[images]"""

    directory: Path = Path("/var/lib/imaging/images")
    private: Path | None = None
    default: str = ""


class NextbootSettings(msgspec.Struct, frozen=True):
    """[nextboot]"""

    directory: Path = Path("/tftpboot/pxelinux.cfg")
    ramdisk: Word = "pxefrisbee"


class BootSettings(msgspec.Struct, frozen=True):
    """[boot]"""

    poll_s: Seconds = 0.1
    polls_per_s: Annotated[float, Meta(ge=1, le=10_000)] = 400.0
    connect_timeout_s: Seconds = 0.5
    shell_timeout_s: Seconds = 5.0
    reset_grace_s: Seconds = 60.0
    uptime_slack_s: Seconds = 2.0
    timeout_s: Seconds = 180.0
    present_timeout_s: Seconds = 15.0


class ConsoleSettings(msgspec.Struct, frozen=True):
    """[console]"""

    port: Port = 23


class RamdiskSettings(msgspec.Struct, frozen=True):
    """[ramdisk]"""

    disk: RootedPath = "/dev/sda"
    client: str = "frisbee"
    imagezip: str = "imagezip -z1"
    netcat: str = "nc"
    netcat_flavour: Literal["busybox", "openbsd"] = "busybox"
    console: Literal["telnet", "ssh"] = "telnet"
    key: Path | None = None

    def __post_init__(self) -> None:
        """Refuse what is no command."""
        check_command("client", self.client)
        check_command("imagezip", self.imagezip)
        check_command("netcat", self.netcat)


class MulticastSettings(msgspec.Struct, frozen=True):
    """[multicast]"""

    server: str = "imaging-frisbeed"
    address: str = ""
    groups: str = "239.77.0.0/16"
    ports: str = "7000-7999"
    bandwidth_mibps: Annotated[float, Meta(ge=1, le=1_000_000)] = 500.0
    ready_timeout_s: Seconds = 10.0
    attempts: Attempts = 5
    join_timeout_s: Seconds = 15.0
    stall_timeout_s: Seconds = 30.0

    def __post_init__(self) -> None:
        """Refuse what is no address, no multicast network, no range of ports."""
        check_command("server", self.server)
        if self.address:
            try:
                ipaddress.IPv4Address(self.address)
            except ValueError as error:
                raise ValueError(f"address: {error}") from error
        try:
            network = self.group_network
        except ValueError as error:
            raise ValueError(f"groups: {error}") from error
        if not network.is_multicast:
            raise ValueError(f"groups: {self.groups} is not an IPv4 multicast network")
        first, last = self.port_range
        if not 1 <= first <= last <= 65535:
            raise ValueError(f"ports: {self.ports} is not a range FIRST-LAST of ports")

    @property
    def port_range(self) -> tuple[int, int]:
        """The first and the last UDP port that a server may use. Raises ValueError."""
        first, _, last = self.ports.partition("-")
        if not all(re.fullmatch("[0-9]{1,5}", part.strip()) for part in (first, last)):
            raise ValueError(f"ports: {self.ports!r} is not a range FIRST-LAST of ports")
        return int(first), int(last)

    @property
    def group_network(self) -> ipaddress.IPv4Network:
        """The network from which multicast groups are taken."""
        return ipaddress.IPv4Network(self.groups)


class LoadSettings(msgspec.Struct, frozen=True):
    """[load]"""

    timeout_s: Seconds = 600.0


class SaveSettings(msgspec.Struct, frozen=True):
    """[save]"""

    timeout_s: Seconds = 1800.0
    connect_timeout_s: Seconds = 15.0
    stall_timeout_s: Seconds = 120.0


class SshSettings(msgspec.Struct, frozen=True):
    """[ssh]"""

    user: Annotated[
        str,
        Meta(pattern=r"^[A-Za-z_][A-Za-z0-9._-]*$", description="a login: letters, digits, . _ -"),
    ] = "root"
    port: Port = 22
    key: Path | None = None
    attempt_timeout_s: Seconds = 10.0
    backoff_s: Seconds = 0.5
    timeout_s: Seconds = 300.0


class WaitSettings(msgspec.Struct, frozen=True):
    """[wait]"""

    timeout_s: Seconds = 300.0


class LocksSettings(msgspec.Struct, frozen=True):
    """[locks]"""

    directory: Path = Path("/run/lock/imaging")
    wait_s: Annotated[float, Meta(ge=0, le=86400)] = 0.0


class LogSettings(msgspec.Struct, frozen=True):
    """[log]"""

    file: Path = Path("imaging.log")
    level: Literal["debug", "info", "warning", "error"] = "info"


class TranscriptsSettings(msgspec.Struct, frozen=True):
    """[transcripts]"""

    directory: Path | None = None
    keep_days: Annotated[int, Meta(ge=1, le=36500)] = 30
    keep_runs: Annotated[int, Meta(ge=1, le=100_000)] = 200
    limit_mib: Annotated[int, Meta(ge=1, le=4096)] = 16


class HistorySettings(msgspec.Struct, frozen=True):
    """[history]"""

    file: Path | None = None
    keep_runs: Annotated[int, Meta(ge=1, le=10_000_000)] = 10_000


class LeasesSettings(SecretKeeper, frozen=True):
    """[leases]"""

    backend: Literal["none", "local", "r2labapi"] = "none"
    privileged: str = "root"
    when_unreachable: Literal["refuse", "allow"] = "refuse"
    timeout_s: Seconds = 10.0
    file: Path = Path("/var/lib/imaging/leases/leases.sqlite")
    url: str = "https://r2labapi.inria.fr"
    resource: Word = "r2lab"
    token: Secret = ""
    ca_file: Path | None = None
    request_timeout_s: Seconds = 3.0
    attempts: Attempts = 3
    retry_delay_s: Seconds = 0.3

    def __post_init__(self) -> None:
        """Refuse what is no address of a service, and a token that no header can hold."""
        _check_url("url", self.url)
        if not re.fullmatch("[!-~]*", self.token):
            raise ValueError("token: holds blanks, or what is not ASCII")

    @property
    def privileged_logins(self) -> frozenset[str]:
        """The logins that need no lease."""
        return frozenset(self.privileged.replace(",", " ").split())


def is_host(text: str) -> bool:
    """Whether this can be looked up: an address, or labels of a name."""
    labels = text.removesuffix(".").split(".")
    return ":" in text or all(re.fullmatch("[A-Za-z0-9_-]{1,63}", label) for label in labels)


def _check_url(key: str, text: str) -> None:
    """Raise ValueError; the text may hold a password then, and is not told."""
    try:
        parts = urllib.parse.urlsplit(text)
        is_fine = is_host(parts.hostname or "") and (parts.port is None or parts.port > 0)
    except ValueError:
        is_fine = False
    if not is_fine or parts.scheme not in ("http", "https") or not re.fullmatch("[!-~]+", text):
        raise ValueError(f"{key}: is not of the form https://HOST[:PORT][/PATH]")
    if parts.username is not None or parts.password is not None or "?" in text or "#" in text:
        raise ValueError(f"{key}: must have neither login nor query; see token")


class MonitorSettings(msgspec.Struct, frozen=True):
    """[monitor]"""

    cycle_s: Annotated[float, Meta(ge=0.01, le=86400)] = 2.0
    probe_timeout_s: Seconds = 2.0
    probes_at_once: Annotated[int, Meta(ge=4, le=500)] = 128
    login_interval_s: Seconds = 300.0
    lease_interval_s: Seconds = 30.0
    stamp_file: RootedPath = "/etc/imaging-image"
    web_hosts: str = ""
    web_clients: Annotated[int, Meta(ge=1, le=500)] = 64
    sidecar_retry_s: Seconds = 1.0
    sidecar_retry_limit_s: Seconds = 60.0

    def __post_init__(self) -> None:
        """Refuse what is no name of a host."""
        for host in self.host_names:
            if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?", host):
                raise ValueError(f"web_hosts: {host!r} is not the name of a host")

    @property
    def host_names(self) -> tuple[str, ...]:
        """The further names under which the page may be asked for, in lower case."""
        return tuple(self.web_hosts.lower().split())


class Settings(msgspec.Struct, frozen=True):
    """All settings, a member per section."""

    inventory: InventorySettings = InventorySettings()
    images: ImagesSettings = ImagesSettings()
    nextboot: NextbootSettings = NextbootSettings()
    power: PowerSettings = PowerSettings()
    power_redfish: PowerRedfishSettings = PowerRedfishSettings()
    power_ipmi: PowerIpmiSettings = PowerIpmiSettings()
    power_command: PowerCommandSettings = PowerCommandSettings()
    boot: BootSettings = BootSettings()
    console: ConsoleSettings = ConsoleSettings()
    ramdisk: RamdiskSettings = RamdiskSettings()
    multicast: MulticastSettings = MulticastSettings()
    load: LoadSettings = LoadSettings()
    save: SaveSettings = SaveSettings()
    ssh: SshSettings = SshSettings()
    wait: WaitSettings = WaitSettings()
    locks: LocksSettings = LocksSettings()
    log: LogSettings = LogSettings()
    transcripts: TranscriptsSettings = TranscriptsSettings()
    history: HistorySettings = HistorySettings()
    leases: LeasesSettings = LeasesSettings()
    monitor: MonitorSettings = MonitorSettings()
