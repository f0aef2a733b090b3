"""One BMC's Redfish service: JSON over HTTP, with basic authentication or a session.

DMTF DSP0266. Answers are bounded, and typed before they are used; a path that leads to another
host is refused, so that no password goes there.
"""

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeVar

import httpx
import msgspec
import trio

from imaging.errors import NodeError
from imaging.node.power.asking import Asking, NoAnswerError
from imaging.node.power.http_exchange import NotTrustedError, exchange
from imaging.site.power_schema import PowerRedfishSettings

T = TypeVar("T")
ANSWER_LIMIT = 1024 * 1024  # bytes; a system with all its parts is some 10 KiB
LOGOUT_BUDGET_S = 1.0
SESSIONS = "/redfish/v1/SessionService/Sessions"
# some services have each place with a slash at its end, and only tell so without one
SLASH_MISSING = (httpx.codes.TEMPORARY_REDIRECT, httpx.codes.PERMANENT_REDIRECT)
_PATH = re.compile(r"/(?!/)[!-~]{0,1023}")  # of this host, and no other
_ORIGIN = re.compile(r"^https?://[^/]+", re.IGNORECASE)


class _Explanation(msgspec.Struct, frozen=True):
    message: str = msgspec.field(name="Message", default="")


class _Explained(msgspec.Struct, frozen=True):
    message: str = ""
    more: list[_Explanation] = msgspec.field(name="@Message.ExtendedInfo", default_factory=list)


class _Failure(msgspec.Struct, frozen=True):
    error: _Explained


@dataclass(slots=True)
class RedfishService:
    """The service at ``origin``, SCHEME://ADDRESS:PORT; ``name`` is who its certificate is for."""

    transport: httpx.AsyncHTTPTransport
    origin: str
    name: str
    asking: Asking
    settings: PowerRedfishSettings
    _token: str = field(default="", repr=False)
    _session: str = ""

    async def get(self, verb: str, path: str, kind: type[T]) -> T:
        """What is at a path, as that type. Raises NodeError."""
        body = await self._ask(verb, "GET", path, None)
        try:
            return msgspec.json.decode(body, type=kind)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
            what = f"sent at {path} what is no answer to that: {error}"
            raise self.asking.refused(verb, what) from None

    async def post(self, verb: str, path: str, document: Mapping[str, str]) -> None:
        """Have something done. Raises NodeError."""
        await self._ask(verb, "POST", path, document)

    async def log_out(self) -> None:
        """End the session, if there is one, also when time is up: a BMC has room for few."""
        if not self._token:
            return
        with trio.move_on_after(LOGOUT_BUDGET_S, shield=True):
            with suppress(NoAnswerError, NodeError):  # it ends by itself, later
                await self._request("logout", "DELETE", self._session, None)
        self._token = ""

    async def _ask(
        self, verb: str, method: str, path: str, document: Mapping[str, str] | None
    ) -> bytes:
        if not _PATH.fullmatch(path):
            raise self.asking.refused(verb, f"goes on at {path!r}, which is not followed")

        async def attempt() -> bytes:
            if self.settings.authentication == "session" and self.settings.user:
                if self._token:
                    response, body = await self._request(verb, method, path, document)
                    if response.status_code != httpx.codes.UNAUTHORIZED:
                        return self._checked(verb, response, body)
                    # it has expired, or has not: a BMC has room for few
                    await self.log_out()
                await self._log_in(verb)
            return self._checked(verb, *await self._request(verb, method, path, document))

        return await self.asking.ask(verb, attempt)

    async def _log_in(self, verb: str) -> None:
        document = {"UserName": self.settings.user, "Password": self.settings.password}
        response, body = await self._request(verb, "POST", SESSIONS, document)
        self._checked(verb, response, body)
        token, place = (response.headers.get(name, "") for name in ("X-Auth-Token", "Location"))
        # many tell another name of theirs in it; what is asked to end it is this one in any case
        place = _ORIGIN.sub("", place)
        if not re.fullmatch("[!-~]{1,4096}", token) or not _PATH.fullmatch(place):
            raise self.asking.refused(verb, "gave no session to who has logged in")
        self._token, self._session = token, place

    async def _request(
        self, verb: str, method: str, path: str, document: Mapping[str, str] | None
    ) -> tuple[httpx.Response, bytes]:
        settings = self.settings
        request = httpx.Request(
            method,
            self.origin + path,
            headers={"Accept": "application/json", "Connection": "close", "OData-Version": "4.0"},
            json=document,
            extensions={"sni_hostname": self.name},
        )
        if self._token:
            request.headers["X-Auth-Token"] = self._token
        elif settings.authentication == "basic" and settings.user:
            login = httpx.BasicAuth(settings.user, settings.password)
            request = next(login.auth_flow(request))
        try:
            response, body = await exchange(self.transport, request, ANSWER_LIMIT)
        except NotTrustedError as error:
            what = f"has a certificate that is not trusted: {error}"
            hint = "see [power_redfish] ca_file and certificate_name"
            raise self.asking.refused(verb, what, hint=hint) from None
        if len(body) > ANSWER_LIMIT:
            raise self.asking.refused(verb, f"sent more than {ANSWER_LIMIT} bytes")
        elsewhere = _ORIGIN.sub("", response.headers.get("Location", ""))
        # once: else a BMC could go on with this for ever
        lacks_slash = not path.endswith("/") and elsewhere == f"{path}/"
        if response.status_code in SLASH_MISSING and lacks_slash:
            return await self._request(verb, method, elsewhere, document)
        return response, body

    def _checked(self, verb: str, response: httpx.Response, body: bytes) -> bytes:
        """The body of an answer that is none of the many ways to say no."""
        status = response.status_code
        if response.is_success:
            return body
        if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            raise self.asking.refused(
                verb,
                f"refuses the user {self.settings.user!r} (HTTP {status})",
                hint="see [power_redfish] user and password",
            )
        if status == httpx.codes.SERVICE_UNAVAILABLE:
            raise NoAnswerError("HTTP 503, it is busy")
        raise self.asking.refused(verb, f"answered HTTP {status}{_explanation(body)}")


def _explanation(body: bytes) -> str:
    """What a service says of an error, if it does."""
    try:
        error = msgspec.json.decode(body, type=_Failure).error
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return ""
    words = [more.message for more in error.more if more.message] or [error.message]
    return f": {words[0]}" if words[0] else ""
