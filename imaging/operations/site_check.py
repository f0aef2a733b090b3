"""What the settings name, looked at: is it there, and usable by who asks?

Nothing is made or changed; that a file can be written is asked of its permissions.
"""

import os
import shlex
import stat
from collections.abc import Callable
from pathlib import Path

import msgspec

from imaging.errors import ConfigurationError
from imaging.images.library import ImageLibrary
from imaging.node.nextboot import NextbootDirectory
from imaging.node.power.passwords import find_logins
from imaging.node.power.readiness import check_commands, check_orders, model_of, nodes_with
from imaging.site.effective import effective_values
from imaging.site.inventory import Node, load_inventory
from imaging.site.power_schema import PowerModel
from imaging.site.schema import Settings
from imaging.site.selection import select
from imaging.site.setting_types import MASK
from imaging.site.settings import LoadedSettings
from imaging.site.tools import find_command


class Problem(msgspec.Struct, frozen=True):
    """What is wrong with the thing that a setting names, and where that setting stands."""

    section: str
    key: str
    origin: str
    message: str

    def __str__(self) -> str:
        return f"[{self.section}] {self.key} ({self.origin}): {self.message}"


def site_problems(loaded: LoadedSettings) -> list[Problem]:
    """Look at everything that the settings name, and tell all that is not usable."""
    found = []
    for (section, key), check in CHECKS.items():
        origin = loaded.origins[f"{section}.{key}"]
        try:
            check(loaded.settings)
        except ConfigurationError as error:
            found.append(Problem(section, key, origin, error.message))
        except OSError as error:  # a path whose directories may not even be searched
            found.append(Problem(section, key, origin, f"{error.filename}: {error.strerror}"))
    found += [
        Problem(value.section, value.key, value.origin, exposed)
        for value in effective_values(loaded.settings, loaded.origins)
        if value.value == MASK and (exposed := _exposed(value.origin))
    ]
    return found


def _exposed(origin: str) -> str | None:
    """What is wrong with a file that holds a secret: who else can read it could use it."""
    file = Path(origin.rpartition(":")[0])
    if not file.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
        return None
    return f"others can read {file}, which holds a secret"


def _nodes(settings: Settings) -> tuple[Node, ...]:
    """All nodes; an unusable inventory is told of elsewhere."""
    try:
        return load_inventory(settings.inventory.file).nodes
    except ConfigurationError:
        return ()


def _models(settings: Settings) -> set[PowerModel]:
    """The models of power cards that there are."""
    return {model_of(node, settings) for node in _nodes(settings)}


def _check_escalation(settings: Settings) -> None:
    check_orders(_models(settings), settings)


def _check_redfish_password(settings: Settings) -> None:
    nodes = nodes_with("redfish", _nodes(settings), settings)
    find_logins("power_redfish", settings.power_redfish, nodes)


def _check_ipmi_tool(settings: Settings) -> None:
    if "ipmi" in _models(settings):
        find_command(shlex.split(settings.power_ipmi.tool), "[power_ipmi] tool")


def _check_ipmi_password(settings: Settings) -> None:
    nodes = nodes_with("ipmi", _nodes(settings), settings)
    find_logins("power_ipmi", settings.power_ipmi, nodes)


def _check_power_commands(settings: Settings) -> None:
    if "command" in _models(settings):
        check_commands(settings)


def _check_inventory(settings: Settings) -> None:
    load_inventory(settings.inventory.file)


def _check_all_nodes(settings: Settings) -> None:
    try:
        inventory = load_inventory(settings.inventory.file)
    except ConfigurationError:
        return  # told of the file itself
    if settings.inventory.all_nodes:
        select([], inventory, all_setting=settings.inventory.all_nodes, use_all=True)


def _check_images(settings: Settings) -> None:
    _check_directory(settings.images.directory, os.R_OK | os.X_OK, "read")


def _check_private(settings: Settings) -> None:
    if settings.images.private is not None:
        _check_directory(settings.images.private, os.R_OK | os.W_OK | os.X_OK, "write")


def _check_default_image(settings: Settings) -> None:
    if settings.images.default and settings.images.directory.is_dir():
        ImageLibrary.of(settings.images).locate(settings.images.default)


def _check_nextboot(settings: Settings) -> None:
    NextbootDirectory(settings.nextboot.directory, settings.nextboot.ramdisk).check_directory()


