"""What all answers have in common: headers that bind browsers, and who may ask for what."""

from collections.abc import Collection, Sequence

from hypercorn.typing import (
    ASGIFramework,
    ASGIReceiveCallable,
    ASGISendCallable,
    ASGISendEvent,
    HTTPScope,
    Scope,
)

from imaging.monitor.web.address import is_known_host

POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)
TEXT = "text/plain; charset=utf-8"
READING = ("GET", "HEAD")
VERSIONS = ("1.0", "1.1")


def header(scope: HTTPScope, name: bytes) -> list[str]:
    """The values of a request's header."""
    return [value.decode("latin-1") for key, value in scope["headers"] if key.lower() == name]


async def start(
    send: ASGISendCallable,
    status: int,
    kind: str,
    others: Sequence[tuple[bytes, bytes]] = (),
) -> None:
    """Begin an answer."""
    headers = [(b"content-type", kind.encode()), *HEADERS, *others]
    await send({"type": "http.response.start", "status": status, "headers": headers})


async def answer(
    scope: HTTPScope,
    send: ASGISendCallable,
    status: int,
    kind: str,
    body: bytes,
    others: Sequence[tuple[bytes, bytes]] = (),
) -> None:
    """Give a whole answer; without its body when only the headers are asked for."""
    length = (b"content-length", str(len(body)).encode())
    await start(send, status, kind, [length, *others])
    sent = b"" if scope["method"] == "HEAD" else body
    await send({"type": "http.response.body", "body": sent, "more_body": False})


def binding(send: ASGISendCallable) -> ASGISendCallable:
    """Add the headers that bind browsers to an answer which a library gives."""

    async def send_binding(event: ASGISendEvent) -> None:
        if event["type"] == "http.response.start":
            event["headers"] = [*event["headers"], *HEADERS]
        await send(event)

    return send_binding


class ReadersOnly:
    """Lets through those who read, and who have come under a name of ours."""

    def __init__(self, application: ASGIFramework, names: Collection[str]) -> None:
        """``names`` are those besides localhost and numbers, in lower case."""
        self._application = application
        self._names = names

    async def __call__(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        """Answer one request."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000, "reason": None})
            return
        if scope["type"] != "http":
            return
        hosts = header(scope, b"host")
        if scope["http_version"] not in VERSIONS:
            # in HTTP/2 a client can have an answer wait as long as it likes, unless that is empty
            await answer(scope, send, 505, TEXT, b"")
        elif len(hosts) != 1 or not is_known_host(hosts[0], self._names):
            text = "unknown name of this host: see [monitor] web_hosts\n"
            await answer(scope, send, 421, TEXT, text.encode())
        elif scope["method"] not in READING:
            allow = (b"allow", ", ".join(READING).encode())
            await answer(scope, send, 405, TEXT, b"this can only be read\n", [allow])
        else:
            await self._application(scope, receive, send)
