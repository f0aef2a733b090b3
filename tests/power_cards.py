"""Nodes and settings for tests of power cards, and a server that answers them as it is told."""

import json
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import trio

from imaging.guard import NO_GUARD
from imaging.node.power import PowerCard
from imaging.node.power.opening import open_card
from imaging.node.power.readiness import ready_cards
from imaging.site.inventory import Interface, Node
from imaging.site.power_schema import PowerModel
from imaging.site.schema import Settings

PASSWORD = "a-password-that-nobody-may-see"
Answer = Callable[[bytes], bytes | None]
"""The bytes that answer a request; None is silence."""


def node_with(model: PowerModel, address: str = "127.0.0.1", system: str = "") -> Node:
    """A node whose power card is of that model."""
    control = Interface("fit01", "127.0.0.2", "02:00:00:00:00:02")
    cmc = Interface("reboot01", address, "02:00:00:00:00:01")
    return Node(control, cmc, model=model, system=system)


def quick_settings(**sections: dict[str, Any]) -> Settings:
    """Settings with short times, and with changes by section."""
    settings = Settings()
    quick = {"attempts": 2, "request_timeout_s": 2.0, "retry_delay_s": 0.001}
    for section, changes in {"power": quick, **sections}.items():
        changed = msgspec.structs.replace(getattr(settings, section), **changes)
        settings = msgspec.structs.replace(settings, **{section: changed})
    return settings


def http(status: str, body: bytes, *headers: str) -> bytes:
    """An answer over HTTP."""
    lines = [f"HTTP/1.1 {status}", "Connection: close", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


@asynccontextmanager
async def answering(answer: Answer) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A server on loopback: its port, and the requests that it has got."""
    requests: list[bytes] = []

    async def handle(stream: trio.SocketStream) -> None:
        request = b""
        while b"\r\n\r\n" not in request and (data := await stream.receive_some(65536)):
            request += data
        head, _, body = request.partition(b"\r\n\r\n")
        for line in head.lower().split(b"\r\n"):
            while line.startswith(b"content-length:") and len(body) < int(line.partition(b":")[2]):
                body += await stream.receive_some(65536)
        requests.append(head + b"\r\n\r\n" + body)
        said = answer(requests[-1])
        if said is None:
            await trio.sleep_forever()
        else:
            with suppress(trio.BrokenResourceError):
                await stream.send_all(said)
        await stream.aclose()

    async with trio.open_nursery() as nursery:
        serve: Callable[..., Awaitable[Any]] = partial(trio.serve_tcp, handle, 0, host="127.0.0.1")
        listeners = await nursery.start(serve)
        yield listeners[0].socket.getsockname()[1], requests
        nursery.cancel_scope.cancel()


SYSTEM = {
    "PowerState": "On",
    "Actions": {"#ComputerSystem.Reset": {"target": "/redfish/v1/Systems/1/Reset"}},
}


def document(value: object) -> Answer:
    """JSON, whatever is asked."""
    return lambda _: http("200 OK", json.dumps(value).encode())


async def redfish_card(stack: AsyncExitStack, answer: Answer, **redfish: Any) -> PowerCard:
    """A card whose BMC answers like that, on loopback and without TLS."""
    port, _ = await stack.enter_async_context(answering(answer))
    options = {"scheme": "http", "port": port, "user": "", **redfish}
    site = quick_settings(
        power={"attempts": 2, "request_timeout_s": 0.3, "retry_delay_s": 0.001},
        power_redfish=options,
    )
    node = node_with("redfish", system="1")
    return await stack.enter_async_context(open_card(node, ready_cards([node], site), NO_GUARD))


def make_certificate(directory: Path, names: str) -> tuple[Path, Path]:
    """A certificate of its own for ``names`` (DNS:..,IP:..), and its key, as BMCs have them."""
    certificate, key = directory / "bmc.pem", directory / "bmc.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=BMC",
         "-addext", f"subjectAltName={names}"],
        check=True, capture_output=True,
    )  # fmt: skip
    return certificate, key
