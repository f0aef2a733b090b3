"""What power cards need before any of them can be spoken to: passwords, certificates, tools."""

import ipaddress
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from imaging.errors import ConfigurationError
from imaging.node.power.passwords import Login, find_logins
from imaging.site.inventory import Node
from imaging.site.power_schema import PowerModel, PowerRedfishSettings
from imaging.site.schema import Settings
from imaging.site.tools import find_command

COMMANDS_NEEDED = ("status", "on", "off", "reset")
TITLES: dict[PowerModel, str] = {
    "cmc": "CMC",
    "redfish": "Redfish BMC",
    "ipmi": "IPMI BMC",
    "command": "card by command,",
}


@dataclass(frozen=True, slots=True)
class Cards:
    """How the cards of a run's nodes are spoken to, seen to before any of them is.

    ``logins`` are those of the nodes that have a BMC, by the nodes' names.
    """

    settings: Settings
    logins: Mapping[str, Login]


def model_of(node: Node, settings: Settings) -> PowerModel:
    """How the card of a node is spoken to."""
    return node.model or settings.power.model


def card_of(node: Node, settings: Settings) -> str:
    """The card of a node in words: its model and its address."""
    return f"{TITLES[model_of(node, settings)]} {node.cmc.ip}"


def nodes_with(model: PowerModel, nodes: Iterable[Node], settings: Settings) -> list[Node]:
    """Those of the nodes whose card is spoken to like that."""
    return [node for node in nodes if model_of(node, settings) == model]


def ready_cards(nodes: Sequence[Node], settings: Settings) -> Cards:
    """See that the cards of these nodes can be spoken to, before any is.

    Reads files: call it in a thread, or before there are tasks. Raises ConfigurationError.
    """
    models = {model_of(node, settings) for node in nodes}
    check_orders(models, settings)
    logins = dict[str, Login]()
    if "redfish" in models:
        with_redfish = nodes_with("redfish", nodes, settings)
        logins |= find_logins("power_redfish", settings.power_redfish, with_redfish)
        for node in with_redfish:
            _refuse_clear_text(node, settings.power_redfish, logins[node.name])
        _check_trust(settings.power_redfish)
    if "ipmi" in models:
        find_command(shlex.split(settings.power_ipmi.tool), "[power_ipmi] tool")
        with_ipmi = nodes_with("ipmi", nodes, settings)
        logins |= find_logins("power_ipmi", settings.power_ipmi, with_ipmi)
    if "command" in models:
        check_commands(settings)
    return Cards(settings, logins)


def check_orders(models: Iterable[PowerModel], settings: Settings) -> None:
    """See that each model can do what nodes are booted with. Raises ConfigurationError."""
    if "shutdown" not in settings.power.boot_orders:
        return
    if "cmc" in models:
        raise ConfigurationError(
            "[power] escalation has shutdown, and CMC cards know no such thing",
            hint="begin it with reset",
        )
    if "command" in models and not settings.power_command.shutdown:
        raise ConfigurationError("[power] escalation has shutdown, and [power_command] has not")


def check_commands(settings: Settings) -> None:
    """See that what the command model needs is there. Raises ConfigurationError."""
    for key in settings.power_command.__struct_fields__:
        template = getattr(settings.power_command, key)
        if template:
            find_command(shlex.split(template), f"[power_command] {key}")
        elif key in COMMANDS_NEEDED:
            raise ConfigurationError(f"[power_command] {key} is empty, and has to be a command")


def _check_trust(redfish: PowerRedfishSettings) -> None:
    if redfish.scheme == "https":
        from imaging.node.power.trust import trusted

        trusted(redfish.ca_file, check_name=redfish.certificate_name != "any")


def _refuse_clear_text(node: Node, redfish: PowerRedfishSettings, login: Login) -> None:
    loopback = ipaddress.ip_address(node.cmc.ip).is_loopback
    if redfish.scheme == "http" and login.password and not loopback:
        raise ConfigurationError(
            f"the password would be sent in the clear to the BMC {node.cmc.ip} of {node.name}",
            hint="[power_redfish] scheme must be https",
        )
