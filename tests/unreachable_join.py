"""Run in a network namespace of its own: a JOIN from where no route leads, then one from a client.

Prints what the server has said, and whether the client had its reply.
"""

import json
import os
import socket
import struct
import time

from imaging.frisbee.image_packets import ImagePackets
from imaging.frisbee.packets import Join, encode, pack_address
from imaging.frisbee.server import Server
from imaging.frisbee.server_session import ServerOptions
from imaging.frisbee.sockets import SessionAddress, SessionSocket

PORT = 5000
GROUP, SERVER, CLIENT, STRANGER = "239.77.1.1", "127.77.0.254", "127.77.0.1", "192.0.2.1"
SIZE = 1 << 20
LIMIT_S = 5.0


def forge(datagram: bytes, source: str, target: str) -> None:
    """Send a datagram as if from another address."""
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
        udp = struct.pack(">4H", PORT, PORT, 8 + len(datagram), 0) + datagram
        head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(udp), 1, 0, 64, socket.IPPROTO_UDP, 0)
        addresses = socket.inet_aton(source) + socket.inet_aton(target)
        raw.sendto(head + addresses + udp, (target, 0))


def main() -> None:
    """Print a JSON object."""
    link = SessionSocket(SessionAddress(SERVER, GROUP, PORT), hear_oneself=False)
    client = SessionSocket(SessionAddress(CLIENT, GROUP, PORT), hear_oneself=True)
    said: list[str] = []
    replies = 0
    deadline = time.monotonic() + LIMIT_S

    def over() -> bool:
        nonlocal replies
        replies += sum(train.sender == pack_address(SERVER) for train in client.receive(0))
        return replies > 0 or time.monotonic() > deadline

    image = os.memfd_create("image")
    os.truncate(image, SIZE)
    packets = ImagePackets(image, SIZE, pack_address(SERVER))
    server = Server(ServerOptions("image"), link, packets, SIZE, said.append)
    for number in (1, 2):
        forge(encode(Join(number), pack_address(STRANGER)), STRANGER, SERVER)
    client.send(encode(Join(3), pack_address(CLIENT)))
    server.serve(over)
    print(json.dumps({"said": said, "replies": replies}))


if __name__ == "__main__":
    main()
