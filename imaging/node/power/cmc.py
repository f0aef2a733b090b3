"""The CMC card of the R2lab testbed: plain text over HTTP.

``GET /status`` answers ``on`` or ``off``; ``/on``, ``/off`` and ``/reset`` answer ``ok``, and
``/info`` a few lines about the card. The card is a tiny server: one short connection per request,
and no trust in what it sends.
"""

import random
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
import trio

from imaging.errors import NodeError, Reason
from imaging.node.power import PowerCard, PowerState
from imaging.site.inventory import Node
from imaging.site.schema import PowerSettings

ANSWER_LIMIT = 4096  # bytes; the longest honest answer is a few lines


# cards speak plain HTTP: nobody is to load the CA bundle, which takes 30 ms
_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
_ONE_REQUEST = httpx.Limits(max_connections=None, max_keepalive_connections=0)
_HEADERS = {"Connection": "close"}


@asynccontextmanager
async def open_transport() -> AsyncIterator[httpx.AsyncHTTPTransport]:
    """HTTP to one card. It knows no cookies, follows no redirect and asks no proxy.

    Not for all cards of a run: for each request, all connections of a transport are looked at.
    """
    async with httpx.AsyncHTTPTransport(
        verify=_NO_TLS, trust_env=False, limits=_ONE_REQUEST
    ) as transport:
        yield transport


@asynccontextmanager
async def open_card(node: Node, settings: PowerSettings) -> AsyncIterator[PowerCard]:
    """Have the card of a node, as long as the block lasts."""
    async with open_transport() as transport:
        yield CmcCard(
            transport,
            node.name,
            node.cmc.ip,
            settings.port,
            settings.attempts,
            settings.request_timeout_s,
            settings.retry_delay_s,
        )


@dataclass(frozen=True, slots=True)
class CmcCard:
    """The card of one node, at ``address``:``port``.

    A request gets ``attempts`` tries of at most ``request_timeout_s`` seconds each,
    ``retry_delay_s`` seconds apart (jittered). All verbs may be repeated without harm.
    """

    transport: httpx.AsyncHTTPTransport
    node: str
    address: str
    port: int
    attempts: int
    request_timeout_s: float
    retry_delay_s: float

    async def status(self) -> PowerState:
        """Ask whether the node has power."""
        answer = (await self._ask("status"))[:80].lower()
        try:
            return PowerState(answer)
        except ValueError:
            raise self._refused("status", f"answered {answer!r}, neither on nor off") from None

    async def turn_on(self) -> None:
        """Give power."""
        await self._order("on")

    async def turn_off(self) -> None:
        """Cut power."""
        await self._order("off")

    async def reset(self) -> None:
        """Restart a node that has power."""
        await self._order("reset")

    async def info(self) -> str:
        """What the card says about itself, in lines of printable text."""
        lines = (await self._ask("info")).splitlines()
        return "\n".join("".join(filter(str.isprintable, line)).strip() for line in lines)

    async def _order(self, verb: str) -> None:
        answer = (await self._ask(verb))[:80].lower()
        if answer != "ok":
            raise self._refused(verb, f"answered {answer!r}, not ok")

    async def _ask(self, verb: str) -> str:
        cause = ""
        for attempt in range(self.attempts):
            if attempt:
                await trio.sleep(self.retry_delay_s * random.uniform(0.75, 1.25))  # noqa: S311
            with trio.move_on_after(self.request_timeout_s):
                try:
                    return await self._request(verb)
                except httpx.RequestError as error:
                    cause = str(error) or type(error).__name__
                    continue
            cause = f"no answer within {self.request_timeout_s:g} s"
        raise NodeError(
            f"{self.node}: its CMC {self.address}:{self.port} does not answer to {verb}: {cause}",
            reason=Reason.NO_CMC,
            hint="is the card powered and cabled?",
        )

    async def _request(self, verb: str) -> str:
        url = f"http://{self.address}:{self.port}/{verb}"
        request = httpx.Request("GET", url, headers=_HEADERS)
        response = await self.transport.handle_async_request(request)
        assert isinstance(response.stream, httpx.AsyncByteStream)
        body = b""
        try:
            # cancelling ends the transport's nested generators in order; leaving the loop would not
            with trio.CancelScope() as enough:
                async for piece in response.stream:
                    body += piece
                    if len(body) > ANSWER_LIMIT:
                        enough.cancel(reason="the answer is too long")
        finally:
            await response.aclose()
        if len(body) > ANSWER_LIMIT:
            raise self._refused(verb, f"sent more than {ANSWER_LIMIT} bytes")
        text = body.decode("ascii", "replace").strip()
        if response.status_code != httpx.codes.OK:
            raise self._refused(verb, f"answered HTTP {response.status_code}")
        return text

    def _refused(self, verb: str, what: str) -> NodeError:
        return NodeError(
            f"{self.node}: its CMC {self.address}:{self.port}, asked for {verb}, {what}",
            reason=Reason.POWER_REFUSED,
        )
