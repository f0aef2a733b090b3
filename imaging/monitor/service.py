"""The monitor as a whole: the watch and what this host has recorded, and all faces."""

import logging
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import trio

from imaging.monitor.leases import LeaseProbe
from imaging.monitor.observations import Observation
from imaging.monitor.records import HistoryProbe
from imaging.monitor.rhythm import Rhythm
from imaging.monitor.testbed import NodeState, Testbed
from imaging.monitor.watch import Watch
from imaging.monitor.wording import change_text
from imaging.node.remote import SshLogin
from imaging.site.inventory import Node
from imaging.site.schema import Settings
from imaging.site.state import history_file

if TYPE_CHECKING:
    from imaging.monitor.faces import Face

log = logging.getLogger(__name__)

HISTORY_PATIENCE_S = 2.0  # a file server may hang, and nodes are looked at all the same


class Monitor:
    """Watches nodes, and has them shown."""

    def __init__(self, nodes: Sequence[Node], settings: Settings, login: SshLogin) -> None:
        """Nothing is known, and there is no face yet."""
        self.faces: list[Face] = []
        self._watch = Watch(nodes, settings, login, self._tell)
        self.settings = settings.monitor
        names = [node.name for node in nodes]
        self.history = HistoryProbe(history_file(settings), names, self._watch.see)
        self.leases = LeaseProbe(
            settings.leases,
            settings.monitor.lease_interval_s,
            names,
            self._watch.see,
            self._tell_leases,
        )
        if settings.leases.backend != "none":
            self.testbed.leases_problem = self.leases.problem

    @property
    def testbed(self) -> Testbed:
        """What is known."""
        return self._watch.testbed

    def _tell(self, before: NodeState, after: NodeState, seen: Observation) -> None:
        text = change_text(before, after)
        if text is not None:
            log.info("%s", text)
        for face in self.faces:
            face.take(seen.at, before, after)

    def _tell_leases(self, problem: str) -> None:
        self.testbed.leases_problem = problem
        for face in self.faces:
            face.take_leases(time.time(), problem)

    async def once(self) -> None:
        """Look at everything once."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.leases.look)
            nursery.start_soon(self._watch.once)
            with trio.move_on_after(HISTORY_PATIENCE_S):
                await self.history.look()

    async def keep(self) -> None:
        """Watch and show until cancelled, or until nobody looks any more."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._look)
            async with trio.open_nursery() as shown:
                for face in self.faces:
                    shown.start_soon(face.run)
            if not self.faces:
                await trio.sleep_forever()
            nursery.cancel_scope.cancel(reason="nobody looks any more")

    async def _look(self) -> None:
        async with trio.open_nursery() as nursery:
            # what is on the disks is known before anything is seen
            with trio.move_on_after(HISTORY_PATIENCE_S):
                await self.history.look()
            nursery.start_soon(Rhythm(self.settings.cycle_s).keep, self.history.look)
            nursery.start_soon(Rhythm(self.settings.cycle_s).keep, self.leases.look)
            nursery.start_soon(self._watch.keep)
