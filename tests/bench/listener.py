"""Hear a server out: how fast do its blocks come? Run as `python listener.py`, see ``main``.

A plain socket that always asks for the whole image, and counts what comes within a while. It does
not use the product's client, whose pace would be measured too.
"""

import socket
import struct
import sys
import time
from pathlib import Path

BLOCK_PACKET = 1048  # bytes
REQUEST = struct.Struct("<iii4siii")
UDP_GRO = 104
SO_RCVBUFFORCE = 33
BUFFER = 1 << 23  # bytes
LOOK_S = 0.05


def main(
    own: str, group: str, port: str, chunks: str, ask_s: str, settle_s: str, window_s: str, to: str
) -> None:
    """Write the blocks that came in the window after the server has settled, and its seconds.

    All chunks of the image are asked for every ``ask_s`` seconds; the result goes to a file.
    """
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as hearing,
    ):
        asking.bind((own, int(port)))
        asking.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(own))
        asking.connect((group, int(port)))
        _join(hearing, own, group, int(port))
        requests = [
            REQUEST.pack(1, 4, 12, socket.inet_aton(own), chunk, 0, 1024)
            for chunk in range(int(chunks))
        ]
        begin = time.monotonic() + float(settle_s)
        end = begin + float(window_s)
        ask_at, count, first, last = 0.0, 0, begin, begin
        buffer = bytearray(1 << 16)
        while (now := time.monotonic()) < end:
            if now >= ask_at:
                ask_at = now + float(ask_s)
                for request in requests:
                    asking.send(request)
            try:
                size = hearing.recv_into(buffer)
            except TimeoutError:
                continue
            now = time.monotonic()
            if size < BLOCK_PACKET:
                continue  # a request of ours
            if now < begin:
                first = now
            else:
                count += size // BLOCK_PACKET
                last = now
    Path(to).write_text(f"{count} {last - first}\n")


def _join(hearing: socket.socket, own: str, group: str, port: int) -> None:
    hearing.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    hearing.bind((group, port))
    membership = socket.inet_aton(group) + socket.inet_aton(own)
    hearing.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
    hearing.setsockopt(socket.IPPROTO_UDP, UDP_GRO, 1)
    try:
        hearing.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
    except PermissionError:
        hearing.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
    hearing.settimeout(LOOK_S)


if __name__ == "__main__":
    main(*sys.argv[1:])
