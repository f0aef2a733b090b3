"""Searching a node's system, until ssh has run a command on it.

A node that still runs the system it was to leave answers as well, so a system may be asked for its
uptime: what booted too early is not accepted.
"""

import trio

from imaging.errors import NodeError, Reason
from imaging.node.connection import connect, words
from imaging.node.remote import UPTIME, Remote, RemoteError, SshLogin, log_in, parse_uptime
from imaging.operations.polling import Polling
from imaging.operations.steps import NodeStory
from imaging.site.schema import Settings


class SshSearch:
    """The search for one node's system, until ssh has run a command on it."""

    def __init__(
        self,
        story: NodeStory,
        address: str,
        login: SshLogin,
        settings: Settings,
        polling: Polling,
        booted_after: float | None,
    ) -> None:
        """What is accepted is a system booted after ``booted_after`` (trio's clock), if given."""
        self._story = story
        self._address = address
        self._login = login
        self._settings = settings
        self._polling = polling
        self._booted_after = booted_after

    async def reach(self, patience_s: float) -> None:
        """Return when the system is there. Raises NodeError ``no-ssh`` after ``patience_s``."""
        ssh, met = self._settings.ssh, "nothing answered"
        with trio.move_on_after(patience_s):
            await self._polling.pause(0)
            while True:
                try:
                    await self._try_once(ssh.attempt_timeout_s)
                    self._polling.found()
                    return
                except (OSError, trio.TooSlowError) as error:
                    met = words(error)
                except RemoteError as error:
                    met = error.message
                self._story.sight(met)
                await self._polling.pause(ssh.backoff_s)
        raise NodeError(
            f"{self._story.node}: no ssh at {self._address}:{self._login.port} within "
            f"{patience_s:g} s: {met}",
            reason=Reason.NO_SSH,
            hint="has it booted, and may the user log in with [ssh] key?",
        )

    async def _try_once(self, timeout_s: float) -> None:
        """One connection, and one login. Raises OSError, TooSlowError and RemoteError."""
        with trio.fail_after(timeout_s):
            stream = await connect(self._address, self._login.port)
        place = await self._polling.place_to_talk(stream.close)
        try:
            # from now on only: how long others take is no fault of this node
            with trio.fail_after(timeout_s):
                async with log_in(stream, self._login) as remote:
                    await self._prove(remote)
        finally:
            place.leave()

    async def _run(self, remote: Remote, command: str) -> tuple[int, str]:
        """Run a command; both it and its answer are told."""
        self._story.said("ssh", ">", f"{command}\n".encode())
        status, output = await remote.run(command)
        self._story.said("ssh", "<", f"{output}[status {status}]\n".encode())
        return status, output

    async def _prove(self, remote: Remote) -> None:
        """Raise RemoteError unless this is a working system, and the one we wait for."""
        status, _ = await self._run(remote, "true")
        if status != 0:
            raise RemoteError(f"true ended with status {status}")
        if self._booted_after is None:
            return
        _, told = await self._run(remote, UPTIME)
        uptime = parse_uptime(told)
        since = trio.current_time() - self._booted_after
        if uptime > since + self._settings.boot.uptime_slack_s:
            raise RemoteError(f"a system is up since {uptime:.0f} s, which is too long")
