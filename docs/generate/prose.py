"""What the reference says and no help text does: where things are kept, and what else to read."""

from collections.abc import Callable
from dataclasses import dataclass

from docs.generate.commands import FRISBEE_TOOLS, Command
from imaging.leases.r2labapi import EMAIL, PASSWORD
from imaging.node.power.passwords import VARIABLE
from imaging.site.schema import Settings
from imaging.site.settings import SYSTEM_FILE

DEFAULTS = Settings()
MADE = "made by `make reference` from the code; changes by hand are lost"
"""What is said in the first line of each file."""

EXIT_STATUS = (
    "0 when all went fine; 1 when anything failed; 2 when nothing was done because something was "
    "wrong from the start: arguments, settings, inventory."
)
TOOL_EXIT_STATUS = (
    "0 when all went fine. Otherwise one line says what failed, and the status is that of the C "
    "tool; 1 where that has none, and 128 plus its number after a signal."
)
EXAMPLES = {
    "imaging-frisbeed": (
        "imaging-frisbeed -d -i 192.168.1.254 -m 239.77.1.2 -p 7001 -T -1 fedora.ndz",
    ),
    "imaging-frisbee": (
        "imaging-frisbee -i 192.168.1.4 -m 239.77.1.2 -p 7001 /dev/sda",
        "imaging-frisbee -N -i 192.168.1.4 -m 239.77.1.2 -p 7001 fedora.ndz",
    ),
    "imaging-imagezip": (
        "imaging-imagezip -o /dev/sda fedora.ndz",
        "imaging-imagezip -i -d /dev/sda",
    ),
    "imaging-imageunzip": (
        "imaging-imageunzip -o fedora.ndz /dev/sda",
        "imaging-imageunzip fedora.ndz - | sha256sum",
    ),
    "imaging": ("imaging load -i fedora-21 1-12", "imaging leases book now +2h"),
}
"""Of commands whose help has none."""


SETTINGS = (
    (
        "Three files are read if they exist, each overriding the one before, and each needs to "
        "hold only what it changes: /etc/imaging.conf, ~/.imaging.conf, ./imaging.conf. "
        "$IMAGING_CONF names one file that replaces the three. imaging-config prints what "
        "counts now, and where it comes from."
    ),
    (
        "A line is `key = value`; `key.HOSTNAME = value` beats it on that host. There are no "
        "quotes around values. Relative paths are relative to the directory of the file they "
        "stand in. A file that others could have written is refused."
    ),
)
"""How settings are read."""


@dataclass(frozen=True, slots=True)
class Place:
    """A file or a variable that counts, and for which commands."""

    name: str
    meaning: str
    counts: Callable[[Command], bool]


def is_tool(command: Command) -> bool:
    """Whether it is one of the four tools of the data plane, which know no settings."""
    return "[OPTIONS]" not in command.synopsis


def has_run(command: Command) -> bool:
    """Whether it works on nodes, with log and report."""
    return _has_option(command, "--report")


def _has_option(command: Command, beginning: str) -> bool:
    """Whether it, or one of its group, has an option whose form begins so."""
    return any(option.form.startswith(beginning) for option in command.options) or any(
        _has_option(member, beginning) for member in command.members
    )


def _reads_settings(command: Command) -> bool:
    return not is_tool(command)


def _is_overview(command: Command) -> bool:
    return command.name == "imaging"


def _of(*names: str) -> Callable[[Command], bool]:
    return lambda command: _is_overview(command) or command.name.removeprefix("imaging-") in names


def _runs_and(*names: str) -> Callable[[Command], bool]:
    return lambda command: has_run(command) or _of(*names)(command)


