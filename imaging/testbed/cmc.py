"""The CMC card of a virtual node: HTTP/1.1 with h11, plain text answers, as the R2lab cards.

The same port speaks Redfish, to who asks for its paths.
"""

import json
import logging

import h11
import trio

from imaging.testbed.fault_file import FaultFile
from imaging.testbed.faults import Fault
from imaging.testbed.http_exchange import encoded_answer, receive_body, receive_request
from imaging.testbed.machine import Machine
from imaging.testbed.misbehaviour import READ_SIZE, drip, noise, reset_at_close, say_nothing
from imaging.testbed.peers import is_welcome
from imaging.testbed.redfish import is_redfish, redfish_answer

log = logging.getLogger(__name__)

PATIENCE_S = 10.0  # a client that sends no whole request is dropped


class CmcServer:
    """The card of one machine."""

    def __init__(self, machine: Machine, faults: FaultFile) -> None:
        """The card drives ``machine``, as far as ``faults`` let it."""
        self._machine = machine
        self._faults = faults

    async def serve(self, stream: trio.SocketStream) -> None:
        """Answer one connection, one request."""
        async with stream:
            if not is_welcome(stream, f"{self._name} cmc"):
                return
            if self._take("refuse"):
                reset_at_close(stream)
                return
            try:
                connection = h11.Connection(h11.SERVER)
                request, body = None, None
                with trio.move_on_after(PATIENCE_S):
                    request = await receive_request(stream, connection)
                    if request is not None:
                        body = await receive_body(stream, connection)
                if request is not None and body is not None:
                    await self._answer(stream, connection, request, body)
            except (trio.BrokenResourceError, h11.RemoteProtocolError) as error:
                log.info("%s cmc: %s", self._name, error)

    @property
    def _name(self) -> str:
        return self._machine.node.name

    def _take(self, *words: str) -> Fault | None:
        return self._faults.take(self._name, "cmc", *words)

    async def _answer(
        self,
        stream: trio.SocketStream,
        connection: h11.Connection,
        request: h11.Request,
        body: bytes,
    ) -> None:
        path = request.target.decode("ascii", "replace")
        log.info("%s cmc: %s %s", self._name, request.method.decode(), path)
        fault = self._take("hang", "late", "garbage", "http-500", "slow-drip")
        word = fault.word if fault else ""
        if word == "hang":
            await say_nothing(stream)
            return
        if word == "garbage":
            await stream.send_all(noise(READ_SIZE))
            return
        # anything else would change the machine, or want an answer that a card cannot give
        status, text, kind = 405, "only GET", "text/plain"
        if word == "http-500":
            status, text = 500, "internal server error"
        elif is_redfish(path):
            status, document = redfish_answer(self._name, request, body, self._tell)
            text, kind = json.dumps(document), "application/json"
        elif request.method == b"GET":
            status, text = self._act(path)
        answer = encoded_answer(
            connection,
            status,
            f"{text}\n".encode(),
            [("Content-Type", kind)],
            with_body=request.method != b"HEAD",
        )
        if fault is not None and fault.word == "late":
            await trio.sleep(fault.argument or 0)
        if word == "slow-drip":
            await drip(stream, answer)
        else:
            await stream.send_all(answer)

    def _tell(self, verb: str) -> str:
        return self._act(f"/{verb}")[1]

    def _act(self, path: str) -> tuple[int, str]:
        machine = self._machine
        match path:
            case "/status":
                if self._take("wrong-status"):
                    return 200, "maybe"
                return 200, "on" if machine.is_on else "off"
            case "/on":
                if not self._take("ignore-on"):
                    machine.turn_on()
            case "/off":
                if not self._take("ignore-off"):
                    machine.turn_off()
            case "/reset":
                if not self._take("ignore-reset"):
                    machine.reset()
            case "/info":
                node = machine.node
                return 200, f"virtual CMC\nnode {node.name}\nstate {machine.state.value}"
            case _:
                return 404, "not found"
        return 200, "ok"
