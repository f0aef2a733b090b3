"""Run the laboratory's story, or docs/site-setup.md: ``python -m tests.lab [--setup]``, as root.

Exits with 3 when this machine cannot, and with 4 when it was too slow for the limit.
"""

import argparse
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.lab.requirements import KILLED_ALONG, OWN_NETWORK, OWN_PROCESSES, obstacles

CANNOT, TOO_SLOW = 3, 4
PLACE = Path("/mnt")  # hidden under a file system in memory, which nobody else sees
LIMIT_S = 480.0


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab", description=__doc__)
    parser.add_argument(
        "--setup", action="store_true", help="follow docs/site-setup.md on a bare server instead"
    )
    parser.add_argument(
        "--release", choices=["bookworm", "trixie"], default="bookworm", help="of that server"
    )
    parser.add_argument("-n", "--machines", type=int, default=3, choices=range(2, 9))
    parser.add_argument("--console", choices=["telnet", "ssh"], default="telnet")
    parser.add_argument("--kernel", default="linux-image-cloud-amd64")
    parser.add_argument("--frisbee-bin", type=Path, help="C tools for the nodes")
    parser.add_argument("--server", default="imaging-frisbeed", help="frisbeed: the C one")
    parser.add_argument("--packages", type=Path, required=True, help="where packages are kept")
    parser.add_argument("--limit", type=float, default=LIMIT_S, help="seconds for all of it")
    parser.add_argument("--keep", type=Path, help="copy logs and screens there when it fails")
    parser.add_argument("--started", type=float, default=time.monotonic(), help=argparse.SUPPRESS)
    parser.add_argument(
        "--stage", choices=["outside", "build", "story"], default="outside", help=argparse.SUPPRESS
    )
    return parser.parse_args(arguments)


def outside(options: argparse.Namespace) -> int:
    """Start the laboratory in namespaces, and end it when its time is up."""
    for obstacle in obstacles(bare_server=options.setup):
        print(f"no laboratory on this machine: {obstacle}", file=sys.stderr)
        return CANNOT
    command = [*KILLED_ALONG, *OWN_PROCESSES, *itself("build", options)]
    with subprocess.Popen(command) as process:
        try:
            return process.wait(options.limit)
        except subprocess.TimeoutExpired:
            print(f"the laboratory has not ended after {options.limit:g} s", file=sys.stderr)
            return TOO_SLOW
        finally:
            process.kill()


def build(options: argparse.Namespace) -> int:
    """Do what needs the package index; then leave the network."""
    from tests.lab import setup, story
    from tests.lab.server import NoServerError

    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "laboratory", PLACE], check=True)
    # what a killed build would leave in /tmp goes with the rest
    os.environ["TMPDIR"] = str(PLACE)
    try:
        if options.setup:
            setup.prepare(PLACE, options)
        else:
            story.prepare(PLACE, options)
    except NoServerError as error:
        print(error, file=sys.stderr)
        return CANNOT
    return subprocess.run([*OWN_NETWORK, *itself("story", options)], check=False).returncode


def tell(options: argparse.Namespace) -> int:
    """The story, in a network of its own."""
    from tests.lab import setup, story

    return setup.run(PLACE, options) if options.setup else story.run(PLACE, options)


def itself(stage: str, options: argparse.Namespace) -> list[str]:
    """The command line of the next stage."""
    return [
        sys.executable,
        "-m",
        "tests.lab",
        *sys.argv[1:],
        "--stage",
        stage,
        "--started",
        str(options.started),
    ]


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    chosen = parse(sys.argv[1:])
    sys.exit({"outside": outside, "build": build, "story": tell}[chosen.stage](chosen))
