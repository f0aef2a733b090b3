"""One REST service over HTTP: bounded in time and size, and never sent a secret that is not its.

Redirects are not followed, proxies of the environment not asked, cookies not kept. What a request
asks for is repeated when that cannot do any harm.
"""

import http.cookiejar
import ipaddress
import os
import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx
import trio

from imaging.errors import ConfigurationError
from imaging.feedback.wording import is_encodable, printable
from imaging.jitter import jittered
from imaging.leases.lease import LeaseServiceError
from imaging.site.schema import LeasesSettings
from imaging.site.setting_types import MASK

ANSWER_LIMIT = 16 * 1024 * 1024  # bytes; years of leases are some MiB
TOLD_LIMIT = 200  # characters of what a service says of itself
SERVER_ERROR = 500  # and all above


@dataclass(frozen=True, slots=True)
class Reply:
    """What was answered; ``next_url`` is where the answer goes on, None when it is whole.

    ``total`` is how many rows there are in all, when the service says so.
    """

    status: int
    body: bytes
    url: httpx.URL
    next_url: httpx.URL | None = None
    total: int | None = None


@asynccontextmanager
async def open_service(settings: LeasesSettings) -> AsyncIterator["Service"]:
    """The service, for the block. Raises ConfigurationError for what it cannot be known by."""
    try:
        _ = httpx.URL(settings.url).host
    except (httpx.InvalidURL, ValueError) as error:  # also of names that are no international ones
        raise ConfigurationError(f"[leases] url: {error}") from error
    no_cookies = http.cookiejar.CookieJar(http.cookiejar.DefaultCookiePolicy(allowed_domains=[]))
    async with httpx.AsyncClient(
        cookies=no_cookies,
        event_hooks={"response": [_refuse_redirect]},
        trust_env=False,
        verify=await trio.to_thread.run_sync(_trust, settings, abandon_on_cancel=True),
        timeout=settings.request_timeout_s,
        headers={"Accept": "application/json", "Accept-Encoding": "identity"},
    ) as client:
        yield Service(client, settings)


class _RedirectedError(Exception):
    """The answer is a redirect; the text is where to, as the service says it."""


async def _refuse_redirect(response: httpx.Response) -> None:
    """End before httpx looks where it goes: of some places that makes a ValueError."""
    if response.is_redirect:
        raise _RedirectedError(response.headers.get("location", ""))


def _trust(settings: LeasesSettings) -> ssl.SSLContext | bool:
    """Whom to believe to be the service: reading the certificates takes a while."""
    if settings.url.startswith("http:"):
        return False  # nobody: there is no such proof
    if settings.ca_file is None:
        return httpx.create_ssl_context()
    try:
        return ssl.create_default_context(cafile=settings.ca_file)
    except OSError as error:  # ssl's own errors are such, too
        is_garbage = isinstance(error, ssl.SSLError)
        words = "it holds no certificates" if is_garbage else error.strerror
        raise ConfigurationError(f"[leases] ca_file {settings.ca_file}: {words}") from error


