"""What a client makes of servers that make no sense; real sockets."""

import random
import threading
import time

import pytest

from imaging.frisbee.client import Client
from imaging.frisbee.errors import FrisbeeError
from imaging.frisbee.packets import (
    Join,
    Join2,
    Join2Reply,
    JoinReply,
    Packet,
    decode,
    encode,
    pack_address,
)
from imaging.frisbee.reception import ClientOptions
from imaging.frisbee.sockets import SessionAddress, SessionSocket
from tests.frisbee_session import address

GROUP = "239.77.1.2"
SERVER, CLIENT = address(253), address(2)
LIMIT_S = 5.0


def joined(reply: Packet | None, *, raw: bool = False) -> None:
    """Have a client join a session whose server gives this reply."""
    where = (GROUP, random.randint(30000, 49999), False)
    server = SessionSocket(SessionAddress(SERVER, *where), hear_oneself=False)
    link = SessionSocket(SessionAddress(CLIENT, *where), hear_oneself=True)
    client = Client(link, ClientOptions(join_timeout_s=LIMIT_S if reply else 0.1, raw=raw), print)

    def answer() -> None:
        deadline = time.monotonic() + LIMIT_S
        while reply is not None and time.monotonic() < deadline:
            for train in server.receive(0.1):
                for datagram in train.packets():
                    packet = decode(datagram, train.sender, train.port, where[1], None)
                    if isinstance(packet, Join | Join2):
                        told = reply
                        if isinstance(told, Join2Reply):
                            told = Join2Reply(packet.client_id, *told_size(told))
                        server.send(encode(told, pack_address(SERVER)))
                        return

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        client.join()
    finally:
        thread.join()
        server.close()
        link.close()


def told_size(reply: Join2Reply) -> tuple[int, int, int]:
    return reply.size, reply.chunk_size, reply.block_size


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (None, rf"no server answered on {GROUP}:\d+ within 0\.1 s"),
        (JoinReply(1025), "1025 blocks are no whole number of chunks"),
        (JoinReply(0), "the server's image is empty: nothing was written"),
        (Join2Reply(0, 1024, 512, 2048), "chunks are 512 blocks of 2048 bytes, not 1024 of 1024"),
        (Join2Reply(0, 1 << 42), "the server's image of 4294967296 blocks cannot be"),
    ],
)
def test_a_server_without_sense_is_told(reply: Packet | None, words: str) -> None:
    with pytest.raises(FrisbeeError, match=words):
        joined(reply, raw=isinstance(reply, Join2Reply))
