"""The card of a node, whatever its model is: the inventory's, or else that of the settings.

Only the model that is asked for is imported.
"""

import os
import shlex
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager

import msgspec

from imaging.guard import NO_GUARD, Guard, open_guard
from imaging.node.power import PowerCard
from imaging.node.power.asking import Asking
from imaging.node.power.readiness import Cards, model_of, nodes_with
from imaging.site.inventory import Node
from imaging.site.tools import find_command


@contextmanager
def guard_of_tools(nodes: Iterable[Node], cards: Cards) -> Iterator[Guard]:
    """A guard for who has none and speaks to cards by way of processes, which it would end."""
    nodes = list(nodes)
    settings = cards.settings
    if nodes_with("ipmi", nodes, settings) or nodes_with("command", nodes, settings):
        with open_guard() as guard:
            yield guard
    else:
        yield NO_GUARD


@asynccontextmanager
async def open_card(node: Node, cards: Cards, guard: Guard) -> AsyncIterator[PowerCard]:
    """Have the card of a node, as long as the block lasts.

    ``guard`` ends the processes by which a card is spoken to, should the command not do it.
    """
    settings = cards.settings
    match model_of(node, settings):
        case "cmc":
            from imaging.node.power.cmc import CmcCard

            address, port = node.cmc.ip, settings.power.port
            asking = Asking.of(node.name, f"its CMC {address}:{port}", settings.power)
            yield CmcCard(address, port, asking)
        case "redfish":
            async with _open_redfish(node, cards) as card:
                yield card
        case "ipmi":
            yield _ipmi_card(node, cards, guard)
        case "command":
            from imaging.node.power.command import CommandCard

            cmc = node.cmc
            places = {"node": node.name, "hostname": cmc.hostname, "ip": cmc.ip, "mac": cmc.mac}
            asking = Asking.of(node.name, f"its card {cmc.hostname}", settings.power)
            yield CommandCard(settings.power_command, places, asking, guard)


@asynccontextmanager
async def _open_redfish(node: Node, cards: Cards) -> AsyncIterator[PowerCard]:
    from imaging.node.power.http_exchange import NO_TLS, open_transport
    from imaging.node.power.redfish import RedfishCard
    from imaging.node.power.redfish_service import RedfishService
    from imaging.node.power.redfish_system import SYSTEMS, RedfishSystem
    from imaging.node.power.trust import trusted

    login, cmc = cards.logins[node.name], node.cmc
    redfish = msgspec.structs.replace(
        cards.settings.power_redfish, user=login.user, password=login.password, password_file=None
    )
    trust = NO_TLS
    if redfish.scheme == "https":
        trust = trusted(redfish.ca_file, check_name=redfish.certificate_name != "any")
    place = f"{cmc.ip}:{redfish.port}"
    name = cmc.ip if redfish.certificate_name == "ip" else cmc.hostname
    asking = Asking.of(node.name, f"its BMC {place}", cards.settings.power)
    path = f"{SYSTEMS}/{node.system}" if node.system else ""
    async with open_transport(trust) as transport:
        service = RedfishService(transport, f"{redfish.scheme}://{place}", name, asking, redfish)
        try:
            yield RedfishCard(RedfishSystem(service, path))
        finally:
            await service.log_out()


def _ipmi_card(node: Node, cards: Cards, guard: Guard) -> PowerCard:
    from imaging.node.power.ipmi import IpmiCard

    ipmi, address = cards.settings.power_ipmi, node.cmc.ip
    login = cards.logins[node.name]
    argv = [*find_command(shlex.split(ipmi.tool), "[power_ipmi] tool")]
    argv += ["-v", "-H", address, "-p", str(ipmi.port)]
    argv += ["-U", login.user, "-E"] if login.user else []
    environment = {**os.environ, "LC_ALL": "C", "IPMI_PASSWORD": login.password}
    asking = Asking.of(node.name, f"its BMC {address}:{ipmi.port}", cards.settings.power)
    return IpmiCard(tuple(argv), environment, asking, guard)
