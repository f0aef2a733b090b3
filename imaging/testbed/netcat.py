"""The ``nc`` of a virtual node's ramdisk, which ends as the real ones do.

``busybox`` shuts its sending side down at the end of its input, and ends as soon as the other
side has closed; ``openbsd`` shuts down only with ``-N``, and without it waits for the other side.
Both were observed on the real programs. It connects from the node's own address, as the node's
kernel would.
"""

import os
import select
import signal
import socket
import sys
from collections.abc import Sequence

PIECE = 65536  # bytes
BUSYBOX, OPENBSD = "--flavour=busybox", "--flavour=openbsd"


def main(argv: Sequence[str]) -> int:
    """Run ``nc [--flavour=...] [-N] HOST PORT``; returns the exit status."""
    words = [word for word in argv if word not in (BUSYBOX, OPENBSD, "-N")]
    openbsd, shuts_down = OPENBSD in argv, "-N" in argv
    if len(words) != 2 or (shuts_down and not openbsd):
        print("nc: usage: nc [-N] HOST PORT", file=sys.stderr)
        return 1
    own = os.environ.get("NODE_ADDRESS", "")
    try:
        peer = socket.create_connection((words[0], int(words[1])), source_address=(own, 0))
    except (OSError, ValueError) as error:
        print(f"nc: can't connect to remote host ({words[0]}): {error}", file=sys.stderr)
        return 1
    signal.signal(signal.SIGUSR1, lambda *_: _lose_power(peer))
    with peer:
        return _copy(peer, shuts_down=shuts_down or not openbsd)


def _lose_power(peer: socket.socket) -> None:
    """The node has no power any more: keep the connection, and be dead."""
    from imaging.testbed.wires import cut

    cut(peer)
    while True:
        signal.pause()


def _copy(peer: socket.socket, *, shuts_down: bool) -> int:
    """Copy both ways until the other side has closed."""
    sources: list[int] = [0, peer.fileno()]
    try:
        while True:
            ready, _, _ = select.select(sources, [], [])
            if 0 in ready:
                data = os.read(0, PIECE)
                if data:
                    peer.sendall(data)
                else:
                    sources.remove(0)
                    if shuts_down:
                        peer.shutdown(socket.SHUT_WR)
            if peer.fileno() in ready:
                data = peer.recv(PIECE)
                if not data:
                    return 0
                os.write(1, data)
    except OSError as error:
        print(f"nc: {error.strerror}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
