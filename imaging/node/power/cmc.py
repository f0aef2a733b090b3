"""The CMC card of the R2lab testbed: plain text over HTTP.

``GET /status`` answers ``on`` or ``off``; ``/on``, ``/off`` and ``/reset`` answer ``ok``, and
``/info`` a few lines about the card. The card is a tiny server: one short connection per request.
"""

from dataclasses import dataclass

from imaging.node.power import PowerState
from imaging.node.power.asking import Asking, shown_lines
from imaging.node.power.ordered import Order, OrderedCard
from imaging.node.power.plain_http import get

OK = 200
ANSWER_LIMIT = 4096  # bytes; the longest honest answer is a few lines


@dataclass(frozen=True, slots=True)
class CmcCard(OrderedCard):
    """The card at this address and port. It cannot shut a system down."""

    address: str
    port: int
    asking: Asking

    async def status(self) -> PowerState:
        """Ask whether the node has power."""
        answer = (await self._ask("status"))[:80].lower()
        if answer not in ("on", "off"):
            raise self.asking.refused("status", f"answered {answer!r}, neither on nor off")
        return PowerState(answer)

    async def order(self, verb: Order) -> None:
        """Have it done."""
        if verb == "shutdown":
            raise self.asking.refused(verb, "knows no such thing")
        answer = (await self._ask(verb))[:80].lower()
        if answer != "ok":
            raise self.asking.refused(verb, f"answered {answer!r}, not ok")

    async def info(self) -> str:
        """What the card says about itself, in lines of printable text."""
        return shown_lines(await self._ask("info"))

    async def _ask(self, verb: str) -> str:
        return await self.asking.ask(verb, lambda: self._request(verb))

    async def _request(self, verb: str) -> str:
        answer = await get(self.address, self.port, f"/{verb}", ANSWER_LIMIT)
        if len(answer.body) > ANSWER_LIMIT:
            raise self.asking.refused(verb, f"sent more than {ANSWER_LIMIT} bytes")
        if answer.status != OK:
            raise self.asking.refused(verb, f"answered HTTP {answer.status}")
        return answer.body.decode("ascii", "replace").strip()
