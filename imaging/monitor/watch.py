"""The watch: a nursery with one child per node, which looks at it in its own rhythm.

Nothing that a node or its card does slows the others, or ends the watch: what a probe meets is an
observation.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import msgspec
import trio

from imaging._aio import open_aio
from imaging.guard import Guard
from imaging.monitor.observations import Observation, Power, PowerSeen
from imaging.monitor.probes import PowerProbe, Probing, ReachProbe
from imaging.monitor.rhythm import OFF_CYCLES, Rhythm
from imaging.monitor.testbed import NodeState, Testbed
from imaging.node.power.opening import guard_of_tools, open_card
from imaging.node.power.readiness import Cards, ready_cards
from imaging.node.remote import SshLogin
from imaging.site.inventory import Node
from imaging.site.schema import Settings

Changed = Callable[[NodeState, NodeState, Observation], None]
"""Who is told a change: the node before, the node after, and what was seen."""


class Watch:
    """What is known of the nodes, kept up to date while ``keep`` runs."""

    def __init__(
        self, nodes: Sequence[Node], settings: Settings, login: SshLogin, on_change: Changed
    ) -> None:
        """Nothing is known yet. ``on_change`` is called for what changes, and nothing else.

        Raises ConfigurationError when the nodes' cards cannot be asked.
        """
        self.testbed = Testbed.of(node.name for node in nodes)
        self._nodes = nodes
        self._settings = settings
        self._cards = _single_attempts(ready_cards(nodes, settings))
        self._on_change = on_change
        self._probing = Probing.of(settings, login, self.see)
        self._reach_rhythms: dict[str, Rhythm] = {}

    def see(self, seen: Observation) -> None:
        """Take an observation into account, and tell when it has changed something."""
        before = self.testbed.nodes[seen.node]
        after = self.testbed.fold(seen)
        if isinstance(seen, PowerSeen) and seen.node in self._reach_rhythms:
            rhythm = self._reach_rhythms[seen.node]
            rhythm.cycles = OFF_CYCLES if seen.power is Power.OFF else 1
            if seen.power is not before.power:
                rhythm.hurry()
        if after is not None:
            self._on_change(before, after, seen)

    async def once(self) -> None:
        """Look at everything once."""
        with guard_of_tools(self._nodes, self._cards) as guard:
            async with open_aio(), trio.open_nursery() as nursery:
                for node in self._nodes:
                    nursery.start_soon(self._look_at_power, node, guard)
                    nursery.start_soon(ReachProbe(node, self._probing).look)

    async def _look_at_power(self, node: Node, guard: Guard) -> None:
        async with open_card(node, self._cards, guard) as card:
            await PowerProbe(node, card, self._probing).look()

    async def keep(self) -> None:
        """Look at everything again and again, until cancelled."""
        with guard_of_tools(self._nodes, self._cards) as guard:
            async with open_aio(), trio.open_nursery() as nursery:
                for node in self._nodes:
                    nursery.start_soon(self._keep_node, node, guard)

    async def _keep_node(self, node: Node, guard: Guard) -> None:
        """One node: a card that hangs does not hold up the look at the ports."""
        cycle_s = self._settings.monitor.cycle_s
        reach = self._reach_rhythms[node.name] = Rhythm(cycle_s)
        async with open_card(node, self._cards, guard) as card, trio.open_nursery() as nursery:
            nursery.start_soon(Rhythm(cycle_s).keep, PowerProbe(node, card, self._probing).look)
            nursery.start_soon(reach.keep, ReachProbe(node, self._probing).look)


def _single_attempts(cards: Cards) -> Cards:
    """How cards are asked: the next cycle is the next attempt."""
    timeout_s = cards.settings.monitor.probe_timeout_s
    power = msgspec.structs.replace(cards.settings.power, attempts=1, request_timeout_s=timeout_s)
    return replace(cards, settings=msgspec.structs.replace(cards.settings, power=power))