FILES = (
    Place(
        f"{SYSTEM_FILE}, ~/.imaging.conf, ./imaging.conf",
        "The settings, each file overriding the one before; see imaging.conf(5).",
        _reads_settings,
    ),
    Place(
        str(DEFAULTS.inventory.file),
        "The nodes, their addresses and power cards, unless `[inventory] file` names another file.",
        lambda command: command.takes_nodes or _of("leases", "ramdisk", "config")(command),
    ),
    Place(
        str(DEFAULTS.images.directory),
        "The images, unless `[images] directory` names another directory.",
        _of("load", "save", "list", "image"),
    ),
    Place(
        str(DEFAULTS.nextboot.directory),
        "The nextboot links, unless `[nextboot] directory` names another directory.",
        _of("load", "save", "nextboot", "ramdisk"),
    ),
    Place(
        str(DEFAULTS.locks.directory),
        "The locks of nodes, unless `[locks] directory` names another directory.",
        _of("load", "save", "on", "off", "reset", "nextboot"),
    ),
    Place(
        str(DEFAULTS.log.file),
        "The log, in the current directory unless `[log] file` names another file.",
        has_run,
    ),
    Place(
        "~/.local/state/imaging/transcripts, /var/log/imaging/transcripts",
        "What was said with each node in each run, of a user and of root, unless `[transcripts] "
        "directory` names another directory.",
        _of("load", "save", "wait"),
    ),
    Place(
        "~/.local/state/imaging/history.sqlite, /var/lib/imaging/history.sqlite",
        "The history of runs, of a user and of root, unless `[history] file` names another file.",
        _of("load", "save", "history", "monitor"),
    ),
    Place(
        str(DEFAULTS.leases.file),
        "The leases, where `[leases] backend` is local and `[leases] file` names no other file.",
        _of("leases"),
    ),
)

ENVIRONMENT = (
    Place(
        "IMAGING_CONF",
        "One settings file that replaces the three. It does not count under sudo where root needs "
        "a lease.",
        _reads_settings,
    ),
    Place(
        "NODES",
        "The nodes that are meant when none are given.",
        lambda command: command.takes_nodes,
    ),
    Place("ALL_NODES", "The nodes that -a means.", lambda command: _has_option(command, "-a,")),
    Place(
        VARIABLE,
        "The password of BMCs, where `[power_redfish]` or `[power_ipmi]` name none.",
        _runs_and("monitor", "nodes"),
    ),
    Place(
        f"{EMAIL}, {PASSWORD}",
        "The login at the service of leases, where `[leases] token` names none.",
        _of("leases"),
    ),
    Place(
        "XDG_STATE_HOME",
        "Where history and transcripts are kept, instead of ~/.local/state.",
        _of("load", "save", "wait", "history", "monitor"),
    ),
    Place(
        "TMPDIR",
        "Where a ramdisk is laid out for a trial of its programs, instead of /tmp; not on a file "
        "system mounted with noexec.",
        _of("ramdisk"),
    ),
    Place(
        "NO_COLOR",
        "Anything in it: colours are not used.",
        lambda command: has_run(command) or command.name == "imaging-monitor",
    ),
)

RELATED = {
    "config": ("inventory",),
    "frisbee": ("frisbeed", "imageunzip"),
    "frisbeed": ("frisbee", "load"),
    "imaging": FRISBEE_TOOLS,
    "history": ("load", "save", "list"),
    "image": ("list", "save"),
    "imageunzip": ("imagezip", "frisbee"),
    "imagezip": ("imageunzip", "save"),
    "info": ("status",),
    "inventory": ("nodes", "config"),
    "leases": ("load",),
    "list": ("image", "load", "save"),
    "load": ("save", "wait", "list", "nodes", "history", "nextboot"),
    "monitor": ("status", "history"),
    "nextboot": ("load", "ramdisk"),
    "nodes": ("inventory", "status"),
    "off": ("on", "status"),
    "on": ("off", "status"),
    "ramdisk": ("nextboot", "frisbee", "imagezip"),
    "reset": ("wait", "status"),
    "save": ("load", "list", "image"),
    "status": ("on", "off", "reset", "info"),
    "testbed": ("load", "config"),
    "wait": ("load", "reset"),
}
"""What whoever reads of a command may want to read next."""


def exit_status(command: Command) -> str:
    """What a command's exit status means."""
    if is_tool(command):
        return TOOL_EXIT_STATUS
    return command.exit_status or EXIT_STATUS


def examples(command: Command) -> tuple[str, ...]:
    """Examples of how a command is called, each a line for the shell."""
    return command.examples or EXAMPLES.get(command.name, ())


def related(command: Command) -> tuple[str, ...]:
    """The names of the commands that have to do with one."""
    names = RELATED.get(command.name.removeprefix("imaging-"), ())
    return tuple(f"imaging-{name}" for name in names)
