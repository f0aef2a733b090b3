"""Run in a network namespace of its own: an interface that lets no packet of ours be cut.

Prints what the kernel says to a try, then sends blocks and prints which of them arrive.
"""

import json
import socket
import time

from imaging.frisbee.packets import BLOCK_PACKET_SIZE
from imaging.frisbee.sockets import UDP_SEGMENT, SessionAddress, SessionSocket
from tests.test_frisbee_sockets import GROUP, block_packets, numbers_of

PORT = 5000
LIMIT_S = 5.0


def refusal() -> str:
    """The name of the error that the kernel has for whoever wants packets cut."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, BLOCK_PACKET_SIZE)
        try:
            sender.sendto(bytes(4 * BLOCK_PACKET_SIZE), ("127.0.0.1", PORT))
        except OSError as error:
            return type(error).__name__
    return ""


def main() -> None:
    """Print a JSON object."""
    server = SessionSocket(SessionAddress("127.77.0.254", GROUP, PORT), hear_oneself=False)
    client = SessionSocket(SessionAddress("127.77.0.1", GROUP, PORT), hear_oneself=True)
    arrived: list[int] = []
    deadline = time.monotonic() + LIMIT_S
    for first in (0, 100):
        server.send_blocks([block_packets(first, 62)])
        while len(arrived) < 62 + 62 * (first > 0) and time.monotonic() < deadline:
            for train in client.receive(0.1):
                arrived += numbers_of(train)
    print(json.dumps({"refusal": refusal(), "arrived": arrived}))


if __name__ == "__main__":
    main()
