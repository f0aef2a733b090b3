"""How the consoles of a site's ramdisk are opened: what its settings say, made ready once."""

import socket
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Protocol

from imaging.node.console import Console, open_console
from imaging.site.schema import Settings

USER = "root"  # the only one in a ramdisk


class ConsoleOpener(Protocol):
    """Open a console over a connection to a node; see ``open_console``."""

    def __call__(
        self,
        stream: socket.socket,
        node: str,
        *,
        on_traffic: Callable[[str, bytes], None] | None = None,
    ) -> AbstractAsyncContextManager[Console]:
        """The connection is closed at the end of the block."""
        ...


def console_opener(settings: Settings) -> ConsoleOpener:
    """Telnet, or ssh with its key read. Raises ConfigurationError when that cannot be used."""
    ramdisk = settings.ramdisk
    if ramdisk.console == "telnet":
        return open_console
    # asyncssh takes a while to be imported
    from imaging.node.remote import prepare_login
    from imaging.node.ssh_console import open_ssh_console

    login = prepare_login(USER, settings.console.port, ramdisk.key, section="ramdisk")
    return partial(open_ssh_console, login=login)