def _check_ramdisk(settings: Settings) -> None:
    if settings.nextboot.directory.is_dir():
        NextbootDirectory(settings.nextboot.directory, settings.nextboot.ramdisk).check_ramdisk()


def _check_server(settings: Settings) -> None:
    find_command(shlex.split(settings.multicast.server), "[multicast] server")


def _check_key(settings: Settings) -> None:
    _check_readable(settings.ssh.key)


def _check_locks(settings: Settings) -> None:
    directory = settings.locks.directory
    if not directory.exists():  # the first command that needs it makes it
        directory = directory.parent
    _check_directory(directory, os.W_OK | os.X_OK, "write")


def _check_log(settings: Settings) -> None:
    file = settings.log.file
    if file.is_dir():
        raise ConfigurationError(f"{file} is a directory")
    if not file.exists():
        _check_directory(file.absolute().parent, os.W_OK | os.X_OK, "write")
    elif not os.access(file, os.W_OK):
        raise ConfigurationError(f"no permission to write {file}")


def _check_transcripts(settings: Settings) -> None:
    if settings.transcripts.directory is not None:
        _check_place(settings.transcripts.directory)


def _check_history(settings: Settings) -> None:
    file = settings.history.file
    if file is None:
        return
    if file.is_dir():
        raise ConfigurationError(f"{file} is a directory")
    if file.exists() and not os.access(file, os.W_OK):
        raise ConfigurationError(f"no permission to write {file}")
    _check_place(file.parent)  # SQLite makes files beside it


def _check_leases_file(settings: Settings) -> None:
    file = settings.leases.file
    if settings.leases.backend != "local" or not file.parent.exists():
        return  # the first lease makes it
    if file.exists() and not file.is_file():
        raise ConfigurationError(f"{file} is no file")
    if file.exists() and not os.access(file, os.R_OK):
        raise ConfigurationError(f"no permission to read {file}")
    _check_directory(file.parent, os.X_OK, "look")


def _check_lease_certificates(settings: Settings) -> None:
    _check_readable(settings.leases.ca_file)


def _check_redfish_certificates(settings: Settings) -> None:
    _check_readable(settings.power_redfish.ca_file)


def _check_readable(file: Path | None) -> None:
    """Raise ConfigurationError unless a file that is named, if one is, can be read."""
    if file is None:
        return
    if not file.is_file():
        raise ConfigurationError(f"{file} {_why_not(file, 'a regular file')}")
    if not os.access(file, os.R_OK):
        raise ConfigurationError(f"no permission to read {file}")


def _check_place(directory: Path) -> None:
    """Raise ConfigurationError unless files can be made there; the directory itself may be, too."""
    while not os.path.lexists(directory):
        directory = directory.parent
    _check_directory(directory, os.W_OK | os.X_OK, "write")


def _check_directory(directory: Path, mode: int, verb: str) -> None:
    if not directory.is_dir():
        raise ConfigurationError(f"{directory} {_why_not(directory, 'a directory')}")
    if not os.access(directory, mode):
        raise ConfigurationError(f"no permission to {verb} in {directory}")


def _why_not(path: Path, wanted: str) -> str:
    """Why a path is not what it should be."""
    if path.exists():
        return f"is not {wanted}"
    return "is a dangling link" if path.is_symlink() else "does not exist"


CHECKS: dict[tuple[str, str], Callable[[Settings], None]] = {
    ("inventory", "file"): _check_inventory,
    ("inventory", "all_nodes"): _check_all_nodes,
    ("images", "directory"): _check_images,
    ("images", "private"): _check_private,
    ("images", "default"): _check_default_image,
    ("nextboot", "directory"): _check_nextboot,
    ("nextboot", "ramdisk"): _check_ramdisk,
    ("power", "escalation"): _check_escalation,
    ("power_redfish", "password_file"): _check_redfish_password,
    ("power_redfish", "ca_file"): _check_redfish_certificates,
    ("power_ipmi", "tool"): _check_ipmi_tool,
    ("power_ipmi", "password_file"): _check_ipmi_password,
    ("power_command", "status"): _check_power_commands,
    ("multicast", "server"): _check_server,
    ("ssh", "key"): _check_key,
    ("locks", "directory"): _check_locks,
    ("log", "file"): _check_log,
    ("transcripts", "directory"): _check_transcripts,
    ("history", "file"): _check_history,
    ("leases", "file"): _check_leases_file,
    ("leases", "ca_file"): _check_lease_certificates,
}
