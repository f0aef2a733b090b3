"""One request to a power card over HTTP, and its answer: bounded in size, and never trusted."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import trio

from imaging.node.power.asking import NO_HTTP, NoAnswerError

# for cards that speak plain HTTP: nobody is to load the CA bundle, which takes 30 ms
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
OVER = "it ended the connection"
_ONE_REQUEST = httpx.Limits(max_connections=None, max_keepalive_connections=0)


class NotTrustedError(Exception):
    """Who answers has no certificate that makes him the card; the text says why."""


@asynccontextmanager
async def open_transport(trust: ssl.SSLContext = NO_TLS) -> AsyncIterator[httpx.AsyncHTTPTransport]:
    """HTTP to one card. It knows no cookies, follows no redirect and asks no proxy.

    Not for all cards of a run: for each request, all connections of a transport are looked at.
    """
    async with httpx.AsyncHTTPTransport(
        verify=trust, trust_env=False, limits=_ONE_REQUEST
    ) as transport:
        yield transport


async def exchange(
    transport: httpx.AsyncHTTPTransport, request: httpx.Request, limit: int
) -> tuple[httpx.Response, bytes]:
    """The answer and its body, of which no more is read when it has more than ``limit`` bytes.

    Raises NoAnswerError for what is no HTTP, or no connection, and NotTrustedError.
    """
    body = b""
    try:
        response = await transport.handle_async_request(request)
        assert isinstance(response.stream, httpx.AsyncByteStream)
        try:
            # cancelling ends the transport's nested generators in order; leaving the loop would not
            with trio.CancelScope() as enough:
                async for piece in response.stream:
                    body += piece
                    if len(body) > limit:
                        enough.cancel(reason="the answer is too long")
        finally:
            await response.aclose()
    except httpx.RequestError as error:
        tls = _tls_error(error)
        if isinstance(tls, ssl.SSLCertVerificationError):
            raise NotTrustedError(tls.verify_message) from error
        if isinstance(error, httpx.ProtocolError):
            is_over = "disconnected" in str(error)
            raise NoAnswerError(OVER if is_over else NO_HTTP) from error
        cause = tls and tls.reason
        raise NoAnswerError(cause or str(error).rstrip(".") or "the connection was lost") from error
    return response, body


def _tls_error(error: BaseException | None) -> ssl.SSLError | None:
    """What went wrong with TLS, which httpx does not tell."""
    while error is not None and not isinstance(error, ssl.SSLError):
        error = error.__cause__ or error.__context__
    return error
