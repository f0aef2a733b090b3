"""The transfer to one node: its frisbee client runs in the ramdisk, and is believed nothing.

Success is exit status 0 *and* the client's own count of bytes; an image of no bytes, a server
that was never found or an error between two progress marks is a failure with the tool's last
words as its reason.
"""

import shlex

import trio

from imaging.errors import NodeError, Reason
from imaging.frisbee.dialect import ClientDialect, Joined, Progress, Wrote
from imaging.images.library import Image
from imaging.multicast import Channel
from imaging.node.console import Console
from imaging.node.ramdisk import client_script
from imaging.operations.steps import NodeStory
from imaging.site.schema import Settings

# a client tells each MiB, a hundred times a second and more: to read that of 60 nodes takes a core
LOOKS_PER_S = 1000.0  # at all clients of a run together
LOOK_S = 0.25  # between two looks at a client, also when there are few
END_SHARE = 0.1  # of the time that is left: so the end is seen at once


class Transfer:
    """One node's transfer, from the client's start to its verified end."""

    def __init__(
        self,
        story: NodeStory,
        image: Image,
        settings: Settings,
        *,
        is_half_done: bool = False,
        abreast: int = 1,
    ) -> None:
        """``story`` is told the progress; ``is_half_done`` is what an earlier attempt has left.

        So many nodes are loaded ``abreast``.
        """
        self._look_s = max(LOOK_S, abreast / LOOKS_PER_S)
        self._looked = 0.0
        self._began: float | None = None
        self._fraction = 0.0
        self._was_half_done = is_half_done
        self._story = story
        self._image = image
        self._settings = settings
        self._dialect = ClientDialect()
        self._joined = False
        self._complete = False
        self._wrote: Wrote | None = None
        self._patience = trio.CancelScope()

    @property
    def is_half_done(self) -> bool:
        """Whether the client has begun to write, and is not known to have written all."""
        return (self._joined or self._was_half_done) and not self._complete

    async def run(self, console: Console, address: str, channel: Channel) -> str:
        """Run the client on the node at ``address``; returns a detail for the step.

        Raises NodeError ``frisbee-failed``, ``stalled`` or ``console-lost``.
        """
        multicast = self._settings.multicast
        script = client_script(
            shlex.split(self._settings.ramdisk.client),
            address=address,
            group=channel.group,
            port=channel.port,
            disk=self._settings.ramdisk.disk,
        )
        self._patience.deadline = trio.current_time() + multicast.join_timeout_s
        with self._patience:
            result = await console.run(script, on_output=self._take)
            return self._verify(result.status)
        if not self._joined:
            what = f"the client found no server within {multicast.join_timeout_s:g} s"
        else:
            what = f"the transfer made no progress for {multicast.stall_timeout_s:g} s"
        raise NodeError(
            f"{self._story.node}: {what}{self._last_words()}",
            reason=Reason.STALLED,
            hint="has the node lost its power or its network?"
            if self._joined
            else "does multicast reach the node?",
        )

    def _take(self, output: bytes) -> float:
        for event in self._dialect.feed(output.decode("utf-8", "replace")):
            match event:
                case Joined():
                    self._joined = True
                    self._began = trio.current_time()
                case Progress(fraction=fraction):
                    self._joined = True
                    self._fraction = fraction
                    self._story.progress(fraction, round(fraction * self._image.summary.size))
                case Wrote():
                    self._wrote = event
                case _:
                    pass
            if self._joined:
                stall = self._settings.multicast.stall_timeout_s
                self._patience.deadline = trio.current_time() + stall
        return self._rest()

    def _rest(self) -> float:
        """For how many seconds the client need not be looked at, as it tells more than is shown."""
        now, looked = trio.current_time(), self._looked
        self._looked = now
        if not self._fraction or self._began is None:
            return 0.0
        left = (now - self._began) * (1 - self._fraction) / self._fraction
        pause = min(left * END_SHARE, self._look_s)
        if pause <= now - looked:  # it does not say much
            return 0.0
        self._looked += pause
        return pause

    def _verify(self, status: int) -> str:
        expected = self._image.summary.data_bytes
        if status != 0:
            problem = f"the frisbee client ended with status {status}"
        elif self._wrote is None:
            problem = "the frisbee client ended without saying what it wrote"
        elif self._wrote.actual < expected:
            problem = f"the client wrote {self._wrote.actual} of the image's {expected} bytes"
        else:
            self._complete = True
            self._story.progress(1.0, self._image.summary.size)
            return f"{self._wrote.actual} bytes written"
        raise NodeError(
            f"{self._story.node}: {problem}{self._last_words()}",
            reason=Reason.FRISBEE_FAILED,
            hint="its disk is half-written; it was left in the ramdisk"
            if self._joined
            else "is [ramdisk] client right? It was left in the ramdisk",
        )

    def _last_words(self) -> str:
        words = self._dialect.last_words
        return f": {words}" if words else ""
