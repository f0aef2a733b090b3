"""Everything that can be checked before any node is touched."""

import logging
import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from imaging.errors import ConfigurationError
from imaging.feedback.outcomes import ImageFacts
from imaging.feedback.wording import is_encodable
from imaging.images.library import ImageLibrary, check_name
from imaging.images.provenance import known_sha256
from imaging.images.sidecar import SUFFIX
from imaging.multicast import ServerPlan, own_address
from imaging.node.console import open_console
from imaging.node.console_opener import console_opener
from imaging.node.nextboot import NextbootDirectory
from imaging.node.power.readiness import ready_cards
from imaging.operations.authorization import Authorization
from imaging.operations.load import LoadPlan, LoadPolicy
from imaging.operations.power import CHANGES, PowerPlan, Verb
from imaging.operations.save import SavePlan
from imaging.site.inventory import Inventory, Node
from imaging.site.locks import LockDirectory
from imaging.site.schema import Settings
from imaging.site.selection import format_selection
from imaging.site.state import history_file
from imaging.site.tools import find_command
from imaging.site.user import login_name

if TYPE_CHECKING:
    # asyncssh takes a while to be imported: only commands that need it wait for it
    from imaging.node.remote import SshLogin
    from imaging.operations.wait import WaitPlan

log = logging.getLogger(__name__)

NAME_THEM = "without --retry-last, name the nodes and the image"
COMMENT_LIMIT = 2000  # characters


def plan_load(
    settings: Settings,
    nodes: Sequence[Node],
    *,
    image_name: str | None,
    bandwidth_mibps: float | None,
    reset: bool,
    wait: bool,
    policy: LoadPolicy,
    neighbours: tuple[Node, ...],
    authorization: Authorization,
) -> LoadPlan:
    """Check the image, the tools and the nextboot directory, and plan the load.

    Reads the disk: call it in a thread. Raises ConfigurationError with what must be mended.
    """
    name = settings.images.default if image_name is None else image_name
    if image_name is None and not name:
        raise ConfigurationError(
            "no image given", hint="use -i NAME, or set [images] default in the settings"
        )
    image = ImageLibrary.of(settings.images).open(name)
    cards = ready_cards(nodes, settings)
    server = _server_plan(settings, image.path, nodes[0], bandwidth_mibps)
    nextboot = checked_nextboot(settings, nodes, reset=reset)
    server.locks.check()
    login = ssh_login(settings) if wait else None
    sha256 = known_sha256(image.path)
    return LoadPlan(
        nodes=tuple(nodes),
        image=image,
        settings=settings,
        cards=cards,
        nextboot=nextboot,
        server=server,
        reset=reset,
        login=login,
        policy=policy,
        sha256=sha256,
        neighbours=neighbours,
        authorization=authorization,
        opener=console_opener(settings),
    )


def _server_plan(
    settings: Settings, image: Path, node: Node, bandwidth_mibps: float | None
) -> ServerPlan:
    multicast = settings.multicast
    return ServerPlan(
        command=find_command(shlex.split(multicast.server), "[multicast] server"),
        image=image,
        address=own_address(settings.multicast, node.control.ip),
        groups=multicast.group_network,
        ports=multicast.port_range,
        bandwidth_mibps=bandwidth_mibps or multicast.bandwidth_mibps,
        ready_timeout_s=multicast.ready_timeout_s,
        attempts=multicast.attempts,
        locks=LockDirectory(settings.locks.directory),
    )


class FailedBefore(msgspec.Struct, frozen=True):
    """The nodes that failed in an earlier run, and its image."""

    run_id: str
    nodes: tuple[Node, ...]
    image: ImageFacts


def last_failed(settings: Settings, inventory: Inventory, command: str) -> FailedBefore:
    """What failed in the user's last run of a command that is recorded.

    Raises ConfigurationError when there is nothing to try again.
    """
    from imaging.feedback.records.history import HistoryError, open_history

    file = history_file(settings)
    try:
        with open_history(file, writing=False) as history:
            last = history.last_run(command, login_name())
    except HistoryError as error:
        raise ConfigurationError(f"the last run is not known: {error}", hint=NAME_THEM) from error
    if last is None:
        raise ConfigurationError(f"{file} knows of no {command} of {login_name()}", hint=NAME_THEM)
    if not last.failed or last.image is None:
        raise ConfigurationError(
            f"nothing to try again: all went fine in {last.run_id}", hint=NAME_THEM
        )
    nodes = [inventory.named(name) for name in last.failed]
    gone = [name for name, node in zip(last.failed, nodes, strict=True) if node is None]
    if gone:
        raise ConfigurationError(f"the inventory has no {' '.join(gone)} any more", hint=NAME_THEM)
    there = tuple(node for node in nodes if node is not None)
    return FailedBefore(last.run_id, there, last.image)


def as_before(plan: LoadPlan, before: FailedBefore, *, same_image: bool) -> LoadPlan:
    """A plan that tries again what failed, and says so: a later run may not be recorded.

    With ``same_image`` it is made for the image of that run, and has the name that it had then.
    Raises ConfigurationError when the file is another image by now.
    """
    plan, last = replace(plan, tries_again=before.run_id), before.image
    if not same_image:
        return plan
    known = [sha256 for sha256 in (plan.sha256, last.sha256) if sha256]
    if plan.image.summary.size != last.size or len(set(known)) > 1:
        raise ConfigurationError(
            f"{last.path} is not the image of the last run any more",
            hint=f"-i {last.name} loads what is there now",
        )
    return replace(plan, image=replace(plan.image, name=last.name))


