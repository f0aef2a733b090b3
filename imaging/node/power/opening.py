"""The card of a node, whatever its model is: the inventory's, or else that of the settings.

Only the model that is asked for is imported.
"""

import os
import shlex
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from imaging.node.power import PowerCard
from imaging.node.power.asking import Asking
from imaging.node.power.readiness import model_of
from imaging.site.inventory import Node
from imaging.site.schema import Settings
from imaging.site.tools import find_command


@asynccontextmanager
async def open_card(node: Node, settings: Settings) -> AsyncIterator[PowerCard]:
    """Have the card of a node, as long as the block lasts.

    ``settings`` are those that ``ready_cards`` has given.
    """
    match model_of(node, settings):
        case "cmc":
            from imaging.node.power.cmc import CmcCard

            address, port = node.cmc.ip, settings.power.port
            asking = Asking.of(node.name, f"its CMC {address}:{port}", settings.power)
            yield CmcCard(address, port, asking)
        case "redfish":
            async with _open_redfish(node, settings) as card:
                yield card
        case "ipmi":
            yield _ipmi_card(node, settings)
        case "command":
            from imaging.node.power.command import CommandCard

            cmc = node.cmc
            places = {"node": node.name, "hostname": cmc.hostname, "ip": cmc.ip, "mac": cmc.mac}
            asking = Asking.of(node.name, f"its card {cmc.hostname}", settings.power)
            yield CommandCard(settings.power_command, places, asking)


@asynccontextmanager
async def _open_redfish(node: Node, settings: Settings) -> AsyncIterator[PowerCard]:
    from imaging.node.power.http_exchange import NO_TLS, open_transport
    from imaging.node.power.redfish import SYSTEMS, RedfishCard
    from imaging.node.power.redfish_service import RedfishService, trusted

    redfish, cmc = settings.power_redfish, node.cmc
    trust = NO_TLS
    if redfish.scheme == "https":
        trust = trusted(redfish.ca_file, check_name=redfish.certificate_name != "any")
    place = f"{cmc.ip}:{redfish.port}"
    name = cmc.ip if redfish.certificate_name == "ip" else cmc.hostname
    asking = Asking.of(node.name, f"its BMC {place}", settings.power)
    path = f"{SYSTEMS}/{node.system}" if node.system else ""
    async with open_transport(trust) as transport:
        service = RedfishService(transport, f"{redfish.scheme}://{place}", name, asking, redfish)
        try:
            yield RedfishCard(service, path)
        finally:
            await service.log_out()


def _ipmi_card(node: Node, settings: Settings) -> PowerCard:
    from imaging.node.power.ipmi import IpmiCard

    ipmi, address = settings.power_ipmi, node.cmc.ip
    argv = [*find_command(shlex.split(ipmi.tool), "[power_ipmi] tool")]
    argv += ["-v", "-H", address, "-p", str(ipmi.port)]
    argv += ["-U", ipmi.user, "-E"] if ipmi.user else []
    environment = {**os.environ, "LC_ALL": "C", "IPMI_PASSWORD": ipmi.password}
    asking = Asking.of(node.name, f"its BMC {address}:{ipmi.port}", settings.power)
    return IpmiCard(tuple(argv), environment, asking)
