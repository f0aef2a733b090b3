"""The frisbee servers that fail, behind the scripts in the testbed's ``faults`` directory."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

SERVER = "imaging-frisbeed"
BIND_FAILED = 98  # what frisbeed ends with when its port is taken
SLOW = 16 * 1024 * 1024  # bits per second: so slow that there is a midway
UNTIL_MIDWAY_S = 0.5  # after the first client has joined
JOINED = b" joins "


def value_of(option: str, words: Sequence[str]) -> str:
    """What follows an option of the command line."""
    return words[words.index(option) + 1] if option in words[:-1] else "?"


def main(argv: Sequence[str]) -> int:
    """Run ``NAME ARGUMENT...``, the arguments being those of frisbeed; returns the exit status."""
    name, *words = argv
    match name.removeprefix("frisbeed-"):
        case "refuses-port":
            _say(f"Could not bind to port {value_of('-p', words)}!\n\n")
            return BIND_FAILED
        case "silent":
            _stay()
        case "ignores":
            _say(f"Bound to port {value_of('-p', words)}\n")
            _say(f"Using Multicast {value_of('-m', words)}\n")
            _stay()
        case "hangs":
            _serve_until_midway(words).send_signal(signal.SIGSTOP)
            _stay()
        case "dies":
            _serve_until_midway(words).kill()
            _say("could not allocate memory for the next block\n")
            return 1
        case _:
            _say(f"{name}: no such server\n")
    return 2


def _serve_until_midway(words: Sequence[str]) -> "subprocess.Popen[bytes]":
    """Start the real server, and return when a client has got a part of the image."""
    # it is installed beside this Python; the last one of an option given twice counts
    server = str(Path(sys.executable).with_name(SERVER))
    command = [server, *words[:-1], "-W", str(SLOW), words[-1]]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    for line in process.stderr:
        os.write(2, line)
        if JOINED in line:
            time.sleep(UNTIL_MIDWAY_S)
            break
    return process


def _say(text: str) -> None:
    os.write(2, text.encode())


def _stay() -> None:
    while True:
        signal.pause()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
