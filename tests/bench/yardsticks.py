"""Plain processes to compare with, on the standard library alone, in one thread.

They do the same amount of the same work in the obvious way, so that ratios mean something also
where the C tools are missing. Run as `python yardsticks.py WHAT ARGUMENTS`.
"""

import socket
import struct
import sys
import zlib
from pathlib import Path

PIECE = 1 << 20  # bytes
PACKET = 1048  # bytes: a block and its header
_LENGTH = struct.Struct("<I")


def deflate(source: str, output: str) -> None:
    """Compress a disk in pieces, at zlib's level 1."""
    with Path(source).open("rb") as disk, Path(output).open("wb") as image:
        while piece := disk.read(PIECE):
            packed = zlib.compress(piece, 1)
            image.write(_LENGTH.pack(len(packed)))
            image.write(packed)


def inflate(image: str, output: str) -> None:
    """The disk again from what ``deflate`` has written."""
    with Path(image).open("rb") as pieces, Path(output).open("wb") as disk:
        while head := pieces.read(_LENGTH.size):
            disk.write(zlib.decompress(pieces.read(*_LENGTH.unpack(head))))


def send(file: str, own: str, group: str, port: str) -> None:
    """Send a file in packets of a block each, one call for each, as fast as it goes."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender, Path(file).open("rb") as data:
        sender.bind((own, 0))
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(own))
        target = (group, int(port))
        while block := data.read(1024):
            sender.sendto(b"\0" * (PACKET - 1024) + block, target)


if __name__ == "__main__":
    what, *words = sys.argv[1:]
    if what == "send":
        send(*words)
    else:
        (deflate if what == "deflate" else inflate)(*words)
