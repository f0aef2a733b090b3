"""Everything that can be checked before any node is touched."""

import ipaddress
import shlex
from collections.abc import Sequence

from imaging.errors import ConfigurationError
from imaging.images.library import ImageLibrary
from imaging.multicast import ServerPlan, address_facing, find_command
from imaging.node.nextboot import NextbootDirectory
from imaging.operations.load import LoadPlan
from imaging.site.inventory import Node
from imaging.site.schema import Settings


def plan_load(
    settings: Settings,
    nodes: Sequence[Node],
    *,
    image_name: str | None,
    bandwidth_mibps: float | None,
    reset: bool,
) -> LoadPlan:
    """Check the image, the tools and the nextboot directory, and plan the load.

    Reads the disk: call it in a thread. Raises ConfigurationError with what must be mended.
    """
    name = image_name or settings.images.default
    if not name:
        raise ConfigurationError(
            "no image given", hint="use -i NAME, or set [images] default in the settings"
        )
    image = ImageLibrary.of(settings.images).open(name)
    multicast = settings.multicast
    server = ServerPlan(
        command=find_command(shlex.split(multicast.server), "[multicast] server"),
        image=image.path,
        address=multicast.address or address_facing(nodes[0].control.ip),
        groups=ipaddress.IPv4Network(multicast.groups),
        ports=multicast.port_range,
        bandwidth_mibps=bandwidth_mibps or multicast.bandwidth_mibps,
        ready_timeout_s=multicast.ready_timeout_s,
        attempts=multicast.attempts,
    )
    nextboot = NextbootDirectory(settings.nextboot.directory, settings.nextboot.ramdisk)
    if reset:
        nextboot.check()
        for node in nodes:
            nextboot.refuse_foreign(node.control.mac, node.name)
    if settings.power.model != "cmc":
        raise ConfigurationError(f"unknown [power] model {settings.power.model!r}", hint="cmc")
    return LoadPlan(tuple(nodes), image, settings, nextboot, server, reset)
