"""One request and its answer over HTTP/1.1, with h11, for the servers of a virtual testbed."""

import h11
import trio

from imaging.testbed.misbehaviour import READ_SIZE

BODY_LIMIT = 64 * 1024  # bytes; no honest request is longer


async def receive_request(
    stream: trio.SocketStream, connection: h11.Connection
) -> h11.Request | None:
    """The request, or None when the client goes away before it is whole."""
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await stream.receive_some(READ_SIZE))
        else:
            return event if isinstance(event, h11.Request) else None


async def receive_body(stream: trio.SocketStream, connection: h11.Connection) -> bytes | None:
    """The body of a request, or None when it does not come, or is too long."""
    body = b""
    while len(body) <= BODY_LIMIT:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await stream.receive_some(READ_SIZE))
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage):
            return body
        else:
            return None
    return None


def encoded_answer(
    connection: h11.Connection,
    status: int,
    body: bytes,
    headers: list[tuple[str, str]],
    *,
    with_body: bool = True,
) -> bytes:
    """One whole answer, after which the connection is closed."""
    length = [] if status == 204 else [("Content-Length", str(len(body)))]
    whole = [*headers, *length, ("Connection", "close")]
    replies = [h11.Response(status_code=status, headers=whole), h11.EndOfMessage()]
    if with_body and status != 204:
        replies.insert(1, h11.Data(data=body))
    return b"".join(connection.send(reply) or b"" for reply in replies)
