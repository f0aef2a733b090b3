"""The settings of the power cards: what all models share, and a section per model."""

import re
import shlex
from pathlib import Path
from typing import Annotated, Literal, cast, get_args

import msgspec
from msgspec import Meta

from imaging.site.setting_types import Attempts, Port, Seconds, Secret, SecretKeeper, check_command

PowerModel = Literal["cmc", "redfish", "ipmi", "command"]
BootOrder = Literal["shutdown", "reset", "cycle"]
ORDERS_LIMIT = 8  # of an escalation
# no control characters, no blanks, and not a colon, at which basic authentication ends it
BMC_USER = re.compile(r"[!-9;-~]{0,64}")
BmcUser = Annotated[
    str,
    Meta(
        pattern=f"^{BMC_USER.pattern}$",
        description="at most 64 signs of ASCII, no blank and no :",
    ),
]
COMMAND_PLACES = ("node", "hostname", "ip", "mac")  # {node} in a template of [power_command]


def _check_password(password: str, file: Path | None) -> None:
    """Raise ValueError, which does not tell it."""
    if password and file is not None:
        raise ValueError("password: is set, and password_file is, too")


class PowerSettings(msgspec.Struct, frozen=True):
    """[power]"""

    model: PowerModel = "cmc"
    port: Port = 80
    request_timeout_s: Seconds = 5.0
    attempts: Attempts = 3
    retry_delay_s: Seconds = 0.5
    settle_timeout_s: Seconds = 5.0
    escalation: str = "reset, cycle"
    shutdown_timeout_s: Seconds = 30.0
    stagger_s: Annotated[float, Meta(ge=0, le=3600)] = 0.0
    timeout_s: Seconds = 60.0

    def __post_init__(self) -> None:
        """Refuse orders that there are not."""
        known = get_args(BootOrder)
        for word in self.boot_orders:
            if word not in known:
                raise ValueError(f"escalation: {word!r} is none of {', '.join(known)}")
        if not 1 <= len(self.boot_orders) <= ORDERS_LIMIT:
            raise ValueError(f"escalation: must be 1 to {ORDERS_LIMIT} of {', '.join(known)}")

    @property
    def boot_orders(self) -> tuple[BootOrder, ...]:
        """What makes a node that is on boot, the softest first."""
        return cast(tuple[BootOrder, ...], tuple(self.escalation.replace(",", " ").split()))


class PowerRedfishSettings(SecretKeeper, frozen=True):
    """[power_redfish]"""

    scheme: Literal["https", "http"] = "https"
    port: Port = 443
    authentication: Literal["basic", "session"] = "basic"
    user: BmcUser = "root"
    password: Secret = ""
    password_file: Path | None = None
    ca_file: Path | None = None
    certificate_name: Literal["hostname", "ip", "any"] = "hostname"

    def __post_init__(self) -> None:
        """Refuse what no header can hold, and two passwords."""
        _check_password(self.password, self.password_file)
        if self.certificate_name == "any" and self.ca_file is None:
            raise ValueError("certificate_name: any is for a ca_file of the site's own")


class PowerIpmiSettings(SecretKeeper, frozen=True):
    """[power_ipmi]"""

    tool: str = "ipmitool -I lanplus"
    port: Port = 623
    user: BmcUser = "root"
    password: Secret = ""
    password_file: Path | None = None

    def __post_init__(self) -> None:
        """Refuse what is no command, what all users of this host would see, and two passwords."""
        check_command("tool", self.tool)
        for word in shlex.split(self.tool)[1:]:
            # also behind options that take no argument: -vPsecret
            if found := re.match("-[46hVvcgsao]*([PkKyYfEHpU])", word):
                raise ValueError(
                    f"tool: -{found[1]} is not for the command line; see password_file"
                )
        _check_password(self.password, self.password_file)


class PowerCommandSettings(msgspec.Struct, frozen=True):
    """[power_command]"""

    status: str = ""
    on: str = ""
    off: str = ""
    reset: str = ""
    shutdown: str = ""
    info: str = ""

    def __post_init__(self) -> None:
        """Refuse what is no command, and places that are filled with nothing."""
        for key in self.__struct_fields__:
            template = getattr(self, key)
            if template:
                check_command(key, template)
                if "{" in shlex.split(template)[0]:
                    raise ValueError(f"{key}: the command itself cannot be filled in")
            for place in re.findall(r"\{[^{}]*\}", template):
                if place[1:-1] not in COMMAND_PLACES:
                    known = ", ".join(f"{{{name}}}" for name in COMMAND_PLACES)
                    raise ValueError(f"{key}: {place} is none of {known}")
