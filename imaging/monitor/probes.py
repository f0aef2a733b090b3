"""The probes: one look at a node's power card, or at its ports, which tells what it has seen.

A look is bounded, and cheap while nothing changes: the ssh port's banner shows that a server is
there. What is behind a port is proven, by a login or a shell, when it is new, and then rarely.
"""

import errno
import time
from dataclasses import dataclass
from pathlib import PurePosixPath

import trio

from imaging.errors import NodeError, Reason
from imaging.monitor.observations import Power, PowerSeen, Ramdisk, ReachSeen, See, Ssh, System
from imaging.monitor.rhythm import LOGINS_AT_ONCE, Lanes, Proof
from imaging.monitor.system import KERNEL, RELEASE, parse_system, stamp_command
from imaging.node.connection import connect, words
from imaging.node.console_opener import ConsoleOpener, console_opener
from imaging.node.power import PowerCard, PowerState
from imaging.node.remote import (
    UPTIME,
    Remote,
    RemoteError,
    SshLogin,
    open_remote,
    parse_uptime,
)
from imaging.node.ssh_port import ssh_banner
from imaging.site.inventory import Node
from imaging.site.schema import Settings

SHELL_RETRY_S = 1.0  # what was typed too early for a shell is typed again
NO_SHELL = "telnet answers, but there is no shell behind it"


@dataclass(frozen=True, slots=True)
class Probing:
    """What the probes of all nodes share."""

    settings: Settings
    ssh: SshLogin
    see: See
    looks: Lanes
    logins: Lanes
    open_console: ConsoleOpener

    @classmethod
    def of(cls, settings: Settings, ssh: SshLogin, see: See) -> "Probing":
        """With as many places as the settings say. Raises ConfigurationError."""
        return cls(
            settings,
            ssh,
            see,
            Lanes(settings.monitor.probes_at_once),
            Lanes(LOGINS_AT_ONCE),
            console_opener(settings),
        )

    def proof(self) -> Proof:
        """Of what is proven by a login."""
        return Proof(self.settings.monitor.cycle_s, self.settings.monitor.login_interval_s)


class PowerProbe:
    """Asks a node's power card."""

    def __init__(self, node: Node, card: PowerCard, probing: Probing) -> None:
        """``card`` makes a single attempt, bounded in time."""
        self._node = node.name
        self._card = card
        self._probing = probing
        self._late = False

    async def look(self) -> None:
        """Ask it once, and tell."""
        power, message = Power.UNKNOWN, ""
        async with self._probing.looks.place(late=self._late):
            try:
                state = await self._card.status()
                power = Power.ON if state is PowerState.ON else Power.OFF
            except NodeError as error:
                power = Power.NO_CMC if error.reason is Reason.NO_CMC else Power.REFUSED
                message = error.message.removeprefix(f"{self._node}: ")
        self._late = power is Power.NO_CMC
        self._probing.see(PowerSeen(time.time(), self._node, power, message))


