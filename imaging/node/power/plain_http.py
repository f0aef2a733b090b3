"""One GET over plain HTTP, for cards that are tiny servers: a connection of its own, with h11.

httpx, which redfish needs, does the same for several times the CPU time, and takes longer to be
imported than all that a load does with a single node.
"""

from dataclasses import dataclass

import h11
import trio

from imaging.node.connection import connect, words
from imaging.node.power.asking import NO_HTTP, NoAnswerError

READ_SIZE = 4096  # bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered; of a body that is too long only the beginning."""

    status: int
    body: bytes


async def get(address: str, port: int, path: str, limit: int) -> Answer:
    """The answer to a GET; no more of its body is read when it has more than ``limit`` bytes.

    It follows no redirect and knows no cookie. Raises NoAnswerError for what is no HTTP, or no
    connection; the caller's scope bounds it.
    """
    try:
        connected = await connect(address, port)
    except OSError as error:
        raise NoAnswerError(words(error)) from error
    with trio.socket.from_stdlib_socket(connected) as stream:  # closed without waiting
        try:
            return await _converse(trio.SocketStream(stream), f"{address}:{port}", path, limit)
        except h11.RemoteProtocolError as error:
            raise NoAnswerError(NO_HTTP) from error
        except trio.BrokenResourceError as error:
            cause = error.__cause__
            what = words(cause) if isinstance(cause, OSError) else "the connection was lost"
            raise NoAnswerError(what) from error


async def _converse(stream: trio.SocketStream, host: str, path: str, limit: int) -> Answer:
    connection = h11.Connection(h11.CLIENT)
    headers = [("Host", host), ("Accept", "*/*"), ("Connection", "close")]
    request = connection.send(h11.Request(method="GET", target=path, headers=headers))
    ending = connection.send(h11.EndOfMessage())
    await stream.send_all((request or b"") + (ending or b""))
    status, body = 0, b""
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            data = await stream.receive_some(READ_SIZE)
            if not data and not status:
                raise NoAnswerError("it closed the connection without an answer")
            connection.receive_data(data)
        elif isinstance(event, h11.Response):
            status = event.status_code
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > limit:
                return Answer(status, body)
        elif isinstance(event, h11.EndOfMessage):
            return Answer(status, body)
        elif not isinstance(event, h11.InformationalResponse):
            raise NoAnswerError("it ended the connection in the middle of its answer")
