"""What the probes have seen, as values: the one stream that the state is folded from.

``at`` is the time of the observation, in seconds since the epoch.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class Power(StrEnum):
    """What a node's power card says."""

    UNKNOWN = "unknown"  # not asked yet
    ON = "on"
    OFF = "off"
    NO_CMC = "no-cmc"  # the card does not answer
    REFUSED = "power-refused"  # it answers something else than it should


class Ssh(StrEnum):
    """What there is behind a node's ssh port."""

    UNKNOWN = "unknown"
    UP = "up"  # a login has run a command
    NO_LOGIN = "no-login"  # a server that lets us not in
    NOT_SSH = "not-ssh"  # something answers, which is no ssh server
    CLOSED = "closed"  # the node refuses the connection
    SILENT = "silent"  # nothing answers


class Ramdisk(StrEnum):
    """What there is behind a node's telnet port, which is looked at when ssh is not there."""

    UNKNOWN = "unknown"
    UP = "up"  # a shell has run a command
    NO_SHELL = "no-shell"  # something answers, and no shell is behind it
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class System:
    """What a node's system says of itself; "" for what it does not say.

    ``booted`` is when it has booted, in seconds since the epoch; None when it does not say.
    ``stamp`` is the image that it says it comes from.
    """

    release: str = ""
    kernel: str = ""
    booted: float | None = None
    stamp: str = ""


@dataclass(frozen=True, slots=True)
class LoadedImage:
    """The image that the last load has left on a node: since when (epoch), and by whom."""

    name: str
    since: float
    user: str
    half_written: bool = False


@dataclass(frozen=True, slots=True)
class NodeLease:
    """Who holds a node now, and until when (seconds since the epoch)."""

    holder: str
    until: float


@dataclass(frozen=True, slots=True)
class PowerSeen:
    """A card was asked; ``message`` is what was met when it did not answer as it should."""

    at: float
    node: str
    power: Power
    message: str = ""


@dataclass(frozen=True, slots=True)
class ReachSeen:
    """A node's ports were looked at; the messages say what was met where nothing was up.

    ``system`` is what a login was told; None when there was none this time.
    """

    at: float
    node: str
    ssh: Ssh
    ramdisk: Ramdisk
    ssh_message: str = ""
    ramdisk_message: str = ""
    system: System | None = None


@dataclass(frozen=True, slots=True)
class ImageSeen:
    """What the history says to be on a node's disk; None when it says nothing."""

    at: float
    node: str
    image: LoadedImage | None


@dataclass(frozen=True, slots=True)
class LeaseSeen:
    """Who holds a node; None when nobody does."""

    at: float
    node: str
    lease: NodeLease | None


Observation = PowerSeen | ReachSeen | ImageSeen | LeaseSeen
See = Callable[[Observation], None]
"""Where a probe tells what it has seen."""
