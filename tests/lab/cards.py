"""The power card of a machine: plain text over HTTP, as the cards of R2lab."""

from functools import partial

import h11
import trio

from imaging.testbed.http_exchange import encoded_answer, receive_request
from tests.lab.machine import Machine

PORT = 80
PATIENCE_S = 10.0


async def serve_card(machine: Machine) -> None:
    """Answer for one machine until cancelled."""
    await trio.serve_tcp(partial(_answer, machine), PORT, host=machine.card_address)


async def _answer(machine: Machine, stream: trio.SocketStream) -> None:
    async with stream:
        connection = h11.Connection(h11.SERVER)
        request = None
        with trio.move_on_after(PATIENCE_S):
            request = await receive_request(stream, connection)
        if request is None:
            return
        status, text = await _act(machine, request.target.decode("ascii", "replace"))
        body = f"{text}\n".encode()
        try:
            answer = encoded_answer(connection, status, body, [("Content-Type", "text/plain")])
            await stream.send_all(answer)
        except trio.BrokenResourceError:
            return  # who asked was killed


async def _act(machine: Machine, path: str) -> tuple[int, str]:
    match path:
        case "/status":
            return 200, "on" if machine.is_on else "off"
        case "/on":
            await machine.turn_on()
        case "/off":
            await machine.turn_off()
        case "/reset":
            await machine.reset()
        case "/info":
            return 200, f"QEMU {machine.name}"
        case _:
            return 404, "not found"
    return 200, "ok"
