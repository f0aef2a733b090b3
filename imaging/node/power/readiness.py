"""What power cards need before any of them can be spoken to: passwords, certificates, tools."""

import ipaddress
import shlex
from collections.abc import Iterable, Sequence

import msgspec

from imaging.errors import ConfigurationError
from imaging.node.power.passwords import find_password
from imaging.site.inventory import Node
from imaging.site.power_schema import PowerModel, PowerRedfishSettings
from imaging.site.schema import Settings
from imaging.site.tools import find_command

COMMANDS_NEEDED = ("status", "on", "off", "reset")


def model_of(node: Node, settings: Settings) -> PowerModel:
    """How the card of a node is spoken to."""
    return node.model or settings.power.model


def ready_cards(nodes: Sequence[Node], settings: Settings) -> Settings:
    """See that the cards of these nodes can be spoken to, before any is.

    Returns the settings with the passwords of BMCs found. Reads files: call it in a thread, or
    before there are tasks. Raises ConfigurationError.
    """
    models = {model_of(node, settings) for node in nodes}
    check_orders(models, settings)
    if "redfish" in models:
        settings = _ready_redfish(settings)
        for node in nodes:
            if model_of(node, settings) == "redfish":
                _refuse_clear_text(node, settings.power_redfish)
    if "ipmi" in models:
        settings = _ready_ipmi(settings)
    if "command" in models:
        check_commands(settings)
    return settings


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


def _ready_redfish(settings: Settings) -> Settings:
    redfish = settings.power_redfish
    password = find_password("power_redfish", redfish.user, redfish.password, redfish.password_file)
    if redfish.scheme == "https":
        from imaging.node.power.redfish_service import trusted

        trusted(redfish.ca_file, check_name=redfish.certificate_name != "any")
    found = msgspec.structs.replace(redfish, password=password, password_file=None)
    return msgspec.structs.replace(settings, power_redfish=found)


def _refuse_clear_text(node: Node, redfish: PowerRedfishSettings) -> None:
    loopback = ipaddress.ip_address(node.cmc.ip).is_loopback
    if redfish.scheme == "http" and redfish.password and not loopback:
        raise ConfigurationError(
            f"the password would be sent in the clear to the BMC {node.cmc.ip} of {node.name}",
            hint="[power_redfish] scheme must be https",
        )


def _ready_ipmi(settings: Settings) -> Settings:
    ipmi = settings.power_ipmi
    find_command(shlex.split(ipmi.tool), "[power_ipmi] tool")
    password = find_password("power_ipmi", ipmi.user, ipmi.password, ipmi.password_file)
    found = msgspec.structs.replace(ipmi, password=password, password_file=None)
    return msgspec.structs.replace(settings, power_ipmi=found)