@dataclass(slots=True)
class Service:
    """A service at the URL of the settings; ``secrets`` are never told."""

    client: httpx.AsyncClient
    settings: LeasesSettings
    secrets: set[str] = field(default_factory=set, repr=False)

    @property
    def place(self) -> str:
        """Its URL."""
        return self.settings.url.rstrip("/")

    async def get(self, path: str, parameters: Mapping[str, str] | None = None) -> Reply:
        """Ask, as often as the settings say. Raises LeaseServiceError."""
        url = httpx.URL(self.place + path)
        return await self._ask("GET", url.copy_merge_params(parameters or {}), repeatable=True)

    async def follow(self, url: httpx.URL, received: int) -> Reply:
        """Ask for the rest of an answer, of the same service only. Raises LeaseServiceError.

        ``received`` is how many bytes of it there are: the limit is that of the whole answer.
        """
        home = httpx.URL(self.place)
        if (url.scheme, url.host, url.port) != (home.scheme, home.host, home.port):
            raise self.failed("goes on elsewhere, which is not followed")
        return await self._ask("GET", url, repeatable=True, received=received)

    async def send(
        self,
        method: str,
        path: str,
        document: Mapping[str, object] | None = None,
        *,
        token: str = "",
        repeatable: bool = False,
    ) -> Reply:
        """Have something changed. Raises LeaseServiceError; then it may be changed, or not.

        Raises ConfigurationError for what cannot be sent.
        """
        self._refuse_clear_text()
        self._refuse_no_text(document or {})
        url = httpx.URL(self.place + path)
        return await self._ask(method, url, document, token=token, repeatable=repeatable)

    def failed(self, what: str, *, hint: str | None = None) -> LeaseServiceError:
        """An error that names the service; what it has said itself is made harmless."""
        return LeaseServiceError(
            f"the lease service {self.place} {self.told(what)}", hint=hint or "see [leases] url"
        )

    def told(self, text: str) -> str:
        """A text that may come from the service, as it can be shown: short, and no secret in it."""
        for secret in sorted(self.secrets, key=len, reverse=True):
            text = text.replace(secret, MASK)
        return printable(text[:TOLD_LIMIT])

    def _refuse_clear_text(self) -> None:
        parts = urlsplit(self.place)
        if parts.scheme == "https" or _is_loopback(parts.hostname or ""):
            return
        raise ConfigurationError(
            f"what books at {self.place} is secret, and would be sent in the clear",
            hint="[leases] url must begin with https",
        )

    def _refuse_no_text(self, document: Mapping[str, object]) -> None:
        """Arguments and variables may be bytes that are no text; they may be secret, too."""
        for key, value in document.items():
            if not is_encodable(str(value)):
                raise ConfigurationError(
                    f"the {key} for {self.place} is not UTF-8 text", hint="type it anew"
                )

    async def _ask(
        self,
        method: str,
        url: httpx.URL,
        document: Mapping[str, object] | None = None,
        *,
        token: str = "",
        repeatable: bool,
        received: int = 0,
    ) -> Reply:
        settings, cause = self.settings, ""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        for attempt in range(settings.attempts):
            if attempt:
                await trio.sleep(jittered(settings.retry_delay_s))
            arrived = True
            with trio.move_on_after(settings.request_timeout_s):
                try:
                    reply = await self._request(method, url, document, headers, received)
                except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                    cause, arrived = _why(error), False
                except httpx.RequestError as error:
                    cause = _why(error)
                except _RedirectedError as error:
                    raise self.failed(f"redirects to {error}, which is not followed") from None
                else:
                    if reply.status < SERVER_ERROR or not repeatable:
                        return reply
                    cause = f"HTTP {reply.status}"
                if repeatable or not arrived:
                    continue
                break
            cause = f"no answer within {settings.request_timeout_s:g} s"
            if not repeatable:
                break
        raise self.failed(
            f"does not answer: {cause}",
            hint=None if repeatable or not arrived else "it may have done it: imaging-leases tells",
        )

    async def _request(
        self,
        method: str,
        url: httpx.URL,
        document: Mapping[str, object] | None,
        headers: Mapping[str, str],
        received: int,
    ) -> Reply:
        body = bytearray()
        async with self.client.stream(method, url, json=document, headers=headers) as response:
            # cancelling ends httpx's nested generators in order; leaving the loop would not
            with trio.CancelScope() as enough:
                async for piece in response.aiter_raw():
                    body += piece
                    if received + len(body) > ANSWER_LIMIT:
                        enough.cancel(reason="the answer is too long")
        if received + len(body) > ANSWER_LIMIT:
            raise self.failed(f"sent more than {ANSWER_LIMIT} bytes")
        return Reply(
            response.status_code, bytes(body), url, self._next_url(response), _total(response)
        )

    def _next_url(self, response: httpx.Response) -> httpx.URL | None:
        text = response.links.get("next", {}).get("url")
        if text is None:
            return None
        try:
            url = response.url.join(text)
            _ = url.host  # only now it is seen whether an international name is one
        except (httpx.InvalidURL, ValueError):
            raise self.failed("goes on at what is no URL") from None
        return url


def _total(response: httpx.Response) -> int | None:
    text = response.headers.get("x-total-count", "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else None


def _why(error: BaseException) -> str:
    """What is at the bottom of an error, which says more than what is around it."""
    if isinstance(error, httpx.ProtocolError):
        is_over = "disconnected" in str(error)
        return "it ended the connection" if is_over else "what answers speaks no HTTP"
    deepest: BaseException = error
    while (below := _below(deepest)) is not None:
        deepest = below
    if isinstance(deepest, OSError) and not isinstance(deepest, socket.gaierror | ssl.SSLError):
        return os.strerror(deepest.errno).lower() if deepest.errno else str(deepest)
    return str(deepest) or "the connection was lost"


def _below(error: BaseException) -> BaseException | None:
    if isinstance(error, BaseExceptionGroup):
        return error.exceptions[0]
    return error.__cause__ or error.__context__


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
