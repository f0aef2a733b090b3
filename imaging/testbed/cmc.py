"""The CMC card of a virtual node: HTTP/1.1 with h11, plain text answers, as the R2lab cards."""

import logging

import h11
import trio

from imaging.testbed.machine import Machine
from imaging.testbed.peers import is_welcome

log = logging.getLogger(__name__)

READ_SIZE = 4096  # bytes
PATIENCE_S = 10.0  # a client that sends no whole request is dropped


class CmcServer:
    """The card of one machine."""

    def __init__(self, machine: Machine) -> None:
        """The card drives ``machine``."""
        self._machine = machine

    async def serve(self, stream: trio.SocketStream) -> None:
        """Answer one connection, one request."""
        async with stream:
            if not is_welcome(stream, f"{self._name} cmc"):
                return
            with trio.move_on_after(PATIENCE_S):
                try:
                    await self._answer(stream)
                except (trio.BrokenResourceError, h11.RemoteProtocolError) as error:
                    log.info("%s cmc: %s", self._name, error)

    @property
    def _name(self) -> str:
        return self._machine.node.name

    async def _answer(self, stream: trio.SocketStream) -> None:
        connection = h11.Connection(h11.SERVER)
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(await stream.receive_some(READ_SIZE))
            elif isinstance(event, h11.Request):
                break
            else:
                return
        path = event.target.decode("ascii", "replace")
        log.info("%s cmc: %s %s", self._name, event.method.decode(), path)
        # anything else would change the machine, or want an answer that a card cannot give
        status, text = self._act(path) if event.method == b"GET" else (405, "only GET")
        body = f"{text}\n".encode()
        headers = [
            ("Content-Type", "text/plain"),
            ("Content-Length", str(len(body))),
            ("Connection", "close"),
        ]
        replies = [h11.Response(status_code=status, headers=headers), h11.EndOfMessage()]
        if event.method != b"HEAD":
            replies.insert(1, h11.Data(data=body))
        await stream.send_all(b"".join(connection.send(reply) or b"" for reply in replies))

    def _act(self, path: str) -> tuple[int, str]:
        machine = self._machine
        match path:
            case "/status":
                return 200, "on" if machine.is_on else "off"
            case "/on":
                machine.turn_on()
            case "/off":
                machine.turn_off()
            case "/reset":
                machine.reset()
            case "/info":
                node = machine.node
                return 200, f"virtual CMC\nnode {node.name}\nstate {machine.state.value}"
            case _:
                return 404, "not found"
        return 200, "ok"
