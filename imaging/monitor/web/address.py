"""Where the monitor listens, and under which names it may be asked."""

import ipaddress
import re
import socket
from collections.abc import Collection
from dataclasses import dataclass

from imaging.errors import ConfigurationError

LOOPBACK = "127.0.0.1"
BACKLOG = 64
CLIENT_PATIENCE_MS = 10_000  # a client that takes nothing for so long is given up by the kernel

_PLACE = re.compile(r"(?:(?:\[(?P<six>[^]]+)\]|(?P<name>[^:\[\]]*)):)?(?P<port>[0-9]{1,5})")
_HOST = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<name>[^:\[\]]+))(?::[0-9]{1,5})?")


@dataclass(frozen=True, slots=True)
class Place:
    """An address and port to listen at; port 0 is any that is free."""

    address: ipaddress.IPv4Address | ipaddress.IPv6Address
    port: int


def parse_place(option: str, text: str) -> Place:
    """Read ``ADDR:PORT``; without an address it is the loopback's. Raises ConfigurationError."""
    found = _PLACE.fullmatch(text)
    if found is None or int(found["port"]) > 65535:
        raise ConfigurationError(f"{option} {text!r} is not ADDR:PORT", hint="as in 127.0.0.1:9464")
    name = found["six"] or found["name"] or LOOPBACK
    try:
        address = ipaddress.ip_address(LOOPBACK if name.lower() == "localhost" else name)
    except ValueError:
        raise ConfigurationError(
            f"{option} {text!r}: {name} is not an address of this host",
            hint="a number, as 127.0.0.1, or 0.0.0.0 for all",
        ) from None
    return Place(address, int(found["port"]))


def listen(option: str, place: Place) -> socket.socket:
    """Listen there. Raises ConfigurationError when that is not possible."""
    family = socket.AF_INET if place.address.version == 4 else socket.AF_INET6
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # what is accepted inherits it
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, CLIENT_PATIENCE_MS)
        listening.bind((str(place.address), place.port))
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise ConfigurationError(
            f"{option}: cannot listen at {place.address} port {place.port}: {error.strerror}"
        ) from error
    return listening


def url_of(listening: socket.socket) -> str:
    """Where a browser finds what listens there."""
    address, port = listening.getsockname()[:2]
    host = f"[{address}]" if ":" in address else address
    return f"http://{host}:{port}/"


def is_known_host(header: str, names: Collection[str]) -> bool:
    """Whether a Host header is a number, localhost, or one of the names (in lower case).

    Another name would be somebody's whose name server says that it is this host: his pages could
    then read ours (DNS rebinding).
    """
    found = _HOST.fullmatch(header)
    if found is None:
        return False
    name = (found["six"] or found["name"]).lower().rstrip(".")
    if name == "localhost" or name in names:
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
