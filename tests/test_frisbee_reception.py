"""The client's loop over real sockets."""

import random
import threading
import time
from collections.abc import Sequence

import pytest

from imaging.frisbee.errors import FrisbeeError
from imaging.frisbee.packets import BLOCK_SIZE, Block, encode, pack_address
from imaging.frisbee.reception import ClientOptions, Reception
from imaging.frisbee.sockets import SessionAddress, SessionSocket
from imaging.frisbee.workers import ChunkWorkers, Turn
from tests.frisbee_session import address

GROUP, SERVER, CLIENT = "239.77.1.2", address(254), address(1)
KEEPALIVE_S = 0.3
STALL_S = 0.9


class NoSink:
    """No chunk ever gets complete."""

    effective_bytes = actual_bytes = writes = 0

    def take(self, chunk: int, blocks: Sequence[memoryview], turn: Turn) -> None:
        raise AssertionError(chunk, len(blocks), turn)

    def finish(self) -> None:
        pass


class Link(SessionSocket):
    """A socket that knows when its membership was renewed."""

    renewals: list[float]

    def renew_membership(self) -> None:
        self.renewals.append(time.monotonic())
        super().renew_membership()


def test_the_membership_is_renewed_in_silence_only() -> None:
    """And what a client hears of itself does not end the silence."""
    port = random.randint(30000, 49999)
    server = SessionSocket(SessionAddress(SERVER, GROUP, port), hear_oneself=False)
    client = Link(SessionAddress(CLIENT, GROUP, port), hear_oneself=True)
    client.renewals = []
    sent: list[float] = []

    def send() -> None:
        for number in range(40):
            block = encode(Block(0, number, bytes(BLOCK_SIZE)), pack_address(SERVER))
            server.send_blocks([memoryview(block)])
            sent.append(time.monotonic())
            time.sleep(0.02)

    options = ClientOptions(keepalive_s=KEEPALIVE_S, stall_timeout_s=STALL_S)
    workers = ChunkWorkers(NoSink(), 0)
    sender = threading.Thread(target=send)
    try:
        sender.start()
        with pytest.raises(FrisbeeError, match="nothing new"):
            Reception(client, options, 1024, workers, print).run()
        sender.join()
    finally:
        server.close()
        client.close()
    silences = [at - max(t for t in sent if t < at) for at in client.renewals]
    assert silences
    assert min(silences) >= KEEPALIVE_S / 2