def plan_save(
    settings: Settings,
    nodes: Sequence[Node],
    *,
    name: str,
    comment: str,
    reset: bool,
    replace: bool,
    neighbours: tuple[Node, ...],
    authorization: Authorization,
) -> SavePlan:
    """Check the name, its place and the nextboot directory, and plan the save of one node.

    Reads the disk: call it in a thread. Raises ConfigurationError with what must be mended.
    """
    if len(nodes) != 1:
        raise ConfigurationError(
            f"only one node can be saved, not {len(nodes)} ({format_selection(nodes)})"
        )
    if len(comment) > COMMENT_LIMIT:
        raise ConfigurationError(f"--comment: the text has more than {COMMENT_LIMIT} characters")
    if not is_encodable(comment):
        raise ConfigurationError("--comment: the text is not UTF-8")
    node = nodes[0]
    cards = ready_cards(nodes, settings)
    try:
        image = new_image(ImageLibrary.of(settings.images), name, replace=replace)
    except OSError as error:
        raise ConfigurationError(f"{error.filename}: {error.strerror}") from error
    nextboot = checked_nextboot(settings, nodes, reset=reset)
    LockDirectory(settings.locks.directory).check()
    return SavePlan(
        node=node,
        image=image,
        settings=settings,
        cards=cards,
        nextboot=nextboot,
        address=own_address(settings.multicast, node.control.ip),
        user=login_name(),
        comment=comment,
        reset=reset,
        replace=replace,
        parent=image_on(settings, node.name),
        neighbours=neighbours,
        authorization=authorization,
        opener=console_opener(settings),
    )


def image_on(settings: Settings, node: str) -> str | None:
    """The name of the image that the history knows to be on a node; None when it does not."""
    # SQLite is for those who ask it something
    from imaging.feedback.records.history import HistoryError, open_history

    try:
        with open_history(history_file(settings), writing=False) as history:
            found = history.image_of(node)
    except HistoryError as error:
        log.debug("%s", error)
        return None
    return None if found is None or found.half_written else found.image.name


def plan_wait(
    settings: Settings,
    nodes: Sequence[Node],
    *,
    telnet: bool,
    user: str | None,
    backoff_s: float | None,
    uptime_below: float | None,
) -> "WaitPlan":
    """Read the keys to log in with, and plan the wait. Raises ConfigurationError."""
    from imaging.operations.wait import WaitPlan

    if backoff_s is not None:
        settings = msgspec.structs.replace(
            settings,
            ssh=msgspec.structs.replace(settings.ssh, backoff_s=backoff_s),
            boot=msgspec.structs.replace(settings.boot, poll_s=backoff_s),
        )
    login = None if telnet else ssh_login(settings, user)
    opener = console_opener(settings) if telnet else open_console
    return WaitPlan(tuple(nodes), settings, login, uptime_below, opener)


def plan_power(
    settings: Settings,
    nodes: Sequence[Node],
    verb: Verb,
    *,
    force: bool = False,
    authorization: Authorization,
) -> PowerPlan:
    """Plan what the power cards are told. Raises ConfigurationError."""
    if verb in CHANGES and not force:
        LockDirectory(settings.locks.directory).check()
    cards = ready_cards(nodes, settings)
    return PowerPlan(tuple(nodes), cards, verb, authorization, force)


def ssh_login(settings: Settings, user: str | None = None) -> "SshLogin":
    """How to log in on the nodes. Raises ConfigurationError."""
    from imaging.node.remote import prepare_login

    return prepare_login(user or settings.ssh.user, settings.ssh.port, settings.ssh.key)


def new_image(library: ImageLibrary, name: str, *, replace: bool) -> Path:
    """The place of a new image. Raises ConfigurationError when it cannot be made there."""
    stem = check_name(name)
    directory = library.private or library.directory
    if not directory.is_dir():
        raise ConfigurationError(
            f"the images directory {directory} does not exist", hint="see [images] in the settings"
        )
    if not os.access(directory, os.W_OK | os.X_OK):
        raise ConfigurationError(
            f"no permission to make images in {directory}",
            hint="set [images] private to a directory of yours",
        )
    image = directory / f"{stem}{SUFFIX}"
    shared = library.directory / image.name
    if shared != image and os.path.lexists(shared):
        raise ConfigurationError(
            f"the shared image {shared} is there already, and would be taken for {stem} first",
            hint="save under another name; --force replaces private images only",
        )
    if image.is_symlink():
        raise ConfigurationError(
            f"{image} is an alias of {image.readlink()}, and is kept", hint="choose another name"
        )
    if os.path.lexists(image) and not image.is_file():
        raise ConfigurationError(
            f"{image} is there already, and is no regular file", hint="choose another name"
        )
    if image.exists() and not replace:
        raise ConfigurationError(f"{image} is there already", hint="--force replaces it")
    return image


def with_lock_patience(settings: Settings, wait_s: float | None) -> Settings:
    """The settings with that patience for busy nodes, if any is given."""
    if wait_s is None:
        return settings
    locks = msgspec.structs.replace(settings.locks, wait_s=wait_s)
    return msgspec.structs.replace(settings, locks=locks)


def checked_nextboot(
    settings: Settings, nodes: Sequence[Node], *, reset: bool
) -> NextbootDirectory:
    """The nextboot directory, ready for these nodes unless they are in the ramdisk already."""
    nextboot = NextbootDirectory(settings.nextboot.directory, settings.nextboot.ramdisk)
    if reset:
        nextboot.check()
        for node in nodes:
            nextboot.refuse_foreign(node.control.mac, node.name)
    return nextboot