class ReachProbe:
    """Looks at a node's ssh port, and when nothing is there, at the telnet port of its ramdisk."""

    def __init__(self, node: Node, probing: Probing) -> None:
        """Nothing is known yet."""
        self._node = node.name
        self._address = node.control.ip
        self._probing = probing
        self._settings = probing.settings
        self._banner: str | None = None
        self._login = Login(node, probing)
        self._shell = Shell(node, probing)
        self._late = False

    async def look(self) -> None:
        """Look once, and tell."""
        async with self._probing.looks.place(late=self._late):
            at = time.time()
            ssh, message = await self._look_at_ssh()
            is_there = ssh not in (Ssh.UP, Ssh.NOT_SSH) and await self._is_telnet_there()
        system = None
        if ssh is Ssh.UP:
            # not while a place for looks is taken: a login may take long
            system = await self._login.prove()
            if not self._login.proof.holds:
                ssh, message = Ssh.NO_LOGIN, self._login.message
        else:
            self._login.proof.forget()
        ramdisk, shell_message = Ramdisk.ABSENT, ""
        if is_there:
            await self._shell.prove()
            ramdisk = Ramdisk.UP if self._shell.proof.holds else Ramdisk.NO_SHELL
            shell_message = "" if self._shell.proof.holds else NO_SHELL
        else:
            self._shell.proof.forget()
        self._probing.see(ReachSeen(at, self._node, ssh, ramdisk, message, shell_message, system))

    async def _look_at_ssh(self) -> tuple[Ssh, str]:
        """What there is without a login, and what was met."""
        try:
            with trio.fail_after(self._settings.monitor.probe_timeout_s):
                banner = await ssh_banner(self._address, self._probing.ssh.port)
        except (OSError, trio.TooSlowError) as error:
            refused = isinstance(error, OSError) and error.errno == errno.ECONNREFUSED
            self._late = not refused
            return Ssh.CLOSED if refused else Ssh.SILENT, f"ssh: {words(error)}"
        self._late = False
        if banner is None:
            return Ssh.NOT_SSH, "what answers on the ssh port is no ssh server"
        if banner != self._banner:
            self._banner = banner
            self._login.proof.forget()
        return Ssh.UP, ""

    async def _is_telnet_there(self) -> bool:
        try:
            with trio.fail_after(self._settings.monitor.probe_timeout_s):
                stream = await connect(self._address, self._settings.console.port)
        except (OSError, trio.TooSlowError) as error:
            self._late |= isinstance(error, trio.TooSlowError)
            return False
        stream.close()
        return True


class Login:
    """The proof that a system is there: it lets us in, and tells about itself."""

    def __init__(self, node: Node, probing: Probing) -> None:
        """Nothing is proven yet."""
        self.proof = probing.proof()
        self.message = ""
        self._address = node.control.ip
        self._probing = probing
        self._late = False

    async def prove(self) -> System | None:
        """Log in when it is time to; gives what the system has told, None when there is nothing."""
        if not self.proof.is_due():
            return None
        async with self._probing.logins.place(late=self._late):
            self._late = False
            try:
                with trio.fail_after(self._probing.settings.ssh.attempt_timeout_s):
                    async with open_remote(self._address, self._probing.ssh) as remote:
                        system = await self._ask(remote)
            except (OSError, trio.TooSlowError) as error:
                self._late = isinstance(error, trio.TooSlowError)
                self.message = f"ssh login: {words(error)}"
            except RemoteError as error:
                self.message = f"ssh login: {error.message}"
            else:
                self.message = ""
                self.proof.succeeded()
                return system
        self.proof.failed()
        return None

    async def _ask(self, remote: Remote) -> System:
        """Raises RemoteError when it does not even tell its uptime: this is no login."""
        uptime_s = parse_uptime(await remote.read(UPTIME))
        now = time.time()
        stamp_file = PurePosixPath(self._probing.settings.monitor.stamp_file)
        kernel, release = await remote.read(KERNEL), await remote.read(RELEASE)
        stamp = await remote.read(stamp_command(stamp_file))
        return parse_system(now, uptime_s, kernel, release, stamp)


class Shell:
    """The proof that a ramdisk is there: its telnet leads to a shell."""

    def __init__(self, node: Node, probing: Probing) -> None:
        """Nothing is proven yet."""
        self.proof = probing.proof()
        self._node = node
        self._probing = probing
        self._late = False

    async def prove(self) -> None:
        """Have a shell run nothing, when it is time to."""
        if not self.proof.is_due():
            return
        settings = self._probing.settings
        async with self._probing.logins.place(late=self._late):
            self._late = False
            try:
                with trio.fail_after(settings.boot.shell_timeout_s):
                    stream = await connect(self._node.control.ip, settings.console.port)
                    opened = self._probing.open_console(stream, self._node.name)
                    async with opened as console:
                        await console.wait_for_shell(SHELL_RETRY_S)
            except (OSError, NodeError, trio.TooSlowError) as error:
                self._late = isinstance(error, trio.TooSlowError)
                self.proof.failed()
            else:
                self.proof.succeeded()
